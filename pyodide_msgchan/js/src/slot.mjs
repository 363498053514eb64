// The state of each port, worker or window listener that Python uses.

/**
 * Return the state of a port or another endpoint.
 *
 * @typedef {ReturnType<typeof createSlot>} Slot
 */
export function createSlot(id, port, accepts, native) {
  return {
    id,
    /** The native port, or a worker or a similar target. @type {any} */
    port,
    native,
    /** Whether a message of a window is for this slot. @type {((event: any) => boolean) | undefined} */
    accepts,
    /** @type {(event: any) => void} */ listener: () => {},
    /** @type {Function} */ post: () => {},
    flag: 0, // the index of its byte in the shared memory
    mode: 0,
    started: false,
    /** Events that were not passed to Python. @type {any[]} */ queue: [],
    /** Events of the messages in Python's buffer. @type {any[] | null} */ batch: null,
    batchSize: 0,
    /** @type {ArrayBuffer[]} */ largeBuffers: [],
    coalescing: 0,
    streak: 0,
    seenPostCount: 0,
    promising: false,
    exposedToPage: true,
    usesPackedLane: false,
    sent: 0,
    sentBytes: 0,
    received: 0,
    // Requests: the slot of a reply port knows the slot on which the request came.
    answered: 0,
    passedOn: false,
    /** @type {Set<any> | null} */ replyPorts: null,
    /** @type {any} */ requestPort: null,
    // Calls: see calls.mjs.
    takesCalls: false,
    serving: false,
    /** @type {string | undefined} */ prefix: undefined,
    // Windows: see windows.mjs.
    /** @type {any} */ channelPair: null,
    /** @type {(() => void) | null} */ cleanup: null,
    /** @type {Set<string> | undefined} */ rejected: undefined,
  };
}

/**
 * The slots by their ids. Python passes only ids of slots that exist, unless a comment says otherwise.
 *
 * @typedef {Omit<Map<number, Slot>, "get"> & { get(id: number): Slot }} Slots
 */

// The JavaScript part of the ports: it receives messages, collects those that arrive while Python
// runs, and passes them to Python in one call. Python's callbacks serve all ports, so that no port
// and no message needs a proxy of its own.
import { decode, normalizeScalar, sizeOf } from "./decode.mjs";
import { encode, tag } from "./encode.mjs";
import { isEnvelope, copyPlainStream, toEnvelope } from "./packed.mjs";
import { Scan } from "./scan.mjs";
import { dispatch } from "./dispatch.mjs";
import { Calls } from "./calls.mjs";
import { createWindows, MAX_REJECTED } from "./windows.mjs";
import { createGuard, promisingCall, STEP } from "./enter.mjs";
import { keepSpare, takeSpare } from "./spare.mjs";

const MAX_BATCH = 256; // messages that are passed to Python in one call
const MAX_STREAK = 16; // unanswered messages in a row, after which arrivals are collected
const MAX_COALESCE_MS = 20; // a busy page may never become idle
const SCALAR_BYTES = 8; // the size that a message without a length counts for
const MAX_SHORT_STRING = 256; // characters; such strings are passed directly, which is faster than encoding
const DATA = 1, // modes: what Python waits for; mode 2 is messages with their events
  LISTEN = 3;
const ALL_CONSUMED = 2; // Python's callback returns it if every message was consumed
const MUST_CALL = 9; // a port's flag: Python must call `pollOrArm`, since messages may be queued

/**
 * Return the state of a port or another endpoint.
 *
 * @typedef {ReturnType<typeof createSlot>} Slot
 */
function createSlot(id, port, accepts, native) {
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

/**
 * Return the functions that Python calls.
 *
 * Python's callbacks are onScalar(id, now, value) for one short scalar and onBatch(id, now, stays,
 * n, extra) for other messages: n bytes of the encoded messages are in `shared`, or `extra` is
 * [side, events, large, n] if there is more to pass. Both return STEP unless `now`, if a task
 * waits: then onStep(id) wakes it in a call that may suspend. onCall and onResults are described in
 * calls.mjs.
 *
 * `shared` is Python's bytearray. It starts with `streamBytes` bytes for encoded messages to Python
 * and as many for those from Python, followed by one byte, the flag, for each port. Python sets a
 * flag to DATA when it waits for data and has consumed all messages; it may do so only if the flag
 * is 0 or DATA, and calls `pollOrArm` otherwise. A byte costs less than a call.
 */
export function createBridge(
  onScalar,
  onBatch,
  onStep,
  shared,
  streamBytes,
  maxDepth,
  pyodide,
  onCall,
  onResults,
  isPythonRunning,
  onStrayMessage,
) {
  const { postMessage } = MessagePort.prototype;
  /** @type {Slots} */ const slots = new Map();
  const ids = new WeakMap();
  const stackSwitching = "Suspending" in WebAssembly;
  const agent = globalThis.navigator?.userAgent ?? "";
  const webkit = agent.includes("AppleWebKit") && !agent.includes("Chrom");
  let lastId = 0,
    lastCoalescing = 0,
    postCount = 0,
    flagCount = 0,
    scan,
    region = shared.getBuffer("u8");

  const sharedMemory = () => {
    // When Wasm memory grows, its old views become empty.
    if (region.data.byteLength === 0) region = shared.getBuffer("u8");
    return region.data;
  };
  const freeFlags = [];
  const onScalarNow = promisingCall(pyodide, onScalar),
    onBatchNow = promisingCall(pyodide, onBatch);
  const macrotaskChannel = new MessageChannel();
  /** @type {(() => void)[]} */ const macrotasks = [];
  macrotaskChannel.port1.onmessage = () => macrotasks.shift()?.();
  macrotaskChannel.port1.unref?.(); // else Node would not exit
  const runInMacrotask = (callback) => {
    macrotasks.push(callback);
    macrotaskChannel.port2.postMessage(0);
  };
  const { isRunning, whenFree } = createGuard(pyodide, isPythonRunning, runInMacrotask);
  const runWhenIdle = (callback) => {
    if (!globalThis.scheduler?.postTask) return runInMacrotask(callback);
    void scheduler.postTask(callback, { priority: "background" });
    setTimeout(callback, MAX_COALESCE_MS);
  };

  function attach(port, promising, accepts) {
    const id = ++lastId;
    const native = tag(port) === "MessagePort"; // else a worker or a similar target
    const slot = createSlot(id, port, accepts, native);
    slot.promising = promising && stackSwitching;
    slot.seenPostCount = postCount;
    slot.post = native ? postMessage : port.postMessage;
    slot.flag = freeFlags.pop() ?? 2 * streamBytes + flagCount++;
    setFlag(slot, MUST_CALL);
    slot.listener = (event) => {
      if (accepts ? accepts(event) : slot.native || calls.isForThisEnd(slot, event))
        arrived(slot, event);
    };
    slots.set(id, slot);
    ids.set(port, id);
    return id;
  }

  function answersOf({ passedOn, answered, replyPorts }) {
    if (passedOn) return -1;
    for (const reply of replyPorts ?? []) if (reply.sent) answered++;
    return answered;
  }

  function start(slot) {
    if (slot.started) return;
    slot.started = true;
    slot.port.addEventListener("message", slot.listener);
    slot.port.addEventListener("messageerror", slot.listener);
    if (!slot.accepts) slot.port.addEventListener("close", slot.listener); // no browser fires it yet
    if (slot.native) slot.port.start(); // after the listener: a started port without one loses its messages
  }

  function arrived(slot, event) {
    slot.received++;
    slot.channelPair?.checkReceived();
    const flag = sharedMemory()[slot.flag];
    if (flag === DATA) {
      slot.mode = DATA;
      releaseBatch(slot);
    }
    if (slot.mode === 0 || slot.coalescing) {
      slot.queue.push(event);
      if (slot.coalescing && slot.queue.length >= MAX_BATCH && !isRunning()) return flush(slot);
      return setFlag(slot, MUST_CALL);
    }
    // Python may run while an event arrives that Python itself has dispatched.
    const canEnterNow = !webkit && event.isTrusted !== false;
    slot.streak = slot.seenPostCount === postCount ? slot.streak + 1 : 0;
    slot.seenPostCount = postCount;
    const busy = isRunning();
    if (slot.streak <= MAX_STREAK && canEnterNow && !busy) {
      if (slot.takesCalls && slot.queue.length === 0 && calls.takeMessage(slot, event.data)) return;
      if (slot.mode === DATA && isShortScalar(event.data)) {
        const batch = slot.batch ? slot.batch.concat(event) : [event];
        return handOver(slot, batch, event.data);
      }
      slot.queue.push(event);
      return flush(slot);
    }
    slot.queue.push(event);
    setFlag(slot, MUST_CALL);
    coalesce(slot, busy ? whenFree : slot.streak > MAX_STREAK ? runWhenIdle : runInMacrotask);
  }

  /** Collect what arrives, and pass it to Python in the turn that `wait` chooses. */
  function coalesce(slot, wait) {
    const id = (slot.coalescing = ++lastCoalescing);
    wait(() => slot.coalescing === id && flush(slot));
  }

  function isShortScalar(value) {
    const kind = typeof value;
    return kind === "string"
      ? value.length <= MAX_SHORT_STRING
      : kind === "number" || kind === "boolean";
  }

  function setFlag(slot, flag) {
    const data = sharedMemory();
    if (slot.flag < data.length) data[slot.flag] = flag;
  }

  function flush(slot) {
    if (isRunning()) return coalesce(slot, whenFree);
    slot.coalescing = 0;
    if (slot.mode === 0 || slot.queue.length === 0) return;
    if (slot.queue.length === 1 && slot.streak > MAX_STREAK) slot.streak = 0; // collecting gained nothing: the burst is over
    const results = slot.takesCalls && calls.takeResults(slot, MAX_BATCH);
    const result = results || takeBatch(slot, slot.mode);
    if (slot.mode === LISTEN && slot.queue.length) runInMacrotask(() => flush(slot)); // before Python may raise
    if (results) return calls.deliverResults(slot, ...results);
    const [size, extra] = typeof result === "number" ? [result] : [0, result];
    handOver(slot, slot.batch, undefined, size, extra);
  }

  function encodeEvents(events, scan) {
    // A message whose buffers the page has detached can't be encoded, and becomes unreadable.
    try {
      return encode(events, maxDepth, scan);
    } catch {
      const readable = (event) => {
        try {
          return encode([event], maxDepth, scan) && event;
        } catch {
          return { type: "messageerror", origin: event.origin };
        }
      };
      return encode(events.map(readable), maxDepth, scan);
    }
  }

  /** Release the events and buffers of a batch, after Python has consumed all of its messages. */
  function releaseBatch(slot) {
    slot.batch = null;
    for (const buffer of slot.largeBuffers.splice(0)) if (!buffer.detached) keepSpare(buffer);
  }

  /** Pass a batch to Python, which wakes the waiting task; the last step of a handler. */
  function handOver(slot, batch, value, size, extra) {
    const hasScalar = value !== undefined,
      stays = slot.mode === LISTEN;
    slot.batch = batch;
    if (hasScalar) slot.largeBuffers = [];
    if (!stays) {
      slot.mode = 0;
      setFlag(slot, slot.queue.length ? MUST_CALL : 0);
    }
    const settle = (outcome) => {
      if (slot.batch !== batch) return;
      if (outcome === ALL_CONSUMED) releaseBatch(slot);
      else if (sharedMemory()[slot.flag] === 0) setFlag(slot, MUST_CALL); // its next call releases the batch
    };
    if (slot.promising && onScalarNow && onBatchNow) {
      const done = hasScalar
        ? onScalarNow(slot.id, true, value)
        : onBatchNow(slot.id, true, stays, size, extra);
      return done.then(settle, reportError);
    }
    const now = !slot.promising;
    const outcome = hasScalar
      ? onScalar(slot.id, now, value)
      : onBatch(slot.id, now, stays, size, extra);
    if (outcome !== STEP) return settle(outcome);
    return onStep.callPromising(slot.id).then(settle, reportError); // starts in a later microtask
  }

  /** Encode the queued events; return n, -n for one packed message, or [side, events, large, n]. */
  function takeBatch(slot, mode) {
    const events = slot.queue.length > MAX_BATCH ? slot.queue.splice(0, MAX_BATCH) : slot.queue;
    if (events === slot.queue) slot.queue = [];
    // The batch ends with the events of Python's buffer. Events that are passed are not kept.
    slot.batch = mode !== DATA ? null : slot.batch ? slot.batch.concat(events) : events;
    slot.batchSize = events.length;
    setFlag(slot, MUST_CALL);
    const withoutEvents = mode === DATA || slot.takesCalls;
    if (withoutEvents && slot.usesPackedLane && events.length === 1) {
      const size = copyPlainStream(events[0].data, sharedMemory().subarray(0, streamBytes), scan);
      if (size) return -size; // negative: Python has encoded it
    }
    const [bytes, side, copied] = encodeEvents(events, slot.usesPackedLane && scan);
    // Buffers are reused only if JavaScript can't have the message through the port or an event.
    slot.largeBuffers = slot.exposedToPage || mode !== DATA ? [] : copied;
    const data = sharedMemory();
    const large = bytes.length > streamBytes ? bytes : undefined;
    if (!large) data.set(bytes);
    if (!large && side.length === 0 && withoutEvents) return bytes.length;
    return [
      side.length ? side : undefined,
      withoutEvents ? undefined : events,
      large,
      bytes.length,
    ];
  }

  // When a port is transferred, Firefox dispatches the messages on their way at the old native
  // port. One listener serves all such ports; a number is kept only while its native port exists.
  const detachedIds = new WeakMap();
  const onStray = (event) => {
    const id = detachedIds.get(event.currentTarget);
    const handOver = () => {
      const [bytes, side] = encodeEvents([event]);
      onStrayMessage(id, bytes, side.length ? side : undefined, event);
    };
    if (isRunning()) whenFree(handOver);
    else handOver();
  };

  function drop(id, close, detached) {
    const slot = slots.get(id);
    slots.delete(id);
    slot.mode = 0;
    setFlag(slot, MUST_CALL);
    freeFlags.push(slot.flag);
    slot.flag = NaN; // its byte may belong to another port from now on
    slot.queue = [];
    slot.port.removeEventListener("message", slot.listener);
    slot.port.removeEventListener("messageerror", slot.listener);
    slot.port.removeEventListener("close", slot.listener);
    slot.cleanup?.();
    if (detached && slot.started) {
      detachedIds.set(slot.port, id);
      slot.port.addEventListener("message", onStray);
      slot.port.addEventListener("messageerror", onStray);
    }
    if (slot.requestPort?.replyPorts.delete(slot)) {
      if (slot.sent) slot.requestPort.answered++;
      else if (detached) slot.requestPort.passedOn = true;
    }
    if (slot.accepts) return;
    ids.delete(slot.port);
    if (Object.hasOwn(slot.port, "postMessage")) delete slot.port.postMessage;
    if (close && slot.native) slot.port.close();
  }

  const outgoingStream = (n, chunks) =>
    n ? [sharedMemory().subarray(streamBytes, streamBytes + n)] : chunks;

  function countingPost(id, size) {
    const slot = slots.get(id);
    postCount++;
    return (value, list) => {
      slot.post.call(slot.port, value, list);
      slot.sent++;
      slot.sentBytes += size;
    };
  }

  const post = (id, value) => {
    const slot = slots.get(id);
    postCount++;
    slot.post.call(slot.port, normalizeScalar(value));
    slot.sent++;
    slot.sentBytes += value?.length ?? SCALAR_BYTES;
  };

  const calls = new Calls({ slots, post, onCall, onResults, onStep, pyodide });

  const windowOf = (target) =>
    tag(target) === "HTMLIFrameElement" ? target.contentWindow : target;

  return {
    channel(promising) {
      // The ids of the two ports are consecutive.
      const { port1, port2 } = new MessageChannel();
      const first = attach(port1, promising),
        second = attach(port2, promising);
      slots.get(first).exposedToPage = slots.get(second).exposedToPage = false;
      return first;
    },
    adopt(port, promising, requestPortId) {
      // Returns 0 if it is not a port. A request that came on the request port is answered on the
      // last port that came with it, which is this one.
      if (port === null || typeof port !== "object") return 0;
      const id = ids.get(port) ?? (tag(port) === "MessagePort" ? attach(port, promising) : 0);
      const requestPort = requestPortId && slots.get(requestPortId);
      if (requestPort && id && id !== requestPortId) {
        const reply = slots.get(id);
        reply.requestPort = requestPort;
        (requestPort.replyPorts ??= new Set()).add(reply);
      }
      return id;
    },
    endpoint(target, promising) {
      // Accepts a worker, or another object that posts and receives messages. Returns 0 for
      // anything else, and for a window, since its messages may come from any sender.
      const required = ["postMessage", "addEventListener", "removeEventListener"];
      if (target === null || typeof target !== "object" || target.window === target) return 0;
      if (!required.every((name) => typeof target[name] === "function")) return 0;
      return ids.get(target) ?? attach(target, promising);
    },
    window(source, origins, place = globalThis) {
      const rejected = new Set();
      const id = attach(new EventTarget(), true, ({ source: from, origin }) => {
        // A closed window and the window of a removed frame are both null, but not the same.
        if (source !== undefined && (from === null || from !== windowOf(source))) return false;
        if (origins.includes("*") || origins.includes(origin)) return true;
        if (source !== undefined && rejected.size < MAX_REJECTED) rejected.add(origin);
        return false;
      });
      Object.assign(slots.get(id), { port: place, rejected });
      return id;
    },
    native: (id) => slots.get(id).port,
    flag: (id) => slots.get(id).flag,
    tag,
    count(id) {
      // From now on JavaScript may post on the port too; a close needs the number of all messages.
      const slot = slots.get(id),
        post = slot.port.postMessage;
      slot.exposedToPage = slot.passedOn = true; // JavaScript may answer the requests that arrive here
      if (slot.requestPort) slot.requestPort.passedOn = true; // JavaScript may transfer the reply port
      slot.largeBuffers = [];
      if (Object.hasOwn(slot.port, "postMessage")) return;
      slot.port.postMessage = function (...args) {
        post.apply(this, args);
        slot.sent++;
      };
    },
    sent: (id) => slots.get(id).sent,
    sentBytes: (id) => slots.get(id).sentBytes,
    // The number of reply ports that were posted on; -1 if one may be answered elsewhere.
    answers: (id) => answersOf(slots.get(id)),
    passOn(id) {
      // JavaScript may answer a request that came here.
      const slot = slots.get(id);
      if (slot) slot.passedOn = true;
    },
    received: (id) => slots.get(id).received,
    post,
    send(id, n, transfer, side, chunks) {
      const post = countingPost(id, sizeOf(n, side, chunks));
      return dispatch(post, transfer, () => decode(outgoingStream(n, chunks), side, maxDepth));
    },
    sendTo(target, origin, n, transfer, side, chunks) {
      const to = windowOf(target);
      if (typeof to?.postMessage !== "function") return "target";
      postCount++;
      const post = (value, list) =>
        to.postMessage(value, ...(origin === undefined ? [] : [origin]), list);
      return dispatch(post, transfer, () => decode(outgoingStream(n, chunks), side, maxDepth));
    },
    pack(id, table, names, ...scanLimits) {
      scan ??= new Scan(table, names, maxDepth, ...scanLimits);
      slots.get(id).usesPackedLane = true;
    },
    isPacked: (event) => isEnvelope(event.data),
    sendPacked(id, n, exotic, transfer, side, chunks, buffers) {
      const segments = n ? [sharedMemory().slice(streamBytes, streamBytes + n)] : chunks;
      const refusal = exotic && scan.refusalOf(segments);
      if (refusal) return `packed ${refusal}`;
      const post = countingPost(id, sizeOf(n, side, chunks) + sizeOf(0, buffers));
      return dispatch(post, transfer, () => toEnvelope(segments, side, buffers));
    },
    clonable(value) {
      // Returns "" or the text of the browser's error.
      try {
        structuredClone(value);
        return "";
      } catch (error) {
        return /** @type {Error} */ (error).message;
      }
    },
    pollOrArm(id, mode, unconsumed) {
      // Returns what is queued, or 0 after recording that Python waits. `unconsumed` is the number
      // of messages in Python's buffer.
      const slot = slots.get(id);
      start(slot);
      if (unconsumed && slot.batch) slot.batch = slot.batch.slice(-unconsumed);
      else releaseBatch(slot);
      if (slot.queue.length) return takeBatch(slot, mode);
      slot.mode = mode;
      setFlag(slot, 0);
      return 0;
    },
    listen(id) {
      const slot = slots.get(id);
      start(slot);
      slot.mode = LISTEN;
      if (slot.queue.length) runInMacrotask(() => flush(slot));
    },
    disarm(id) {
      // No task waits any more.
      const slot = slots.get(id);
      slot.mode = 0;
      setFlag(slot, MUST_CALL);
    },
    start(id) {
      start(slots.get(id));
    },
    queued: (id) => slots.get(id).queue.length,
    size: (id) => slots.get(id).batchSize,
    event(id, i) {
      const slot = slots.get(id);
      slot.largeBuffers = [];
      return slot.batch?.at(i);
    },
    spare: takeSpare,
    drop,
    calls,
    windows: createWindows({ attach, arrived, start, slots, ids, windowOf, drop, answersOf }),
  };
}

// The memory that the bridge shares with Python: encoded messages in both directions, and flags.

/**
 * Python's bytearray. It starts with `streamBytes` bytes for encoded messages to Python and as many
 * for those from Python, followed by one byte, the flag, for each port. Python sets a flag to DATA
 * when it waits for data and has consumed all messages; it may do so only if the flag is 0 or DATA,
 * and calls `pollOrArm` otherwise. A byte costs less than a call.
 */
export class SharedMemory {
  #flagCount = 0;
  /** @type {number[]} */ #freeFlags = [];

  constructor(shared, streamBytes) {
    this.shared = shared;
    this.streamBytes = streamBytes;
    this.region = shared.getBuffer("u8");
  }

  /** All of it; not to be kept. @returns {Uint8Array} */
  get bytes() {
    // When Wasm memory grows, its old views become empty.
    if (this.region.data.byteLength === 0) this.region = this.shared.getBuffer("u8");
    return this.region.data;
  }

  /** The part for encoded messages to Python. */
  get incoming() {
    return this.bytes.subarray(0, this.streamBytes);
  }

  /** The first n bytes of the part for encoded messages from Python. */
  outgoing(n) {
    return this.bytes.subarray(this.streamBytes, this.streamBytes + n);
  }

  /** Return the index of a byte that is no other slot's flag. */
  takeFlag() {
    return this.#freeFlags.pop() ?? 2 * this.streamBytes + this.#flagCount++;
  }

  /** Take the flag away from a slot; its byte may belong to another port from now on. */
  releaseFlag(slot) {
    this.#freeFlags.push(slot.flag);
    slot.flag = NaN;
  }

  setFlag(slot, flag) {
    const { bytes } = this;
    if (slot.flag < bytes.length) bytes[slot.flag] = flag;
  }
}

// Receiving: messages are collected while Python runs, and passed to it in one call. Python's
// callbacks serve all ports, so that no port and no message needs a proxy of its own.
import { encode } from "./encode.mjs";
import { createGuard, promisingCall, STEP } from "./enter.mjs";
import { copyPlainStream } from "./packed.mjs";
import { keepSpare } from "./spare.mjs";
import { createTurns } from "./turns.mjs";

const MAX_BATCH = 256; // messages that are passed to Python in one call
const MAX_STREAK = 16; // unanswered messages in a row, after which arrivals are collected
const MAX_SHORT_STRING = 256; // characters; such strings are passed directly, which is faster than encoding
export const DATA = 1, // modes: what Python waits for; mode 2 is messages with their events
  LISTEN = 3;
const ALL_CONSUMED = 2; // Python's callback returns it if every message was consumed
export const MUST_CALL = 9; // a port's flag: Python must call `pollOrArm`, since messages may be queued

/** @import { Slot } from "./slot.mjs" */

function isShortScalar(value) {
  const kind = typeof value;
  return kind === "string"
    ? value.length <= MAX_SHORT_STRING
    : kind === "number" || kind === "boolean";
}

/** Passes what arrives at all ports of a bridge to Python. */
export class Receiver {
  /** The number of messages that Python has posted so far. */
  postCount = 0;
  /** @type {import("./scan.mjs").Scan | undefined} */ scan;
  /** @type {import("./calls.mjs").Calls} */ calls = /** @type {any} */ (undefined);
  #lastCoalescing = 0;
  #detachedIds = new WeakMap();

  /**
   * `python` has Python's callbacks: onScalar(id, now, value) for one short scalar and onBatch(id,
   * now, stays, n, extra) for other messages: n bytes of the encoded messages are in `memory`, or
   * `extra` is [side, events, large, n] if there is more to pass. Both return STEP unless `now`, if
   * a task waits: then onStep(id) wakes it in a call that may suspend.
   */
  constructor(memory, maxDepth, pyodide, python) {
    const agent = globalThis.navigator?.userAgent ?? "";
    this.webkit = agent.includes("AppleWebKit") && !agent.includes("Chrom");
    this.memory = memory;
    this.maxDepth = maxDepth;
    this.python = python;
    this.onScalarNow = promisingCall(pyodide, python.onScalar);
    this.onBatchNow = promisingCall(pyodide, python.onBatch);
    const { runInMacrotask, runWhenIdle } = createTurns();
    const { isRunning, whenFree } = createGuard(pyodide, python.isPythonRunning, runInMacrotask);
    this.runInMacrotask = runInMacrotask;
    this.runWhenIdle = runWhenIdle;
    this.isRunning = isRunning;
    this.whenFree = whenFree;
  }

  arrived(/** @type {Slot} */ slot, event) {
    const { memory, calls } = this;
    slot.received++;
    slot.channelPair?.checkReceived();
    const flag = memory.bytes[slot.flag];
    if (flag === DATA) {
      slot.mode = DATA;
      this.releaseBatch(slot);
    }
    if (slot.mode === 0 || slot.coalescing) {
      slot.queue.push(event);
      if (slot.coalescing && slot.queue.length >= MAX_BATCH && !this.isRunning())
        return this.flush(slot);
      return memory.setFlag(slot, MUST_CALL);
    }
    // Python may run while an event arrives that Python itself has dispatched.
    const canEnterNow = !this.webkit && event.isTrusted !== false;
    slot.streak = slot.seenPostCount === this.postCount ? slot.streak + 1 : 0;
    slot.seenPostCount = this.postCount;
    const busy = this.isRunning();
    if (slot.streak <= MAX_STREAK && canEnterNow && !busy) {
      if (slot.takesCalls && slot.queue.length === 0 && calls.takeMessage(slot, event.data)) return;
      if (slot.mode === DATA && isShortScalar(event.data)) {
        const batch = slot.batch ? slot.batch.concat(event) : [event];
        return this.handOver(slot, batch, event.data);
      }
      slot.queue.push(event);
      return this.flush(slot);
    }
    slot.queue.push(event);
    memory.setFlag(slot, MUST_CALL);
    const { whenFree, runWhenIdle, runInMacrotask } = this;
    this.coalesce(slot, busy ? whenFree : slot.streak > MAX_STREAK ? runWhenIdle : runInMacrotask);
  }

  /** Collect what arrives, and pass it to Python in the turn that `wait` chooses. */
  coalesce(slot, wait) {
    const id = (slot.coalescing = ++this.#lastCoalescing);
    wait(() => slot.coalescing === id && this.flush(slot));
  }

  flush(slot) {
    if (this.isRunning()) return this.coalesce(slot, this.whenFree);
    slot.coalescing = 0;
    if (slot.mode === 0 || slot.queue.length === 0) return;
    if (slot.queue.length === 1 && slot.streak > MAX_STREAK) slot.streak = 0; // collecting gained nothing: the burst is over
    const results = slot.takesCalls && this.calls.takeResults(slot, MAX_BATCH);
    const result = results || this.takeBatch(slot, slot.mode);
    if (slot.mode === LISTEN && slot.queue.length) this.flushLater(slot); // before Python may raise
    if (results) return this.calls.deliverResults(slot, ...results);
    const [size, extra] = typeof result === "number" ? [result] : [0, result];
    this.handOver(slot, slot.batch, undefined, size, extra);
  }

  flushLater(slot) {
    this.runInMacrotask(() => this.flush(slot));
  }

  encodeEvents(events, scan = undefined) {
    // A message whose buffers the page has detached can't be encoded, and becomes unreadable.
    const { maxDepth } = this;
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
  releaseBatch(slot) {
    slot.batch = null;
    for (const buffer of slot.largeBuffers.splice(0)) if (!buffer.detached) keepSpare(buffer);
  }

  /** Pass a batch to Python, which wakes the waiting task; the last step of a handler. */
  handOver(slot, batch, value, size = 0, extra = undefined) {
    const { memory, onScalarNow, onBatchNow } = this;
    const hasScalar = value !== undefined,
      stays = slot.mode === LISTEN;
    slot.batch = batch;
    if (hasScalar) slot.largeBuffers = [];
    if (!stays) {
      slot.mode = 0;
      memory.setFlag(slot, slot.queue.length ? MUST_CALL : 0);
    }
    const settle = (outcome) => {
      if (slot.batch !== batch) return;
      if (outcome === ALL_CONSUMED) this.releaseBatch(slot);
      else if (memory.bytes[slot.flag] === 0) memory.setFlag(slot, MUST_CALL); // its next call releases the batch
    };
    if (slot.promising && onScalarNow && onBatchNow) {
      const done = hasScalar
        ? onScalarNow(slot.id, true, value)
        : onBatchNow(slot.id, true, stays, size, extra);
      return done.then(settle, reportError);
    }
    const { onScalar, onBatch, onStep } = this.python;
    const now = !slot.promising;
    const outcome = hasScalar
      ? onScalar(slot.id, now, value)
      : onBatch(slot.id, now, stays, size, extra);
    if (outcome !== STEP) return settle(outcome);
    return onStep.callPromising(slot.id).then(settle, reportError); // starts in a later microtask
  }

  /** Encode the queued events; return n, -n for one packed message, or [side, events, large, n]. */
  takeBatch(slot, mode) {
    const { memory, scan } = this;
    const events = slot.queue.length > MAX_BATCH ? slot.queue.splice(0, MAX_BATCH) : slot.queue;
    if (events === slot.queue) slot.queue = [];
    // The batch ends with the events of Python's buffer. Events that are passed are not kept.
    slot.batch = mode !== DATA ? null : slot.batch ? slot.batch.concat(events) : events;
    slot.batchSize = events.length;
    memory.setFlag(slot, MUST_CALL);
    const withoutEvents = mode === DATA || slot.takesCalls;
    if (withoutEvents && slot.usesPackedLane && events.length === 1) {
      const size = copyPlainStream(events[0].data, memory.incoming, scan);
      if (size) return -size; // negative: Python has encoded it
    }
    const [bytes, side, copied] = this.encodeEvents(events, slot.usesPackedLane && scan);
    // Buffers are reused only if JavaScript can't have the message through the port or an event.
    slot.largeBuffers = slot.exposedToPage || mode !== DATA ? [] : copied;
    const large = bytes.length > memory.streamBytes ? bytes : undefined;
    if (!large) memory.bytes.set(bytes);
    if (!large && side.length === 0 && withoutEvents) return bytes.length;
    return [
      side.length ? side : undefined,
      withoutEvents ? undefined : events,
      large,
      bytes.length,
    ];
  }

  /**
   * Pass the messages of a detached port to Python too: when a port is transferred, Firefox
   * dispatches those on their way at the old native port. One listener serves all such ports; a
   * number is kept only while its native port exists.
   */
  watchDetached({ port, id }) {
    this.#detachedIds.set(port, id);
    port.addEventListener("message", this.#onStray);
    port.addEventListener("messageerror", this.#onStray);
  }

  #onStray = (event) => {
    const id = this.#detachedIds.get(event.currentTarget);
    const handOver = () => {
      const [bytes, side] = this.encodeEvents([event]);
      this.python.onStrayMessage(id, bytes, side.length ? side : undefined, event);
    };
    if (this.isRunning()) this.whenFree(handOver);
    else handOver();
  };
}

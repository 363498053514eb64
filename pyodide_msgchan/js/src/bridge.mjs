// The JavaScript part of the ports: the functions that Python calls.
import { decode, normalizeScalar, sizeOf } from "./decode.mjs";
import { tag } from "./encode.mjs";
import { isEnvelope, toEnvelope } from "./packed.mjs";
import { Scan } from "./scan.mjs";
import { dispatch } from "./dispatch.mjs";
import { Calls } from "./calls.mjs";
import { SharedMemory } from "./memory.mjs";
import { LISTEN, MUST_CALL, Receiver } from "./receiving.mjs";
import { createSlot } from "./slot.mjs";
import { MAX_REJECTED, Windows } from "./windows.mjs";
import { takeSpare } from "./spare.mjs";

const SCALAR_BYTES = 8; // the size that a message without a length counts for

const { postMessage } = MessagePort.prototype;
const stackSwitching = "Suspending" in WebAssembly;

const windowOf = (target) => (tag(target) === "HTMLIFrameElement" ? target.contentWindow : target);

/** @import { Slot, Slots } from "./slot.mjs" */

/** Return the bridge. Python's callbacks are described in receiving.mjs and calls.mjs. */
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
  const [receiving, calls] = [
    { onScalar, onBatch, onStep },
    { onCall, onResults },
  ];
  const python = { ...receiving, ...calls, isPythonRunning, onStrayMessage };
  return new Bridge(new SharedMemory(shared, streamBytes), maxDepth, pyodide, python);
}

/** Its methods are the functions that Python calls, with the ids of slots. */
class Bridge {
  tag = tag;
  spare = takeSpare;
  /** @type {Slots} */ #slots = new Map();
  #ids = new WeakMap(); // of native ports
  #lastId = 0;
  #memory;
  #receiver;
  #maxDepth;

  constructor(memory, maxDepth, pyodide, python) {
    this.#memory = memory;
    this.#maxDepth = maxDepth;
    const receiver = (this.#receiver = new Receiver(memory, maxDepth, pyodide, python));
    const [slots, ids] = [this.#slots, this.#ids];
    const { onCall, onResults, onStep } = python;
    const post = this.post.bind(this);
    this.calls = receiver.calls = new Calls({ slots, post, onCall, onResults, onStep, pyodide });
    this.windows = new Windows({
      attach: this.#attach.bind(this),
      arrived: receiver.arrived.bind(receiver),
      start: this.#start.bind(this),
      slots,
      ids,
      windowOf,
      drop: this.drop.bind(this),
      answersOf: this.#answersOf.bind(this),
    });
  }

  #attach(port, promising, /** @type {Slot["accepts"]} */ accepts = undefined) {
    const id = ++this.#lastId;
    const native = tag(port) === "MessagePort"; // else a worker or a similar target
    const slot = createSlot(id, port, accepts, native);
    slot.promising = promising && stackSwitching;
    slot.seenPostCount = this.#receiver.postCount;
    slot.post = native ? postMessage : port.postMessage;
    slot.flag = this.#memory.takeFlag();
    this.#memory.setFlag(slot, MUST_CALL);
    slot.listener = (event) => {
      if (accepts ? accepts(event) : native || this.calls.isForThisEnd(slot, event))
        this.#receiver.arrived(slot, event);
    };
    this.#slots.set(id, slot);
    this.#ids.set(port, id);
    return id;
  }

  #start(slot) {
    if (slot.started) return;
    slot.started = true;
    slot.port.addEventListener("message", slot.listener);
    slot.port.addEventListener("messageerror", slot.listener);
    if (!slot.accepts) slot.port.addEventListener("close", slot.listener); // no browser fires it yet
    if (slot.native) slot.port.start(); // after the listener: a started port without one loses its messages
  }

  /** Return the number of reply ports that were posted on; -1 if one may be answered elsewhere. */
  #answersOf({ passedOn, answered, replyPorts }) {
    if (passedOn) return -1;
    for (const reply of replyPorts ?? []) if (reply.sent) answered++;
    return answered;
  }

  /** Return what Python encoded: n bytes in the shared memory, or else the chunks. */
  #outgoing(n, chunks) {
    return n ? [this.#memory.outgoing(n)] : chunks;
  }

  #countingPost(id, size) {
    const slot = this.#slots.get(id);
    this.#receiver.postCount++;
    return (value, list) => {
      slot.post.call(slot.port, value, list);
      slot.sent++;
      slot.sentBytes += size;
    };
  }

  // Opening and closing --------------------------------------------------------------------------

  /** Return the id of the first port of a channel; that of the second one is the next number. */
  channel(promising) {
    const { port1, port2 } = new MessageChannel();
    const first = this.#attach(port1, promising),
      second = this.#attach(port2, promising);
    this.#slots.get(first).exposedToPage = this.#slots.get(second).exposedToPage = false;
    return first;
  }

  /**
   * Return the id of a port; 0 if it is none. A request that came on the request port is answered on
   * the last port that came with it, which is this one.
   */
  adopt(port, promising, requestPortId) {
    if (port === null || typeof port !== "object") return 0;
    const id =
      this.#ids.get(port) ?? (tag(port) === "MessagePort" ? this.#attach(port, promising) : 0);
    const requestPort = requestPortId && this.#slots.get(requestPortId);
    if (requestPort && id && id !== requestPortId) {
      const reply = this.#slots.get(id);
      reply.requestPort = requestPort;
      (requestPort.replyPorts ??= new Set()).add(reply);
    }
    return id;
  }

  /**
   * Return the id of a worker, or of another object that posts and receives messages; 0 for anything
   * else, and for a window, since its messages may come from any sender.
   */
  endpoint(target, promising) {
    const required = ["postMessage", "addEventListener", "removeEventListener"];
    if (target === null || typeof target !== "object" || target.window === target) return 0;
    if (!required.every((name) => typeof target[name] === "function")) return 0;
    return this.#ids.get(target) ?? this.#attach(target, promising);
  }

  window(source, origins, place = globalThis) {
    const rejected = new Set();
    const id = this.#attach(new EventTarget(), true, ({ source: from, origin }) => {
      // A closed window and the window of a removed frame are both null, but not the same.
      if (source !== undefined && (from === null || from !== windowOf(source))) return false;
      if (origins.includes("*") || origins.includes(origin)) return true;
      if (source !== undefined && rejected.size < MAX_REJECTED) rejected.add(origin);
      return false;
    });
    Object.assign(this.#slots.get(id), { port: place, rejected });
    return id;
  }

  drop(id, close, detached = false) {
    const slot = this.#slots.get(id);
    this.#slots.delete(id);
    slot.mode = 0;
    this.#memory.setFlag(slot, MUST_CALL);
    this.#memory.releaseFlag(slot);
    slot.queue = [];
    slot.port.removeEventListener("message", slot.listener);
    slot.port.removeEventListener("messageerror", slot.listener);
    slot.port.removeEventListener("close", slot.listener);
    slot.cleanup?.();
    if (detached && slot.started) this.#receiver.watchDetached(slot);
    if (slot.requestPort?.replyPorts.delete(slot)) {
      if (slot.sent) slot.requestPort.answered++;
      else if (detached) slot.requestPort.passedOn = true;
    }
    if (slot.accepts) return;
    this.#ids.delete(slot.port);
    if (Object.hasOwn(slot.port, "postMessage")) delete slot.port.postMessage;
    if (close && slot.native) slot.port.close();
  }

  // What a slot is -------------------------------------------------------------------------------

  native(id) {
    return this.#slots.get(id).port;
  }

  flag(id) {
    return this.#slots.get(id).flag;
  }

  sent(id) {
    return this.#slots.get(id).sent;
  }

  sentBytes(id) {
    return this.#slots.get(id).sentBytes;
  }

  answers(id) {
    return this.#answersOf(this.#slots.get(id));
  }

  received(id) {
    return this.#slots.get(id).received;
  }

  queued(id) {
    return this.#slots.get(id).queue.length;
  }

  size(id) {
    return this.#slots.get(id).batchSize;
  }

  event(id, i) {
    const slot = this.#slots.get(id);
    slot.largeBuffers = [];
    return slot.batch?.at(i);
  }

  /** From now on JavaScript may post on the port too; a close needs the number of all messages. */
  count(id) {
    const slot = this.#slots.get(id),
      post = slot.port.postMessage;
    slot.exposedToPage = slot.passedOn = true; // JavaScript may answer the requests that arrive here
    if (slot.requestPort) slot.requestPort.passedOn = true; // JavaScript may transfer the reply port
    slot.largeBuffers = [];
    if (Object.hasOwn(slot.port, "postMessage")) return;
    slot.port.postMessage = function (...args) {
      post.apply(this, args);
      slot.sent++;
    };
  }

  /** JavaScript may answer a request that came here. */
  passOn(id) {
    const slot = this.#slots.get(id); // undefined if the port is closed
    if (slot) slot.passedOn = true;
  }

  // Sending --------------------------------------------------------------------------------------

  post(id, value) {
    const slot = this.#slots.get(id);
    this.#receiver.postCount++;
    slot.post.call(slot.port, normalizeScalar(value));
    slot.sent++;
    slot.sentBytes += value?.length ?? SCALAR_BYTES;
  }

  send(id, n, transfer, side, chunks) {
    const post = this.#countingPost(id, sizeOf(n, side, chunks));
    return dispatch(post, transfer, () => decode(this.#outgoing(n, chunks), side, this.#maxDepth));
  }

  sendTo(target, origin, n, transfer, side, chunks) {
    const to = windowOf(target);
    if (typeof to?.postMessage !== "function") return "target";
    this.#receiver.postCount++;
    const post = (value, list) =>
      to.postMessage(value, ...(origin === undefined ? [] : [origin]), list);
    return dispatch(post, transfer, () => decode(this.#outgoing(n, chunks), side, this.#maxDepth));
  }

  pack(id, table, names, /** @type {any} */ ...scanLimits) {
    this.#receiver.scan ??= new Scan(table, names, this.#maxDepth, scanLimits);
    this.#slots.get(id).usesPackedLane = true;
  }

  isPacked(event) {
    return isEnvelope(event.data);
  }

  sendPacked(id, n, exotic, transfer, side, chunks, buffers) {
    const segments = n ? [this.#memory.outgoing(n).slice()] : chunks;
    const refusal = exotic && this.#receiver.scan?.refusalOf(segments);
    if (refusal) return `packed ${refusal}`;
    const post = this.#countingPost(id, sizeOf(n, side, chunks) + sizeOf(0, buffers));
    return dispatch(post, transfer, () => toEnvelope(segments, side, buffers));
  }

  /** Return "" or the text of the browser's error. */
  clonable(value) {
    try {
      structuredClone(value);
      return "";
    } catch (error) {
      return /** @type {Error} */ (error).message;
    }
  }

  // Receiving ------------------------------------------------------------------------------------

  /**
   * Return what is queued, or 0 after recording that Python waits. `unconsumed` is the number of
   * messages in Python's buffer.
   */
  pollOrArm(id, mode, unconsumed) {
    const slot = this.#slots.get(id);
    this.#start(slot);
    if (unconsumed && slot.batch) slot.batch = slot.batch.slice(-unconsumed);
    else this.#receiver.releaseBatch(slot);
    if (slot.queue.length) return this.#receiver.takeBatch(slot, mode);
    slot.mode = mode;
    this.#memory.setFlag(slot, 0);
    return 0;
  }

  listen(id) {
    const slot = this.#slots.get(id);
    this.#start(slot);
    slot.mode = LISTEN;
    if (slot.queue.length) this.#receiver.flushLater(slot);
  }

  /** No task waits any more. */
  disarm(id) {
    const slot = this.#slots.get(id);
    slot.mode = 0;
    this.#memory.setFlag(slot, MUST_CALL);
  }

  start(id) {
    this.#start(this.#slots.get(id));
  }
}

// The JavaScript half of a port: it listens, collects what comes while Python is busy, and enters
// Python once for all of it. One callback serves every port, so that no message costs a proxy.
import { decode, normalizeScalar, sizeOf } from "./decode.mjs";
import { encode, tag } from "./encode.mjs";
import { isEnvelope, copyPlainStream, toEnvelope } from "./packed.mjs";
import { createScan } from "./scan.mjs";
import { dispatch } from "./dispatch.mjs";
import { createCalls } from "./calls.mjs";
import { createWindows, MAX_REJECTED } from "./windows.mjs";
import { createGuard, promisingCall, STEP } from "./enter.mjs";
import { keep, spare } from "./spare.mjs";

const BATCH = 256; // messages handed over in one call, at most
const STREAK = 16; // messages in a row that Python did not answer, after which arrivals are collected
const MAX_COALESCE_MS = 20; // ms that arrivals are collected at most: a busy page may never become idle
const SMALL = 8; // bytes; a number, or the frame of a call, for who counts them
const SHORT = 256; // characters; strings up to here cross as they are, faster than as a stream
const DATA = 1,
  LISTEN = 3; // what Python waits for; 2 is one message with its event
const TAKEN = 2; // what a delivery left to do: nothing at all
const ASK = 9; // in a port's flag: Python has to call, for something may be here. 0: it need not.

/**
 * one(id, now, value) and deliver(id, now, stays, n, extra) are Python's callbacks, and `shared` its
 * bytearray that carries the streams: n bytes are in it, or extra is [side, events, large, n] where
 * more than that is to be handed over. Unless `now`, step(id) wakes who waits, in a call that may
 * suspend. Behind the streams, `streams` bytes to Python and as many from it, lies a flag for each
 * port, by which Python says that it waits for DATA, and holds none, and learns whether it can, for
 * a call costs more than a byte.
 */
export function createBridge(
  onScalar,
  onBatch,
  step,
  shared,
  streams,
  limit,
  pyodide,
  onCall,
  onResults,
  running,
  onStrayMessage,
) {
  const { postMessage } = MessagePort.prototype;
  const slots = new Map(),
    ids = new WeakMap();
  const stackSwitching = "Suspending" in WebAssembly;
  const agent = globalThis.navigator?.userAgent ?? "";
  const webkit = agent.includes("AppleWebKit") && !agent.includes("Chrom");
  let lastId = 0,
    lastCoalescing = 0,
    posts = 0,
    flags = 0,
    scan,
    region = shared.getBuffer("u8");

  const heap = () => {
    // Wasm memory that grows leaves its old views empty
    if (region.data.byteLength === 0) region = shared.getBuffer("u8");
    return region.data;
  };
  const free = [];
  const onScalarNow = promisingCall(pyodide, onScalar),
    onBatchNow = promisingCall(pyodide, onBatch);
  const macrotaskChannel = new MessageChannel(),
    macrotasks = [];
  macrotaskChannel.port1.onmessage = () => macrotasks.shift()();
  macrotaskChannel.port1.unref?.(); // Node would wait for it
  const runInMacrotask = (f) => {
    macrotasks.push(f);
    macrotaskChannel.port2.postMessage(0);
  };
  const { isRunning, whenFree } = createGuard(pyodide, running, runInMacrotask);
  const idle = (f) => {
    if (!globalThis.scheduler?.postTask) return runInMacrotask(f);
    void scheduler.postTask(f, { priority: "background" });
    setTimeout(f, MAX_COALESCE_MS);
  };

  function attach(port, promising, allowed) {
    const id = ++lastId;
    const slot = {
      id,
      port,
      allowed,
      queue: [],
      batch: null,
      mode: 0,
      started: false,
      coalescing: 0,
      size: 0,
    };
    Object.assign(slot, { promising: promising && stackSwitching, streak: 0, posts });
    Object.assign(slot, { answered: 0, passedOn: false, replies: null, asker: null });
    Object.assign(slot, { sent: 0, received: 0, link: null, cleanup: null, calls: false });
    slot.native = tag(port) === "MessagePort"; // else a worker, or what is like one
    slot.post = slot.native ? postMessage : port.postMessage;
    Object.assign(slot, { exposedToPage: true, large: [], bytes: 0, packed: false });
    slot.flag = free.pop() ?? 2 * streams + flags++;
    setFlag(slot, ASK);
    slot.on = (event) => {
      if (allowed ? allowed(event) : slot.native || calls.concerns(slot, event))
        arrived(slot, event);
    };
    slots.set(id, slot);
    ids.set(port, id);
    return id;
  }

  function answersOf({ passedOn, answered, replies }) {
    if (passedOn) return -1;
    for (const reply of replies ?? []) if (reply.sent) answered++;
    return answered;
  }

  function start(slot) {
    if (slot.started) return;
    slot.started = true;
    slot.port.addEventListener("message", slot.on);
    slot.port.addEventListener("messageerror", slot.on);
    if (!slot.allowed) slot.port.addEventListener("close", slot.on); // no browser fires it yet
    if (slot.native) slot.port.start(); // after the listener: a started port without one loses its messages
  }

  function arrived(slot, event) {
    slot.received++;
    slot.channelPair?.checkReceived();
    const flag = heap()[slot.flag];
    if (flag === DATA) {
      slot.mode = DATA;
      releaseBatch(slot);
    }
    if (slot.mode === 0 || slot.coalescing) {
      slot.queue.push(event);
      if (slot.coalescing && slot.queue.length >= BATCH && !isRunning()) return flush(slot);
      return setFlag(slot, ASK);
    }
    // An event that Python made may come while Python runs.
    const free = !webkit && event.isTrusted !== false;
    slot.streak = slot.posts === posts ? slot.streak + 1 : 0;
    slot.posts = posts;
    const busy = isRunning();
    if (slot.streak <= STREAK && free && !busy) {
      if (slot.calls && slot.queue.length === 0 && calls.take(slot, event.data)) return;
      if (slot.mode === DATA && scalar(event.data)) {
        const batch = slot.batch ? slot.batch.concat(event) : [event];
        return handOver(slot, batch, event.data);
      }
      slot.queue.push(event);
      return flush(slot);
    }
    slot.queue.push(event);
    setFlag(slot, ASK);
    hold(slot, busy ? whenFree : slot.streak > STREAK ? idle : runInMacrotask);
  }

  /** Collect what arrives, and hand it over in the turn that `wait` chooses. */
  function hold(slot, wait) {
    const number = (slot.coalescing = ++lastCoalescing);
    wait(() => slot.coalescing === number && flush(slot));
  }

  function scalar(value) {
    const kind = typeof value;
    return kind === "string" ? value.length <= SHORT : kind === "number" || kind === "boolean";
  }

  function setFlag(slot, flag) {
    const data = heap();
    if (slot.flag < data.length) data[slot.flag] = flag;
  }

  function flush(slot) {
    if (isRunning()) return hold(slot, whenFree);
    slot.coalescing = 0;
    if (slot.mode === 0 || slot.queue.length === 0) return;
    if (slot.queue.length === 1 && slot.streak > STREAK) slot.streak = 0; // nothing gained: no burst
    const answers = slot.calls && calls.takeAnswers(slot, BATCH);
    const result = answers || pack(slot, slot.mode);
    if (slot.mode === LISTEN && slot.queue.length) runInMacrotask(() => flush(slot)); // before Python may raise
    if (answers) return calls.settle(slot, ...answers);
    const [size, extra] = typeof result === "number" ? [result] : [0, result];
    handOver(slot, slot.batch, undefined, size, extra);
  }

  function encoded(events, scan) {
    // with those that can't be, since a page took their buffers, as what the browser can't read
    try {
      return encode(events, limit, scan);
    } catch {
      const readable = (event) => {
        try {
          return encode([event], limit, scan) && event;
        } catch {
          return { type: "messageerror", origin: event.origin };
        }
      };
      return encode(events.map(readable), limit, scan);
    }
  }

  /** Python has all of a batch, and asked for none of its events. */
  function releaseBatch(slot) {
    slot.batch = null;
    for (const buffer of slot.large.splice(0)) if (!buffer.detached) keep(buffer);
  }

  /** The last act of a handler: Python stores what came, and whoever waits for it goes on. */
  function handOver(slot, batch, value, size, extra) {
    const alone = value !== undefined,
      stays = slot.mode === LISTEN;
    slot.batch = batch;
    if (alone) slot.large = [];
    if (!stays) {
      slot.mode = 0;
      setFlag(slot, slot.queue.length ? ASK : 0);
    }
    const settle = (left) => {
      if (slot.batch !== batch) return;
      if (left === TAKEN) releaseBatch(slot);
      else if (heap()[slot.flag] === 0) setFlag(slot, ASK); // its next call lets the batch go
    };
    if (slot.promising && onScalarNow) {
      const done = alone
        ? onScalarNow(slot.id, true, value)
        : onBatchNow(slot.id, true, stays, size, extra);
      return done.then(settle, reportError);
    }
    const now = !slot.promising;
    const left = alone ? onScalar(slot.id, now, value) : onBatch(slot.id, now, stays, size, extra);
    if (left !== STEP) return settle(left);
    return step.callPromising(slot.id).then(settle, reportError); // starts in a later microtask
  }

  function pack(slot, mode) {
    const events = slot.queue.length > BATCH ? slot.queue.splice(0, BATCH) : slot.queue;
    if (events === slot.queue) slot.queue = [];
    // Their order ends as Python's buffer ends. Events that are handed over are asked for no more.
    slot.batch = mode !== DATA ? null : slot.batch ? slot.batch.concat(events) : events;
    slot.size = events.length;
    setFlag(slot, ASK);
    const silent = mode === DATA || slot.calls; // nobody asks for their events
    if (silent && slot.packed && events.length === 1) {
      const size = copyPlainStream(events[0].data, heap().subarray(0, streams), scan);
      if (size) return -size; // which says that Python wrote it
    }
    const [bytes, side, copied] = encoded(events, slot.packed && scan);
    // Of a port that JavaScript may hold, or with its events, others may see what came.
    slot.large = slot.exposedToPage || mode !== DATA ? [] : copied;
    const data = heap();
    const large = bytes.length > streams ? bytes : undefined;
    if (!large) data.set(bytes);
    if (!large && side.length === 0 && silent) return bytes.length;
    return [side.length ? side : undefined, silent ? undefined : events, large, bytes.length];
  }

  // Firefox dispatches what was under way when a port was transferred at the old native port. One
  // listener serves all of those, and nothing but such a port itself keeps its number.
  const detachedIds = new WeakMap();
  const onStray = (event) => {
    const id = detachedIds.get(event.currentTarget);
    const handOver = () => {
      const [bytes, side] = encoded([event]);
      onStrayMessage(id, bytes, side.length ? side : undefined, event);
    };
    if (isRunning()) whenFree(handOver);
    else handOver();
  };

  function drop(id, close, detached) {
    const slot = slots.get(id);
    slots.delete(id);
    slot.mode = 0;
    setFlag(slot, ASK);
    free.push(slot.flag);
    slot.flag = NaN; // no byte is its own any more
    slot.queue = [];
    slot.port.removeEventListener("message", slot.on);
    slot.port.removeEventListener("messageerror", slot.on);
    slot.port.removeEventListener("close", slot.on);
    slot.cleanup?.();
    if (detached && slot.started) {
      detachedIds.set(slot.port, id);
      slot.port.addEventListener("message", onStray);
      slot.port.addEventListener("messageerror", onStray);
    }
    if (slot.asker?.replies.delete(slot)) {
      if (slot.sent) slot.asker.answered++;
      else if (detached) slot.asker.passedOn = true;
    }
    if (slot.allowed) return;
    ids.delete(slot.port);
    if (Object.hasOwn(slot.port, "postMessage")) delete slot.port.postMessage;
    if (close && slot.native) slot.port.close();
  }

  const stream = (n, chunks) => (n ? [heap().subarray(streams, streams + n)] : chunks);

  function counted(id, size) {
    const slot = slots.get(id);
    posts++;
    return (value, list) => {
      slot.post.call(slot.port, value, list);
      slot.sent++;
      slot.bytes += size;
    };
  }

  const post = (id, value) => {
    const slot = slots.get(id);
    posts++;
    slot.post.call(slot.port, normalizeScalar(value));
    slot.sent++;
    slot.bytes += value?.length ?? SMALL;
  };

  const calls = createCalls({ slots, post, onCall, onResults, step, pyodide });

  const windowOf = (target) =>
    tag(target) === "HTMLIFrameElement" ? target.contentWindow : target;

  return {
    channel(promising) {
      // two ids in a row
      const { port1, port2 } = new MessageChannel();
      const first = attach(port1, promising),
        second = attach(port2, promising);
      slots.get(first).exposedToPage = slots.get(second).exposedToPage = false;
      return first;
    },
    adopt(port, promising, askerId) {
      // 0: not a port. What came last with a message of the asker is what it may be answered on.
      if (port === null || typeof port !== "object") return 0;
      const id = ids.get(port) ?? (tag(port) === "MessagePort" ? attach(port, promising) : 0);
      const asker = askerId && slots.get(askerId);
      if (asker && id && id !== askerId) {
        const reply = slots.get(id);
        reply.asker = asker;
        (asker.replies ??= new Set()).add(reply);
      }
      return id;
    },
    endpoint(target, promising) {
      // a worker, or whatever else has messages; 0: not that, or a window, whose senders are unknown
      const able = ["postMessage", "addEventListener", "removeEventListener"];
      if (target === null || typeof target !== "object" || target.window === target) return 0;
      if (!able.every((name) => typeof target[name] === "function")) return 0;
      return ids.get(target) ?? attach(target, promising);
    },
    window(source, origins, place = globalThis) {
      const rejected = new Set();
      const id = attach(new EventTarget(), true, ({ source: from, origin }) => {
        // A window that is gone is null, and so is that of a removed frame: they are not the same.
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
      // from here on JavaScript may post on it too, which a close has to know
      const slot = slots.get(id),
        post = slot.port.postMessage;
      slot.exposedToPage = slot.passedOn = true; // it may answer what comes here
      if (slot.asker) slot.asker.passedOn = true; // it may transfer the port
      slot.large = [];
      if (Object.hasOwn(slot.port, "postMessage")) return;
      slot.port.postMessage = function (...args) {
        post.apply(this, args);
        slot.sent++;
      };
    },
    sent: (id) => slots.get(id).sent,
    sentBytes: (id) => slots.get(id).bytes,
    // How many reply ports were posted on; -1 where one was passed on, and may be answered elsewhere.
    answers: (id) => answersOf(slots.get(id)),
    passOn(id) {
      // JavaScript may answer what came here
      const slot = slots.get(id);
      if (slot) slot.passedOn = true;
    },
    received: (id) => slots.get(id).received,
    post,
    send(id, n, transfer, side, chunks) {
      const post = counted(id, sizeOf(n, side, chunks));
      return dispatch(post, transfer, () => decode(stream(n, chunks), side, limit));
    },
    sendTo(target, origin, n, transfer, side, chunks) {
      const to = windowOf(target);
      if (typeof to?.postMessage !== "function") return "target";
      posts++;
      const post = (value, list) =>
        to.postMessage(value, ...(origin === undefined ? [] : [origin]), list);
      return dispatch(post, transfer, () => decode(stream(n, chunks), side, limit));
    },
    pack(id, table, names, ...limits) {
      scan ??= createScan(table, names, limit, ...limits);
      slots.get(id).packed = true;
    },
    isPacked: (event) => isEnvelope(event.data),
    sendPacked(id, n, exotic, transfer, side, chunks, buffers) {
      const segments = n ? [heap().slice(streams, streams + n)] : chunks;
      const complaint = exotic && scan(segments);
      if (complaint) return `packed ${complaint}`;
      const post = counted(id, sizeOf(n, side, chunks) + sizeOf(0, buffers));
      return dispatch(post, transfer, () => toEnvelope(segments, side, buffers));
    },
    clonable(value) {
      // "" or the browser's complaint
      try {
        structuredClone(value);
        return "";
      } catch (error) {
        return error.message;
      }
    },
    pollOrArm(id, mode, unconsumed) {
      // what is queued, or 0 after noting that Python waits; it holds so many that nobody took
      const slot = slots.get(id);
      start(slot);
      if (unconsumed && slot.batch) slot.batch = slot.batch.slice(-unconsumed);
      else releaseBatch(slot);
      if (slot.queue.length) return pack(slot, mode);
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
      // nobody waits any more
      const slot = slots.get(id);
      slot.mode = 0;
      setFlag(slot, ASK);
    },
    start(id) {
      start(slots.get(id));
    },
    queued: (id) => slots.get(id).queue.length,
    size: (id) => slots.get(id).size, // of the last batch
    event(id, i) {
      const slot = slots.get(id);
      slot.large = [];
      return slot.batch?.at(i);
    },
    spare,
    drop,
    calls,
    windows: createWindows({ attach, arrived, start, slots, ids, windowOf, drop, answersOf }),
  };
}

// The JavaScript half of a port: it listens, collects what comes while Python is busy, and enters
// Python once for all of it. One callback serves every port, so that no message costs a proxy.
import { decode } from "./decode.mjs";
import { encode, tag } from "./encode.mjs";
import { createCalls } from "./calls.mjs";
import { createWindows } from "./windows.mjs";

const BATCH = 256; // messages handed over in one call, at most
const STREAK = 16; // messages in a row that Python did not answer, after which arrivals are collected
const DATA = 1,
  LISTEN = 3; // what Python waits for; 2 is one message with its event
const STEP = 1,
  TAKEN = 2; // what a delivery left to do: a task to step, or nothing at all
const TRANSFERABLE = new Set(
  (
    "ArrayBuffer MessagePort ImageBitmap OffscreenCanvas ReadableStream WritableStream TransformStream " +
    "AudioData VideoFrame RTCDataChannel MediaSourceHandle MediaStreamTrack MIDIAccess"
  ).split(" "),
);

/**
 * deliver(id, n, now, extra) is Python's callback, and `shared` its bytearray that carries the
 * streams: n bytes are in it, or extra is [side, events, large, n] where more than that is to be
 * handed over. Unless `now`, step(id) wakes who waits, in a call that may suspend.
 */
export function createBridge(deliver, step, shared, limit, asked, answered) {
  const { postMessage } = MessagePort.prototype;
  const slots = new Map(),
    ids = new WeakMap();
  const stackSwitching = "Suspending" in WebAssembly;
  const agent = globalThis.navigator?.userAgent ?? "";
  const webkit = agent.includes("AppleWebKit") && !agent.includes("Chrom");
  let lastId = 0,
    posts = 0,
    region = shared.getBuffer("u8");

  const heap = () => {
    // Wasm memory that grows leaves its old views empty
    if (region.data.byteLength === 0) region = shared.getBuffer("u8");
    return region.data;
  };
  const hop = new MessageChannel(),
    hops = [];
  hop.port1.onmessage = () => hops.shift()();
  hop.port1.unref?.(); // Node would wait for it
  const later = (f) => {
    hops.push(f);
    hop.port2.postMessage(0);
  };
  const idle = globalThis.scheduler?.postTask
    ? (f) => void scheduler.postTask(f, { priority: "background" })
    : later;

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
      held: false,
    };
    Object.assign(slot, { promising: promising && stackSwitching, streak: 0, posts });
    Object.assign(slot, { sent: 0, received: 0, link: null, cleanup: null, calls: false });
    slot.native = tag(port) === "MessagePort"; // else a worker, or what is like one
    slot.post = slot.native ? postMessage : port.postMessage;
    slot.on = (event) => {
      if (!allowed || allowed(event)) arrived(slot, event);
    };
    slots.set(id, slot);
    ids.set(port, id);
    return id;
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
    slot.queue.push(event);
    slot.received++;
    slot.link?.count();
    if (slot.mode === 0) return;
    if (slot.calls && slot.queue.length === 1 && !slot.held && !webkit) {
      const left = calls.take(slot, event.data);
      if (left !== undefined) {
        slot.queue.length = 0;
        if (left === STEP) step.callPromising(slot.id).catch(reportError);
        return;
      }
    }
    if (slot.held) return slot.queue.length >= BATCH ? flush(slot) : undefined;
    slot.streak = slot.posts === posts ? slot.streak + 1 : 0;
    slot.posts = posts;
    if (slot.streak <= STREAK && !webkit) return flush(slot);
    slot.held = true;
    (slot.streak > STREAK ? idle : later)(() => slot.held && flush(slot));
  }

  function flush(slot) {
    slot.held = false;
    if (slot.mode === 0 || slot.queue.length === 0) return;
    if (slot.queue.length === 1 && slot.streak > STREAK) slot.streak = 0; // nothing gained: no burst
    const result = pack(slot, slot.mode);
    if (slot.mode !== LISTEN) slot.mode = 0;
    const { batch } = slot;
    const forget = (taken) => {
      if (taken && slot.batch === batch) slot.batch = null;
    };
    const [size, extra] = typeof result === "number" ? [result] : [0, result];
    const left = deliver(slot.id, size, !slot.promising, extra);
    if (left === STEP)
      step.callPromising(slot.id).then(forget, reportError); // which starts in a later microtask
    else forget(left === TAKEN);
    if (slot.mode === LISTEN && slot.queue.length) later(() => flush(slot));
  }

  function pack(slot, mode) {
    const events = slot.queue.length > BATCH ? slot.queue.splice(0, BATCH) : slot.queue;
    if (events === slot.queue) slot.queue = [];
    slot.batch = events;
    const [bytes, side] = encode(events, limit);
    const data = heap();
    const large = bytes.length > data.length ? bytes : undefined;
    if (!large) data.set(bytes);
    if (!large && side.length === 0 && mode === DATA) return bytes.length;
    return [
      side.length ? side : undefined,
      mode === DATA ? undefined : events,
      large,
      bytes.length,
    ];
  }

  function dispatch(post, n, transfer, side, chunks) {
    posts++;
    const list = transfer ? [...transfer] : [];
    for (const [i, item] of list.entries()) {
      if (ArrayBuffer.isView(item)) list[i] = item.buffer;
      if (!TRANSFERABLE.has(tag(list[i]))) return `transfer ${i} ${tag(item)} is not transferable`;
      if (list.indexOf(list[i]) !== i) return `transfer ${i} it is in the list twice`;
      if (list[i].detached) return `transfer ${i} the buffer is already detached`;
    }
    try {
      const [value, fresh] = decode(n ? [heap().subarray(0, n)] : chunks, side, limit);
      post(value, fresh.length ? list.concat(fresh) : list);
      return undefined;
    } catch (error) {
      return `${error.name} ${error.message}`;
    }
  }

  function drop(id, close) {
    const slot = slots.get(id);
    slots.delete(id);
    slot.mode = 0;
    slot.queue = [];
    slot.port.removeEventListener("message", slot.on);
    slot.port.removeEventListener("messageerror", slot.on);
    slot.port.removeEventListener("close", slot.on);
    slot.cleanup?.();
    if (slot.allowed) return;
    ids.delete(slot.port);
    if (Object.hasOwn(slot.port, "postMessage")) delete slot.port.postMessage;
    if (close && slot.native) slot.port.close();
  }

  const post = (id, value) => {
    const slot = slots.get(id);
    posts++;
    slot.post.call(slot.port, value);
    slot.sent++;
  };
  const calls = createCalls({ slots, post, asked, answered });

  const windowOf = (target) =>
    tag(target) === "HTMLIFrameElement" ? target.contentWindow : target;

  return {
    channel(promising) {
      // two ids in a row
      const { port1, port2 } = new MessageChannel();
      attach(port1, promising);
      return attach(port2, promising) - 1;
    },
    adopt(port, promising) {
      // 0: not a port
      if (port === null || typeof port !== "object" || tag(port) !== "MessagePort") return 0;
      return ids.get(port) ?? attach(port, promising);
    },
    endpoint(target, promising) {
      // a worker, or whatever else has messages; 0: not that, or a window, whose senders are unknown
      const able = ["postMessage", "addEventListener", "removeEventListener"];
      if (target === null || typeof target !== "object" || target.window === target) return 0;
      if (!able.every((name) => typeof target[name] === "function")) return 0;
      return ids.get(target) ?? attach(target, promising);
    },
    window(source, origins) {
      const from = (event) => source === undefined || event.source === windowOf(source);
      const any = origins.includes("*");
      const id = attach(
        new EventTarget(),
        true,
        (event) => from(event) && (any || origins.includes(event.origin)),
      );
      slots.get(id).port = globalThis;
      return id;
    },
    native: (id) => slots.get(id).port,
    tag,
    count(id) {
      // from here on JavaScript may post on it too, which a close has to know
      const slot = slots.get(id),
        post = slot.port.postMessage;
      if (Object.hasOwn(slot.port, "postMessage")) return;
      slot.port.postMessage = function (...args) {
        post.apply(this, args);
        slot.sent++;
      };
    },
    sent: (id) => slots.get(id).sent,
    received: (id) => slots.get(id).received,
    post,
    send(id, n, transfer, side, chunks) {
      const slot = slots.get(id);
      const post = (value, list) => {
        slot.post.call(slot.port, value, list);
        slot.sent++;
      };
      return dispatch(post, n, transfer, side, chunks);
    },
    sendTo(target, origin, n, transfer, side, chunks) {
      const to = windowOf(target);
      if (typeof to?.postMessage !== "function") return "target";
      return dispatch(
        (value, list) => to.postMessage(value, origin, list),
        n,
        transfer,
        side,
        chunks,
      );
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
    want(id, mode) {
      // what is queued, or 0 after noting that Python waits
      const slot = slots.get(id);
      start(slot);
      if (slot.queue.length) return pack(slot, mode);
      slot.mode = mode;
      slot.batch = null;
      return 0;
    },
    listen(id) {
      const slot = slots.get(id);
      start(slot);
      slot.mode = LISTEN;
      if (slot.queue.length) later(() => flush(slot));
    },
    rest(id) {
      slots.get(id).mode = 0;
    }, // nobody waits any more
    start(id) {
      start(slots.get(id));
    },
    queued: (id) => slots.get(id).queue.length,
    event: (id, i) => slots.get(id).batch?.at(i),
    drop,
    calls,
    windows: createWindows({ attach, arrived, start, slots, ids, windowOf, drop }),
  };
}

// JavaScript doing the same work on the same kind of ports; each returns milliseconds.
import * as Comlink from "/vendor/comlink.mjs";
import { connect } from "/msgchan.mjs";

/** A string there and back, n times, between two ports of this page. */
export function roundtrip(message, n) {
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = ({ data }) => port2.postMessage(data);
  return thereAndBack(port1, message, n).finally(() => port2.close());
}

export async function roundtripFrame(message, n) {
  return thereAndBack(await connectFrame(), message, n);
}

function thereAndBack(port, message, n) {
  return new Promise((resolve) => {
    let left = n;
    port.onmessage = ({ data }) => {
      if (--left) return port.postMessage(message);
      if (data !== message) throw new Error("no echo");
      resolve(performance.now() - start);
      port.close();
    };
    const start = performance.now();
    port.postMessage(message);
  });
}

const frame = document.createElement("iframe");
let loaded;

/** A port whose other end echoes in a frame on the other origin. */
export async function connectFrame() {
  loaded ??= new Promise((resolve) => {
    frame.onload = resolve;
    frame.src = `${new URLSearchParams(location.search).get("frames")}/bench/frame.html`;
    document.body.append(frame);
  });
  await loaded;
  const { port1, port2 } = new MessageChannel();
  const answered = new Promise((resolve) => {
    port1.onmessage = resolve;
  });
  frame.contentWindow.postMessage(null, "*", [port2]);
  port1.postMessage("there?");
  await answered;
  port1.onmessage = null;
  return port1;
}

export function postSmallObjects(port, n) {
  for (let i = 0; i < n; i++) port.postMessage({ id: i, kind: "tick", value: i / 4, last: false });
}

/** n times `size` small objects at once, each read by the handler. */
export function burst(size, n) {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    let left = n;
    port2.onmessage = ({ data }) => {
      if (data.id < size - 1) return;
      if (--left) return postSmallObjects(port1, size);
      resolve(performance.now() - start);
      port1.close();
      port2.close();
    };
    const start = performance.now();
    postSmallObjects(port1, size);
  });
}

/**
 * The least that bytes from Python to Python cost: a copy out of one memory, a transfer, a copy
 * into another. All of it was written to before, so no page of memory is new to the system.
 */
export function copyTransferCopy(size, n) {
  const { port1, port2 } = new MessageChannel();
  const source = new Uint8Array(size).fill(1);
  const target = new Uint8Array(size).fill(2);
  let between = new Uint8Array(size).fill(3);
  return new Promise((resolve) => {
    let left = n;
    const send = () => {
      between.set(source);
      port1.postMessage(between, [between.buffer]);
    };
    port2.onmessage = ({ data }) => {
      between = data;
      target.set(between);
      if (--left) return send();
      resolve(performance.now() - start);
      port1.close();
      port2.close();
    };
    const start = performance.now();
    send();
  });
}

/** Bytes that Python's side of a page has allocated and not freed: what malloc itself says. */
export function allocatedBytes(module) {
  const at = module._malloc(40); // struct mallinfo: ten ints, the eighth of which is uordblks
  module._mallinfo(at);
  const bytes = module.HEAP32[at / 4 + 7];
  module._free(at);
  return bytes;
}

/** Collect garbage, where the browser was started with the right to ask for it. */
export function collect() {
  globalThis.gc?.();
}

const adder = { add: (a, b) => a + b };

/** Comlink's exposer in this page; gives the port to its other end. */
export function exposeAdder() {
  const { port1, port2 } = new MessageChannel();
  Comlink.expose(adder, port2);
  return port1;
}

/** n calls in turn, to whatever is exposed at the port's other end; by default Comlink's. */
export async function calls(n, port = exposeAdder()) {
  const remote = Comlink.wrap(port);
  const start = performance.now();
  let sum = 0;
  for (let i = 0; i < n; i++) sum += await remote.add(1, 2);
  const took = performance.now() - start;
  if (sum !== 3 * n) throw new Error(`${sum} is no sum of ${n} threes`);
  port.close();
  return took;
}

/** n times `size` calls, all sent before the first is awaited. */
export async function callsAtOnce(size, n) {
  const port = exposeAdder();
  const remote = Comlink.wrap(port);
  const start = performance.now();
  for (let i = 0; i < n; i++) {
    const pending = Array.from({ length: size }, () => remote.add(1, 2));
    for (const call of pending) await call;
  }
  const took = performance.now() - start;
  port.close();
  return took;
}

/** A frame that accepts connections, once it has loaded. */
export function openPeer(base) {
  const element = document.createElement("iframe");
  element.src = `${base || location.origin}/bench/peer.html`;
  document.body.append(element);
  return heard(element, "loaded").then(() => element);
}

/** Let the frame wait for a connection of that name. */
export function ready(element, name) {
  element.contentWindow.postMessage({ bench: "accept", name }, "*");
  return heard(element, "ready");
}

function heard(element, word) {
  return new Promise((resolve) => {
    addEventListener("message", function on({ data, source }) {
      if (source !== element.contentWindow || data.bench !== word) return;
      removeEventListener("message", on);
      resolve();
    });
  });
}

/** Hand a port over by hand, n times: who is there, an offer to that origin, its answer. */
export async function handshakes(element, n) {
  const { origin } = new URL(element.src);
  const start = performance.now();
  for (let i = 0; i < n; i++) {
    const nonce = crypto.randomUUID();
    await new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      addEventListener("message", function on(event) {
        if (event.source !== element.contentWindow || event.origin !== origin) return;
        if (event.data.hand !== "hello" || event.data.nonce !== nonce) return;
        removeEventListener("message", on);
        element.contentWindow.postMessage({ hand: "offer", nonce }, origin, [port2]);
      });
      port1.onmessage = ({ data }) => data.nonce === nonce && resolve(port1.close());
      element.contentWindow.postMessage({ hand: "probe", nonce }, origin);
    });
  }
  return performance.now() - start;
}

/** A port to such a frame, connected without Python. */
export async function connectPeer(element, name) {
  return (await connect(element, { name })).port;
}

/** n times, all frames post so many messages at once, each read by the handler. */
export function floods(ports, share, n) {
  return new Promise((resolve) => {
    let rounds = n;
    let left = 0;
    const ask = () => {
      left = share * ports.length;
      for (const port of ports) port.postMessage({ flood: share });
    };
    for (const port of ports) {
      port.onmessage = ({ data }) => {
        if (data.kind !== "tick" || --left) return;
        if (--rounds) return ask();
        resolve(performance.now() - start);
      };
    }
    const start = performance.now();
    ask();
  });
}

/** So many proxies at once: the milliseconds to make them, and to call each, in turn. As JSON. */
export async function liveProxies(size) {
  const { port1, port2 } = new MessageChannel();
  Comlink.expose({ make: () => Comlink.proxy(adder) }, port2);
  const maker = Comlink.wrap(port1);
  const start = performance.now();
  const made = [];
  while (made.length < size) made.push(await maker.make());
  const called = performance.now();
  let sum = 0;
  for (const remote of made) sum += await remote.add(1, 2);
  const done = performance.now();
  if (sum !== 3 * size) throw new Error(`${sum} is no sum of ${size} threes`);
  for (const remote of made) remote[Comlink.releaseProxy]();
  port1.close();
  const took = { "Comlink: made": called - start, "Comlink: called once each": done - called };
  return JSON.stringify(took);
}

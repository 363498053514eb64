// msgchan.mjs between two endpoints on Node's ports, which stand where a worker and its owner do. What
// windows, frames and workers of a browser do is shown by tests in browsers.
import assert from "node:assert/strict";
import { afterEach, before, describe, it } from "node:test";

import {
  accept,
  ANY_ORIGIN,
  connect,
  HandshakeError,
  OPAQUE_ORIGIN,
} from "../../pyodide_msgchan/js/msgchan.mjs";

class Worker extends EventTarget {
  get [Symbol.toStringTag]() {
    return "Worker";
  }
}

const ports = [];

/** Two ends of which each is the other's worker. */
function workers() {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  return [port1, port2].map((port) => {
    const worker = new Worker();
    worker.postMessage = (data, { transfer }) => port.postMessage(data, transfer);
    port.onmessage = ({ data, ports: [...sent] }) => {
      const event = new Event("message");
      worker.dispatchEvent(Object.assign(event, { data, ports: sent, source: null, origin: "" }));
    };
    return worker;
  });
}

const both = async (options, others = options) => {
  const [one, other] = workers();
  return Promise.all([connect(one, options), accept({ source: other, ...others })]);
};
const received = (port) => new Promise((resolve) => (port.onmessage = ({ data }) => resolve(data)));
const code = (expected) => (error) => error instanceof HandshakeError && error.code === expected;

before(() => {
  // A page or worker has it; here only its name is used, and nothing happens to it.
  globalThis.self ??= Object.assign(new EventTarget(), { origin: "https://a.example" });
});
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

describe("a connection", () => {
  it("carries messages, and ends with a goodbye that counts them", async () => {
    const [ours, theirs] = await both({ name: "editor" });
    assert.deepEqual([ours.peer.origin, ours.peer.runtime], [null, "javascript"]);
    assert.deepEqual(ours.peer.capabilities, ["clone"]);
    assert.equal(theirs.originVerified, true);
    const arrived = received(theirs.port);
    ours.port.postMessage({ hello: 1 });
    assert.deepEqual(await arrived, { hello: 1 });
    ours.close();
    ours.close(); // has no effect
    assert.deepEqual(await ours.closed, { reason: "local", missing: null });
    assert.deepEqual(await theirs.closed, { reason: "closed", missing: 0 });
  });

  it("comes about in either order", async () => {
    const [one, other] = workers();
    const accepting = accept({ source: other });
    await new Promise((resolve) => one.addEventListener("message", resolve, { once: true }));
    const ours = await connect(one);
    (await accepting).close();
    assert.equal((await ours.closed).reason, "closed");
  });

  it("delivers what was posted before the end", async () => {
    const [ours, theirs] = await both({});
    for (let i = 0; i < 10; i++) ours.port.postMessage(i);
    ours.close();
    const messages = [];
    theirs.port.onmessage = ({ data }) => messages.push(data);
    assert.deepEqual(await theirs.closed, { reason: "closed", missing: 0 });
    assert.deepEqual(messages, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe("an attempt", () => {
  it("fails when its time is over", async () => {
    const [one] = workers();
    await assert.rejects(connect(one, { timeout: 0.01 }), code("timeout"));
  });

  it("is named when both sides do the same", async () => {
    const [one, other] = workers();
    const connecting = [one, other].map((end) => connect(end, { timeout: 0.2 }));
    for (const { reason } of await Promise.allSettled(connecting))
      assert.match(reason.message, /both sides connect, and one must accept/);
  });

  it("is aborted by a signal", async () => {
    const [one] = workers();
    const stop = new AbortController();
    const attempt = connect(one, { signal: stop.signal });
    stop.abort("enough");
    await assert.rejects(attempt, (error) => code("aborted")(error) && error.cause === "enough");
    await assert.rejects(connect(one, { signal: stop.signal }), code("aborted"));
  });

  it("is the only accept of its name", async () => {
    const [, other] = workers();
    const stop = new AbortController();
    const first = accept({ source: other, signal: stop.signal });
    await assert.rejects(accept({ source: other }), code("name-in-use"));
    stop.abort();
    await assert.rejects(first, code("aborted"));
  });

  it("is refused while a connection of its name is open", async () => {
    const [one, other] = workers();
    const [ours] = await Promise.all([connect(one), accept({ source: other })]);
    await assert.rejects(connect(one), code("taken"));
    ours.close();
  });

  it("fails when the worker's script does", async () => {
    const [one] = workers();
    const attempt = connect(one);
    one.dispatchEvent(new Event("error"));
    await assert.rejects(attempt, code("worker-failed"));
  });

  it("hears nothing in messages of others", async () => {
    const [one, other] = workers();
    const attempt = connect(one, { timeout: 0.1 });
    const hello = { msgchan: 1, type: "hello", name: "", id: "1", nonce: "2" };
    const broken = [
      null,
      1,
      {},
      { ...hello, id: 1 },
      { ...hello, name: "x" },
      { ...hello, to: "y" },
    ];
    for (const data of [...broken, { ...hello, nonce: "" }, { ...hello, msgchan: "1" }])
      other.postMessage(data, {});
    await assert.rejects(attempt, code("timeout"));
    const older = connect(one);
    other.postMessage({ ...hello, msgchan: 2 }, {});
    await assert.rejects(older, code("version"));
  });
});

describe("arguments", () => {
  it("name origins as a browser writes them", async () => {
    const origins = ["*", "null", "a.example", "https://a.example/", "https://*.example", 1, []];
    for (const origin of origins)
      await assert.rejects(connect({}, { origin }), TypeError, String(origin));
    assert.deepEqual([typeof ANY_ORIGIN, typeof OPAQUE_ORIGIN], ["symbol", "symbol"]);
  });

  it("are checked before anything is sent", async () => {
    const [one] = workers();
    await assert.rejects(connect(null), TypeError);
    await assert.rejects(connect(one, { name: "x".repeat(201) }), TypeError);
    await assert.rejects(connect(one, { origin: "https://a.example" }), TypeError);
  });
});

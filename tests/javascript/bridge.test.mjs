// bridge.mjs and windows.mjs without Python: a bridge of its own for each test, on Node's ports.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";

import { createBridge } from "../../pyodide_msgchan/js/src/bridge.mjs";
import { decode } from "../../pyodide_msgchan/js/src/decode.mjs";

const STREAM = 1 << 12; // bytes
const DATA = 1; // the mode of who waits for messages
const MUST_CALL = 9;
const ALL_CONSUMED = 2;

/** A bridge, its memory, and what it told Python, with a promise for the next of it. */
function newBridge() {
  const memory = new Uint8Array(2 * STREAM + 64);
  const told = [];
  let tell = () => {};
  const note = (...words) => {
    told.push(words);
    tell();
    return ALL_CONSUMED;
  };
  const native = createBridge(
    (...words) => note("scalar", ...words),
    (id, now, stays, size, extra) => note("batch", id, size, extra, memory.slice(0, size)),
    () => {},
    { getBuffer: () => ({ data: memory }) },
    STREAM,
    500,
    undefined,
    () => {},
    () => {},
    () => false,
    (...words) => note("stray", ...words),
  );
  const next = () => new Promise((resolve) => (tell = resolve));
  return { native, memory, told, next };
}

const received = (port) =>
  new Promise((resolve) => port.addEventListener("message", ({ data }) => resolve(data), { once: true })); // prettier-ignore

const ports = [];
const channel = () => {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  return [port1, port2];
};
let bridge;
beforeEach(() => (bridge = newBridge()));
afterEach(() => {
  for (const port of ports.splice(0)) port.close();
});

describe("a port", () => {
  it("passes a message to the waiting task", async () => {
    const { native, told, next } = bridge;
    const [mine, other] = channel();
    const id = native.adopt(mine, false, 0);
    assert.equal(native.pollOrArm(id, DATA, 0), 0);
    const arrived = next();
    other.postMessage("hello");
    await arrived;
    const [[, to, size, extra, bytes]] = told;
    assert.deepEqual([to, extra], [id, undefined]);
    assert.deepEqual(decode([bytes.slice(0, size)], [], 9)[0], ["hello"]);
    assert.equal(native.received(id), 1);
    native.drop(id, true, false);
  });

  it("queues what nobody waits for, and returns it in one batch", async () => {
    const { native, memory } = bridge;
    const [mine, other] = channel();
    const id = native.adopt(mine, false, 0);
    native.start(id);
    const last = received(mine);
    other.postMessage({ a: 1 });
    await last;
    assert.equal(native.queued(id), 1);
    assert.equal(memory[native.flag(id)], MUST_CALL);
    const size = native.pollOrArm(id, DATA, 0);
    assert.deepEqual(decode([memory.slice(0, size)], [], 9)[0], [{ a: 1 }]);
    native.drop(id, true, false);
  });

  it("is adopted once, and nothing else is", () => {
    const { native } = bridge;
    const [mine] = channel();
    const id = native.adopt(mine, false, 0);
    assert.equal(native.adopt(mine, false, 0), id);
    for (const other of [null, 1, {}, { [Symbol.toStringTag]: "MessagePort" }])
      assert.equal(native.adopt(other, false, 0), 0);
    assert.equal(native.endpoint({ postMessage() {} }, false), 0);
  });

  it("sends what Python encoded, and names what is not transferable", async () => {
    const { native, memory } = bridge;
    const [mine, other] = channel();
    const id = native.adopt(mine, false, 0);
    memory.set([0x80, 5, 0x4b, 7, 0x2e], STREAM);
    const arrived = received(other);
    other.start();
    assert.equal(native.send(id, 5, undefined, [], undefined), undefined);
    assert.equal(await arrived, 7);
    assert.equal(native.sent(id), 1);
    const refused = (list) => native.send(id, 5, list, [], undefined);
    const buffer = new ArrayBuffer(1);
    assert.equal(refused([{}]), "transfer 0 Object is not transferable");
    assert.equal(refused([buffer, buffer]), "transfer 1 it is in the list twice");
    assert.equal(native.sent(id), 1);
  });

  it("of one bridge is unknown to another on the same module", () => {
    const other = newBridge();
    const [mine] = channel();
    const id = bridge.native.adopt(mine, false, 0);
    assert.throws(() => other.native.received(id));
    assert.equal(other.native.channel(false), 1);
  });

  it("counts the replies that a request got", () => {
    const { native } = bridge;
    const [mine] = channel();
    const [reply] = channel();
    const id = native.adopt(mine, false, 0);
    const replyId = native.adopt(reply, false, id);
    assert.equal(native.answers(id), 0);
    native.post(replyId, "done");
    assert.equal(native.answers(id), 1);
    native.drop(replyId, true, false);
    assert.equal(native.answers(id), 1);
    native.passOn(id);
    assert.equal(native.answers(id), -1);
  });
});

describe("a connection", () => {
  /** The ids of a connection's two ports, and the ports of its peer. */
  function connected() {
    const [data, peerData] = channel();
    const [control, peerControl] = channel();
    const [id, controlId] = bridge.native.windows.adoptPair([data, control], false, globalThis);
    return { data, control, id, controlId, peerData, peerControl };
  }

  it("takes no ports that are in use", () => {
    const { data, control } = connected();
    assert.equal(bridge.native.windows.adoptPair([data, control], false), undefined);
  });

  it("says goodbye with the number of its messages, and closes after the farewell", async () => {
    const { id, controlId, peerControl } = connected();
    const { native } = bridge;
    native.post(id, "one");
    const goodbye = received(peerControl);
    peerControl.start();
    native.windows.closeGracefully(controlId, true);
    assert.deepEqual(await goodbye, { type: "goodbye", sent: 1, answers: 0, reason: "close" });
    assert.ok(native.windows.awaitsFarewell(controlId));
    const closed = new Promise((resolve) => peerControl.addEventListener("close", resolve));
    peerControl.postMessage({ type: "farewell" });
    await closed;
    assert.throws(() => native.received(id));
  });

  it("says farewell once all that a goodbye counts has arrived", async () => {
    const { id, controlId, peerData, peerControl } = connected();
    const { native } = bridge;
    const farewell = received(peerControl);
    peerControl.start();
    native.windows.expect(controlId, 2);
    peerData.postMessage("one");
    peerData.postMessage("two");
    assert.deepEqual(await farewell, { type: "farewell" });
    assert.equal(native.received(id), 2);
    native.windows.closeGracefully(controlId, false);
    assert.equal(native.windows.awaitsFarewell(controlId), false);
  });

  it("is refused with a reason", async () => {
    const [data] = channel();
    const [control, peerControl] = channel();
    const refusal = received(peerControl);
    peerControl.start();
    bridge.native.windows.discard([data, control], "refusal", "taken");
    assert.deepEqual(await refusal, { type: "refusal", reason: "taken", sent: 0 });
  });
});

it("what can be connected to is told from what can't", () => {
  const { kindOf, isGone } = bridge.native.windows;
  for (const other of [null, 1, {}, new MessageChannel().port1, { postMessage: 1 }])
    assert.equal(kindOf(other), "");
  const hostile = new Proxy({}, { get: () => assert.fail("as a window of another origin does") });
  assert.equal(kindOf(hostile), "");
  assert.equal(isGone({}), false);
});

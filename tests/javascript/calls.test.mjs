// calls.mjs: which messages are plain calls and results, and how they are written.
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";

import { Calls } from "../../pyodide_msgchan/js/src/calls.mjs";

const raw = (value) => ({ type: "RAW", value });
const apply = (fields) => ({ id: "1", type: "APPLY", path: ["f"], argumentList: [], ...fields });

let calls, slot, posted, called, results;
beforeEach(() => {
  [posted, called, results] = [[], [], []];
  slot = { id: 7, promising: false, queue: [] };
  calls = new Calls({
    slots: new Map([[7, slot]]),
    post: (id, value) => posted.push([id, value]),
    onCall: (...words) => {
      called.push(words);
      return words.includes("answered at once") ? 42 : undefined;
    },
    onResults: (...words) => void results.push(words),
    onStep: undefined,
    pyodide: undefined,
  });
  calls.begin(7, "me:");
});

describe("calls", () => {
  it("are written for the other side", () => {
    calls.call(7, 5, "add", 1, BigInt(Number.MAX_SAFE_INTEGER), undefined);
    calls.call(7, 6, undefined);
    const values = [raw(1), raw(Number.MAX_SAFE_INTEGER), raw(undefined)];
    assert.deepEqual(posted, [
      [7, { id: "me:5", type: "APPLY", path: ["add"], argumentList: values }],
      [7, { id: "me:6", type: "APPLY", path: [], argumentList: [] }],
    ]);
  });

  it("of plain values reach Python", () => {
    assert.ok(calls.takeMessage(slot, apply({ argumentList: [raw(1), raw("a"), raw(null)] })));
    assert.ok(calls.takeMessage(slot, apply({ path: [] })));
    assert.deepEqual(called, [[7, true, "1", "f", 1, "a", undefined], [7, true, "1", undefined]]); // prettier-ignore
    assert.deepEqual(posted, []);
  });

  it("are answered at once if Python can", () => {
    calls.takeMessage(slot, apply({ argumentList: [raw("answered at once")] }));
    assert.deepEqual(posted, [[7, { id: "1", type: "RAW", value: 42 }]]);
    calls.answer(7, "2", "later");
    assert.deepEqual(posted[1], [7, { id: "2", type: "RAW", value: "later" }]);
  });

  it("pass a name as the number that Python gave it", () => {
    calls.assignNumber("f", 3);
    calls.takeMessage(slot, apply({}));
    assert.equal(called[0][3], 3);
  });

  it("of other kinds are ordinary messages", () => {
    const others = [
      null,
      "text",
      apply({ id: 1 }),
      apply({ id: "x".repeat(1001) }),
      apply({ type: "GET" }),
      apply({ path: ["a", "b"] }),
      apply({ path: [1] }),
      apply({ path: ["x".repeat(101)] }),
      apply({ keywords: {} }),
      apply({ argumentList: "no" }),
      apply({ argumentList: [raw({})] }),
      apply({ argumentList: [{ type: "HANDLER" }] }),
      apply({ argumentList: Array(101).fill(raw(1)) }),
    ];
    for (const data of others) assert.equal(calls.takeMessage(slot, data), false);
    assert.deepEqual([called, results], [[], []]);
  });
});

describe("results", () => {
  it("of this end's calls reach Python", () => {
    assert.ok(calls.takeMessage(slot, { id: "me:12", ...raw(3) }));
    assert.deepEqual(results, [[7, true, 12, 3]]);
  });

  it("of others, and forged ones, do not", () => {
    for (const id of ["you:1", "me:", "me:01", "me:1.5", "me:0x1", "me:1e3", 1])
      assert.equal(calls.takeMessage(slot, { id, ...raw(3) }), false);
    assert.equal(calls.takeMessage(slot, { id: "me:1", ...raw({}) }), false);
  });

  it("that are queued are taken together, if there are several", () => {
    const queue = (...ids) => (slot.queue = ids.map((id) => ({ data: { id, ...raw(id) } })));
    queue("me:1", "me:2", "other", "me:3");
    assert.deepEqual(calls.takeResults(slot, 10), [1, "me:1", 2, "me:2"]);
    assert.equal(slot.queue.length, 2);
    assert.equal(calls.takeResults(slot, 10), false);
    queue("me:1", "me:2", "me:3");
    assert.equal(calls.takeResults(slot, 2).length, 4);
  });
});

it("at a target that others use too, only what is for this end is passed on", () => {
  const event = (data, type = "message") => ({ type, data });
  const isMine = (...words) => calls.isForThisEnd(slot, event(...words));
  assert.ok(isMine(null, "messageerror"));
  assert.ok(isMine({ id: "me:1", type: "RAW" }));
  assert.ok(isMine({ type: "NEXT", about: { id: "me:1", type: "HANDLER" } }));
  assert.ok(!isMine({ id: "you:1", type: "RAW" }));
  assert.ok(!isMine({ id: "1", type: "GET" }));
  calls.serve(7, true);
  assert.ok(isMine({ id: "1", type: "GET" }));
  assert.ok(!isMine({ id: "1", type: "OTHER" }));
  assert.ok(!isMine(null));
  calls.serve(8, true); // a port that is closed by now
});

// scan.mjs and packed.mjs: what is refused before Python's unpickler reads it. The host test of
// attacks compares thousands of streams with the scan in Python.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { copyPlainStream, isEnvelope, toEnvelope } from "../../pyodide_msgchan/js/src/packed.mjs";
import { ACTIONS, Scan } from "../../pyodide_msgchan/js/src/scan.mjs";

const OPCODES = {
  constant: [0x4e, 0x88, 0x89],
  short: [0x4b],
  fixed8: [0x47],
  text1: [0x8c],
  long1: [0x8a],
  list: [0x5d],
  dict: [0x7d],
  set: [0x8f],
  mark: [0x28],
  append: [0x61],
  appends: [0x65],
  setitem: [0x73],
  setitems: [0x75],
  additems: [0x90],
  tuple1: [0x85],
  tuple2: [0x86],
  memoize: [0x94],
  get1: [0x68],
  pop: [0x30],
  global: [0x93],
  reduce: [0x52],
  stop: [0x2e],
};
const table = new Uint8Array(256);
for (const [name, codes] of Object.entries(OPCODES))
  for (const code of codes) table[code] = ACTIONS.split(" ").indexOf(name) + 1;
const [LIMIT, HASHABLE, KEY_DEPTH, KEY_WEIGHT, UNCOUNTED] = [20, 10, 8, 100, 2];
const NAMES = ["module", "make", "fill"];
const newScan = () => new Scan(table, NAMES, LIMIT, [HASHABLE, KEY_DEPTH, KEY_WEIGHT, UNCOUNTED]);

const text = (word) => [0x8c, word.length, ...Buffer.from(word)];
const stream = (...bytes) => Uint8Array.from([0x80, 5, ...bytes.flat(), 0x2e]);
const MAKE = [...text("module"), ...text("make"), 0x93];

describe("scan", () => {
  const scan = newScan();
  const allowed = {
    "a number": [0x4b, 1],
    "a list of lists": [0x5d, 0x5d, 0x61],
    "a dict": [0x7d, 0x28, text("key"), 0x4b, 1, 0x75],
    "a value twice": [0x5d, 0x94, 0x28, text("a"), 0x94, 0x68, 1, 0x65],
    "a call of make": [MAKE, 0x4b, 0, text("1"), 0x86, 0x52],
    "much text": [0x5d, 0x28, ...Array(60).fill(text("many words")), 0x65],
  };
  for (const [what, bytes] of Object.entries(allowed))
    it(`takes ${what}`, () => assert.equal(scan.refusalOf([stream(...bytes)]), ""));

  const refused = {
    "not one value": [[], [0x4b, 1, 0x4b, 1], MAKE],
    "cut off": [[0x8c, 200, 1]],
    "nothing to take": [[0x61], [0x5d, 0x28, 0x61]],
    "no mark": [[0x65]],
    "a reference to nothing": [[0x68, 0]],
    "a name that is not allowed": [[text("os"), text("system"), 0x93]],
    "a call that is not allowed": [[0x5d, 0x4b, 1, 0x85, 0x52]],
    "a key without a value": [[0x7d, 0x28, 0x4b, 1, 0x75]],
    "a key that can't be one": [[0x7d, 0x5d, 0x4b, 1, 0x73]],
    "a function among values": [[0x5d, MAKE, 0x61]],
    "items for what holds none": [[0x7d, 0x4b, 1, 0x61]],
    "the opcode 0x51 is not allowed": [[0x51]],
    [`nested deeper than ${LIMIT} levels`]: [[...Array(21).fill(0x5d), ...Array(20).fill(0x61)]],
  };
  for (const [why, bodies] of Object.entries(refused))
    it(`refuses: ${why}`, () => {
      for (const bytes of bodies) assert.equal(scan.refusalOf([stream(...bytes)]), why);
    });

  it("refuses other formats, two values, and no segment", () => {
    assert.equal(scan.refusalOf([Uint8Array.of(0x80, 4, 0x4e, 0x2e)]), "no stream of this format");
    assert.equal(scan.refusalOf([Uint8Array.of(0x80, 5, 0x4e, 0x2e, 0x2e)]), "more than one value");
    assert.equal(scan.refusalOf([]), "cut off");
  });

  it("works after a refusal", () => {
    assert.notEqual(scan.refusalOf([stream(0x5d, 0x94, 0x28)]), "");
    assert.equal(scan.refusalOf([stream(0x4b, 1)]), "");
  });

  it("says whether a stream calls functions", () => {
    scan.refusalOf([stream(0x4b, 1)]);
    assert.equal(scan.plain, true);
    scan.refusalOf([stream(...allowed["a call of make"])]);
    assert.equal(scan.plain, false);
  });

  it("keeps the state of two scans apart", () => {
    const other = newScan();
    scan.refusalOf([stream(...allowed["a call of make"])]);
    other.refusalOf([stream(0x4b, 1)]);
    assert.deepEqual([scan.plain, other.plain], [false, true]);
  });

  it("lets Python count keys whose hashes can be chosen", () => {
    const key = (n) => [0x8a, 9, n, 0, 0, 0, 0, 0, 0, 0, 1, 0x4e];
    const few = stream(0x7d, 0x28, key(1), key(2), 0x75);
    assert.deepEqual([scan.refusalOf([few]), scan.prepare([few])[0]], ["", few]);
    const many = stream(0x7d, 0x28, key(1), key(2), key(3), 0x75);
    assert.equal(scan.refusalOf([many]), "");
    const prepared = scan.prepare([many])[0];
    assert.deepEqual([...prepared.subarray(-4)], [0x74, 0x86, 0x51, 0x2e]);
    assert.equal(prepared.length, many.length + 2);
  });
});

describe("packed", () => {
  const scan = newScan();
  const memory = new Uint8Array(100);

  it("copies a plain stream into memory", () => {
    const plain = stream(0x4b, 1);
    assert.equal(copyPlainStream({ msgchan: plain }, memory, scan), plain.length);
    assert.deepEqual(memory.slice(0, plain.length), plain);
  });

  it("leaves other messages to encode", () => {
    const others = [
      1,
      null,
      { msgchan: stream(MAKE, 0x4b, 0, text("1"), 0x86, 0x52) },
      { msgchan: stream(0x61) },
      { msgchan: new Uint8Array(200) },
      { msgchan: [stream(), stream()] },
      { msgchan: new Uint8Array(new SharedArrayBuffer(8)) },
    ];
    for (const data of others) assert.equal(copyPlainStream(data, memory, scan), 0);
  });

  it("clones a short stream, and transfers others", () => {
    const short = stream(0x4e);
    assert.deepEqual(toEnvelope([short]), [{ msgchan: short }, []]);
    const buffer = new Uint8Array(8).subarray(2);
    const [envelope, list] = toEnvelope([new Uint8Array(2000)], undefined, [buffer]);
    assert.ok(isEnvelope(envelope));
    assert.deepEqual(list.map((one) => one.byteLength), [2000, 6]); // prettier-ignore
  });
});

// encode.mjs and decode.mjs: values in pickle streams, to Python and from it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { decode, normalizeScalar, sizeOf } from "../../pyodide_msgchan/js/src/decode.mjs";
import { encode, tag } from "../../pyodide_msgchan/js/src/encode.mjs";

const DEPTH = 500;
const message = (data) => ({ type: "message", data });
const bytesOf = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const encoded = (...values) => encode(values.map(message), DEPTH, undefined);
const decoded = (hex, side = []) => decode([bytesOf(hex)], side, DEPTH);

/** What encode writes, read by decode, which knows the same opcodes but those for calls. */
function thereAndBack(value) {
  const [bytes, side] = encoded(value);
  assert.deepEqual(side, []);
  return decode([bytes.slice()], [], DEPTH)[0][0];
}

describe("encode", () => {
  const values = [
    undefined,
    true,
    false,
    0,
    255,
    256,
    -1,
    2 ** 31,
    Number.MAX_SAFE_INTEGER,
    1.5,
    NaN,
    -Infinity,
    2n ** 70n,
    -(2n ** 70n),
    -(2n ** 63n),
    "",
    "short",
    "x".repeat(1000),
    "\u00e4\u{1f600}".repeat(50),
    "lone \ud800",
    [],
    [1, [2, [3]]],
    {},
    { a: 1, b: { c: "a" } },
    new Map([[1, "number"], ["1", "string"]]), // prettier-ignore
    new Set([1, "1"]),
  ];
  for (const value of values) {
    it(`writes ${typeof value} ${String(value).slice(0, 30)}`, () => {
      assert.deepEqual(thereAndBack(value), value);
    });
  }

  it("writes null as undefined, which is None", () => {
    assert.equal(thereAndBack(null), undefined);
  });

  it("keeps what is shared, and cycles", () => {
    const shared = ["shared"];
    const cycle = { first: shared, second: shared, self: null };
    cycle.self = cycle;
    const back = thereAndBack(cycle);
    assert.equal(back.first, back.second);
    assert.equal(back.self, back);
  });

  it("writes a batch as one list, whose messages share nothing", () => {
    const shared = { key: 1 };
    const [bytes] = encoded(shared, shared);
    const [messages] = decode([bytes.slice()], [], DEPTH);
    assert.deepEqual(messages, [shared, shared]);
    assert.notEqual(messages[0], messages[1]);
  });

  it("sends out of band what Python can't hold", () => {
    const odd = [
      () => {},
      Symbol("s"),
      /x/,
      new Map([[{}, 1]]),
      new Map([[1, 1], [true, 2]]), // prettier-ignore
      new Set([1, 1n]),
      Object.assign([], { 9999: 1 }),
      new Date(NaN),
      new Date(-8.64e15),
    ];
    for (const value of odd) assert.deepEqual(encoded(value)[1], [value]);
  });

  it("refuses many keys of one hash as keys, but takes their like in other values", () => {
    const keys = Array.from({ length: 101 }, (_, i) => BigInt(i + 2 ** 32) * (2n ** 31n - 1n));
    assert.deepEqual(encoded(new Set(keys))[1], [new Set(keys)]);
    assert.deepEqual(encoded(new Set(keys.slice(1)))[1], []);
    assert.deepEqual(encoded(keys)[1], []);
  });

  it("copies small buffers into the stream, and sends large ones beside it", () => {
    const [small, side] = encoded(new Uint8Array([1, 2, 3]));
    assert.deepEqual(side, []);
    assert.ok(small.length < 20);
    const buffer = new Uint8Array(5000);
    const [, [part], copied] = encoded(buffer);
    assert.deepEqual([part.buffer, copied], [buffer.buffer, [buffer.buffer]]);
    assert.deepEqual(encoded([buffer, /x/])[2], []); // Python needs one of them
  });

  it("sends a value that is nested too deeply out of band", () => {
    const inner = [];
    const [, side] = encode([message([[inner]])], 2, undefined);
    assert.deepEqual(side, [inner]);
  });

  it("writes other events as notices", () => {
    const [bytes] = encode([{ type: "messageerror", origin: "https://a.example" }], DEPTH);
    const text = Buffer.from(bytes).toString("latin1");
    for (const word of ["pyodide_msgchan._interfaces", "Notice", "messageerror", "//a.example"])
      assert.ok(text.includes(word), word);
  });

  it("grows with a large message, and works after it", () => {
    const large = "x".repeat(1 << 23);
    assert.equal(thereAndBack(large), large);
    assert.equal(thereAndBack("small"), "small");
  });

  it("knows a port from what calls itself one", () => {
    const { port1, port2 } = new MessageChannel();
    port1.close();
    assert.equal(tag(port2), "MessagePort");
    assert.equal(tag({ [Symbol.toStringTag]: "MessagePort" }), "Object");
    assert.equal(tag(Object.create(MessagePort.prototype)), "Object");
  });
});

// Streams of Python's pickler, as pickle.dumps(value, 5) gives them.
describe("decode", () => {
  it("reads what the pickler writes", () => {
    const hex =
      "80059526000000000000007d94288c0161945d94284b014740040000000000004e88658c0162948c05c3a4eda08094752e";
    assert.deepEqual(decoded(hex)[0], { a: [1, 2.5, undefined, true], b: "\u00e4\ud800" });
    assert.equal(decoded("80058a090000000000000000c02e")[0], -(2n ** 70n));
    assert.deepEqual(decoded("80058f94284b014b02902e")[0], new Set([1, 2]));
  });

  it("makes a Map of a dict with other keys", () => {
    assert.deepEqual(decoded("80057d944b014b02732e")[0], new Map([[1, 2]]));
  });

  it("makes an own property of __proto__", () => {
    const [value] = decoded("80057d948c095f5f70726f746f5f5f944b01732e");
    assert.equal(Object.getPrototypeOf(value), Object.prototype);
    assert.deepEqual(Object.entries(value), [["__proto__", 1]]);
  });

  it("gives bytes a buffer that can be transferred", () => {
    const [value, buffers] = decoded("8005430361626394" + "2e");
    assert.deepEqual(value, bytesOf("616263"));
    assert.deepEqual(buffers, [value.buffer]);
  });

  it("reads a stream in chunks", () => {
    const large = new Uint8Array(3).fill(7);
    const [value] = decode([bytesOf("80055d288e0300000000000000"), large, bytesOf("652e")], [], 9);
    assert.deepEqual(value, [large]);
  });

  it("refuses members that are one in JavaScript", () => {
    const twoNaNs = "80058f28477ff8000000000000477ff8000000000000902e";
    assert.throws(() => decoded(twoNaNs), /the same in JavaScript/);
  });

  it("refuses what is nested too deeply", () => {
    const nested = (levels) => `8005${"5d".repeat(levels)}${"61".repeat(levels - 1)}2e`;
    assert.deepEqual(decode([bytesOf(nested(3))], [], 3)[0], [[[]]]);
    assert.throws(() => decode([bytesOf(nested(4))], [], 3), /^RangeError: nested 4 levels deep$/);
  });

  it("refuses an opcode that the pickler does not write", () => {
    assert.throws(() => decoded("8005512e"), /opcode 81/);
  });

  it("takes objects from beside the stream, and makes dates and errors", () => {
    const special = (argument) => `80058c01618c016293${argument}86522e`; // of a kind and a value
    const object = {};
    assert.equal(decoded(special("4b004b00"), [object])[0], object);
    assert.deepEqual(decoded(special("4b014b00"))[0], new Date(0));
    assert.equal(decoded(special("4b024e"))[0], null);
    assert.equal(decoded(special("4b064b05"))[0], 5n);
    const [error] = decoded(special("4b04288c09547970654572726f728c01618c016274"));
    assert.deepEqual([error.name, error.message, error.stack], ["TypeError", "a", "b"]);
  });
});

it("knows the size of a message, and safe integers that Pyodide made BigInts", () => {
  assert.equal(sizeOf(10, [new ArrayBuffer(5), {}], [new Uint16Array(2)]), 19);
  assert.equal(sizeOf(10), 10);
  assert.equal(normalizeScalar(BigInt(Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER);
  assert.equal(normalizeScalar(2n ** 60n), 2n ** 60n);
});

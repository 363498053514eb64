// Values that rows of the check page send from JavaScript, and words for what JavaScript has got.

const tagOf = (value) => Object.prototype.toString.call(value).slice(8, -1);

/** Say what a value is, down to its last member, so that a row can compare it as text. */
export function describe(value, seen = new Map(), path = "it") {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
      return Object.is(value, -0) ? "-0" : String(value);
    case "bigint":
      return `${value}n`;
    case "function":
    case "symbol":
      return `a ${typeof value}`;
    case "object":
      if (value !== null) break;
    // falls through
    default:
      return String(value);
  }
  if (seen.has(value)) return `the same as ${seen.get(value)}`;
  seen.set(value, path);
  const part = (member, place) => describe(member, seen, `${path}${place}`);
  const tag = tagOf(value);
  if (ArrayBuffer.isView(value) && tag !== "DataView") {
    return `${tag} [${Array.from(/** @type {any} */ (value), (item) => describe(item)).join(", ")}]`;
  }
  switch (tag) {
    case "Boolean":
    case "Number":
    case "String":
    case "BigInt":
      return `${tag} object ${describe(value.valueOf())}`;
    case "Date":
      return `Date ${Number.isNaN(value.getTime()) ? "invalid" : value.toISOString()}`;
    case "RegExp":
      return `RegExp ${value} at ${value.lastIndex}`;
    case "ArrayBuffer":
      return `ArrayBuffer [${new Uint8Array(value).join(", ")}]`;
    case "DataView":
      return `DataView of ${value.byteLength} at ${value.byteOffset}`;
    case "Error":
      return `${Object.getPrototypeOf(value).constructor.name} ${value.name}: ${value.message}`;
    case "DOMException":
      return `DOMException ${value.name}: ${value.message}`;
    case "Map": {
      const pairs = [...value].map(([key, item], i) => {
        return `${part(key, `.key(${i})`)} => ${part(item, `.value(${i})`)}`;
      });
      return `Map {${pairs.join(", ")}}`;
    }
    case "Set":
      return `Set {${[...value].map((item, i) => part(item, `.item(${i})`)).join(", ")}}`;
    case "Array": {
      const items = Array.from({ length: value.length }, (_, i) => {
        return i in value ? part(value[i], `[${i}]`) : "hole";
      });
      return `[${items.join(", ")}]`;
    }
    case "Blob":
      return `Blob of ${value.size}, ${value.type}`;
    case "File":
      return `File ${value.name} of ${value.size}, ${value.type}, ${value.lastModified}`;
    case "ImageData":
      return `ImageData ${value.width} by ${value.height} [${value.data.join(", ")}]`;
    case "ImageBitmap":
      return `ImageBitmap ${value.width} by ${value.height}`;
    case "DOMRect":
    case "DOMRectReadOnly":
      return `${tag} ${value.x} ${value.y} ${value.width} ${value.height}`;
    case "CryptoKey":
      return `CryptoKey ${value.type} ${value.algorithm.name}`;
    case "Object": {
      const pairs = Object.keys(value).map((key) => {
        return `${key}: ${part(value[key], `.${key}`)}`;
      });
      return `{${pairs.join(", ")}}`;
    }
    default:
      return tag;
  }
}

function cyclic(make, put) {
  const value = make();
  put(value, value);
  return value;
}

function nested(levels) {
  let value = [];
  for (let i = 1; i < levels; i++) value = [value];
  return value;
}

class Point {
  #hidden = 1;
  constructor() {
    this.x = 1;
  }
  get hidden() {
    return this.#hidden;
  }
}

const canvas = (width, height) => {
  const element = document.createElement("canvas");
  Object.assign(element, { width, height });
  element.getContext("2d").fillRect(0, 0, width, height);
  return element;
};

const views = [
  "Int8Array",
  "Uint8Array",
  "Uint8ClampedArray",
  "Int16Array",
  "Uint16Array",
  "Int32Array",
  "Uint32Array",
  "Float16Array",
  "Float32Array",
  "Float64Array",
];
const errors = [
  "Error",
  "EvalError",
  "RangeError",
  "ReferenceError",
  "SyntaxError",
  "TypeError",
  "URIError",
];

/** What a row asks for by name; some have to be awaited. */
export const values = {
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  false: () => false,
  "empty string": () => "",
  string: () => "é☃\u{1f388}",
  "NUL string": () => "a\0b",
  "high surrogate": () => "\ud800",
  "low surrogate": () => "\udfff",
  zero: () => 0,
  "negative zero": () => -0,
  fraction: () => 0.2,
  NaN: () => NaN,
  Infinity: () => Infinity,
  "-Infinity": () => -Infinity,
  "greatest safe integer": () => Number.MAX_SAFE_INTEGER,
  "least safe integer": () => Number.MIN_SAFE_INTEGER,
  "greatest number": () => Number.MAX_VALUE,
  "least number": () => Number.MIN_VALUE,
  "2 ** 53": () => 2 ** 53,
  "0n": () => 0n,
  "-12345678901234567890n": () => -12345678901234567890n,
  "Boolean object": () => new Boolean(false),
  "Number object": () => new Number(-0.5),
  "String object": () => new String("a"),
  "BigInt object": () => Object(-9007199254740994n),
  "Date 0": () => new Date(0),
  "Date before 1970": () => new Date(-1.5e12),
  "Date outside": () => new Date(-8.64e15),
  "Date invalid": () => new Date(NaN),
  RegExp: () => {
    const pattern = /a(?<b>[/\]])/giu;
    pattern.lastIndex = 3;
    return pattern;
  },
  "RegExp empty": () => new RegExp(""),
  // eslint-disable-next-line no-control-regex -- it is what is sent
  "RegExp newline": () => new RegExp("\n", "y"),
  Map: () => new Map(/** @type {any} */ ([[1, { a: [2] }], ["x", null]])), // prettier-ignore
  "Map with objects": () => new Map([[{ a: 1 }, 1]]),
  "Map with equals": () => new Map(/** @type {any} */ ([[1, "number"], [true, "boolean"]])), // prettier-ignore
  Set: () => new Set([1, "a", undefined]),
  "Set with objects": () => new Set([{ a: 1 }]),
  ArrayBuffer: () => new Uint8Array([0, 1, 255]).buffer,
  "ArrayBuffer empty": () => new ArrayBuffer(0),
  "ArrayBuffer resizable": () => new ArrayBuffer(2, { maxByteLength: 8 }),
  ...Object.fromEntries(
    views.map((name) => [
      name,
      () => globalThis[name] && globalThis[name].from(name.startsWith("F") ? [1.5, -2] : [1, 2]),
    ]),
  ),
  BigInt64Array: () => new BigInt64Array([-1n, 2n ** 62n]),
  BigUint64Array: () => new BigUint64Array([1n, 2n ** 63n]),
  "view in the middle": () => new Uint16Array(new Uint16Array([1, 2, 3, 4]).buffer, 2, 2),
  "two views of one buffer": () => {
    const { buffer } = new Uint8Array([1, 2, 3, 4]);
    return [new Uint8Array(buffer, 0, 2), new Uint8Array(buffer, 1, 2)];
  },
  DataView: () => new DataView(new ArrayBuffer(8), 2, 4),
  Blob: () => new Blob(["abc"], { type: "text/plain" }),
  "Blob empty": () => new Blob([]),
  File: () => new File(["ab"], "a.txt", { type: "text/plain", lastModified: 42 }),
  ImageData: () => new ImageData(new Uint8ClampedArray([255, 0, 300, 4, 5, 6, 7, 8]), 2, 1),
  ImageBitmap: () => createImageBitmap(canvas(3, 2)),
  DOMRect: () => new DOMRect(1, 2, 3, 4),
  CryptoKey: () => crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]),
  ...Object.fromEntries(errors.map((name) => [name, () => new globalThis[name]("words")])),
  "Error without message": () => new Error(),
  "Error with another name": () => Object.assign(new Error("words"), { name: "Custom" }),
  AggregateError: () => new AggregateError([new Error("one")], "words"),
  DOMException: () => new DOMException("words", "AbortError"),
  "Array empty": () => [],
  "Array nested": () => [[], [[1]], { a: [2] }],
  // eslint-disable-next-line no-sparse-arrays -- as above
  "Array with holes": () => [1, , 3, , ,], // prettier-ignore
  "Array of holes": () => Object.assign(new Array(1000), { 999: 1 }),
  "Array with a name": () => Object.assign([1], { name: 2 }),
  "Object empty": () => ({}),
  Object: () => ({ a: 1, b: { c: [undefined, null] } }),
  "Object with a getter": () => ({
    get a() {
      return 5;
    },
  }),
  "Object of a class": () => new Point(),
  "Object with a hidden member": () => Object.defineProperty({ a: 1 }, "b", { value: 2 }),
  "Object with a symbol": () => ({ a: 1, [Symbol("b")]: 2 }),
  "Object with __proto__": () => JSON.parse('{"__proto__": {"x": 1}, "a": 2}'),
  "Object with numbers": () => ({ b: 1, 2: 2, 1: 3 }),
  "Object without prototype": () => Object.assign(Object.create(null), { a: 1 }),
  "Array in itself": () => cyclic(Array, (value) => value.push(value)),
  "Object in itself": () => cyclic(Object, (value) => (value.me = value)),
  "Map in itself": () => cyclic(() => new Map(), (value) => value.set("me", value)), // prettier-ignore
  "shared member": () => {
    const shared = [1];
    return { a: shared, b: shared };
  },
  "500 levels": () => nested(500),
  "501 levels": () => nested(501),
  // None of these can be cloned.
  function: () => () => 1,
  symbol: () => Symbol("s"),
  Element: () => document.createElement("p"),
  document: () => document,
  window: () => window,
  Event: () => new Event("x"),
  Promise: () => Promise.resolve,
  WeakMap: () => new WeakMap(),
  WeakSet: () => new WeakSet(),
  WeakRef: () => new WeakRef({}),
  Response: () => new Response("x"),
  Headers: () => new Headers(),
  generator: () => (function* () {})(),
  Proxy: () => new Proxy({}, {}),
  "Object with a function": () => ({ a: [() => 1] }),
  "Object with a getter that throws": () => ({
    get a() {
      throw new RangeError("no");
    },
  }),
};

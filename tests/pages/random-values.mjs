// The values of recipes.py, made of the same recipes by JavaScript alone, and how two of them differ.
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);
const ERRORS = {
  TypeError,
  ValueError: RangeError,
  UnicodeError: URIError,
  OverflowError: RangeError,
  IndexError: RangeError,
  SyntaxError,
  NameError: ReferenceError,
};
const ARRAYS = { b: Int8Array, B: Uint8Array, h: Int16Array, H: Uint16Array, i: Int32Array };
Object.assign(ARRAYS, { I: Uint32Array, q: BigInt64Array, Q: BigUint64Array, f: Float32Array });
Object.assign(ARRAYS, { d: Float64Array, e: globalThis.Float16Array });
const TO_EPOCH = 62_135_596_800_000_000n; // microseconds from the first year on

const bytes = (code) => Uint8Array.from(code.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const text = (points) => points.map((point) => String.fromCodePoint(point)).join("");

/** Give the JavaScript form of the value that a recipe makes in Python. */
export const build = (recipe) => {
  const made = [];
  const note = (value) => (made.push(value), value);
  const make = ([name, ...parts]) => makers[name](...parts);
  const makeKey = (recipe) => {
    const before = made.length;
    const value = make(recipe);
    made.length = before;
    return value;
  };
  const makers = {
    none: () => undefined,
    null: () => null,
    again: (number) => (made.length ? made[number % made.length] : undefined),
    bool: (value) => value,
    int(digits) {
      const value = BigInt(digits);
      return value >= -SAFE && value <= SAFE ? Number(value) : value;
    },
    float: (bits) => new DataView(bytes(bits).buffer).getFloat64(0),
    str: text,
    bytes: (code, kind) => (kind === "bytearray" ? note(bytes(code)) : bytes(code)),
    array: (kind, code) => note(new ARRAYS[kind](bytes(code).buffer)),
    date(microseconds, offset) {
      const passed = BigInt(microseconds) - TO_EPOCH - BigInt(offset) * 1_000_000n;
      const rest = ((passed % 1000n) + 1000n) % 1000n;
      return note(new Date(Number((passed - rest) / 1000n)));
    },
    error: (kind, points) => note(new (ERRORS[kind] ?? Error)(text(points))),
    list(items, kind = "list") {
      if (kind === "tuple" || kind === "Row") return note(items.map(make));
      const target = note([]);
      for (const item of items) target.push(make(item));
      return target;
    },
    dict(items) {
      const plain = items.every(([[name]]) => name === "str");
      const target = note(plain ? {} : new Map());
      for (const [key, item] of items) {
        const [own, value] = [makeKey(key), make(item)];
        if (target instanceof Map) target.set(own, value);
        else
          Object.defineProperty(target, own, {
            value,
            configurable: true,
            enumerable: true,
            writable: true,
          });
      }
      return target;
    },
    set(members) {
      const target = new Set(members.map(makeKey));
      return note(target);
    },
  };
  return make(recipe);
};

const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);
const show = (value) => (Object.is(value, -0) ? "-0" : String(value));
const octets = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength).join();
// Members of sets, in words and in one order: Python has none.
const inWords = (members) => [...members].map(words).sort().join();
const words = (value) => {
  if (typeof value !== "object" || value === null)
    return `${typeof value} ${JSON.stringify(show(value))}`;
  if (ArrayBuffer.isView(value)) return `${tag(value)} ${octets(value)}`;
  if (value instanceof Date) return `Date ${Number(value)}`;
  if (value instanceof Error) return JSON.stringify([value.name, value.message]);
  return value instanceof Set ? `{${inWords(value)}}` : `[${value.map(words).join()}]`;
};

/** Say where a value that came differs from what it should be, also in what is shared; or "". */
export const difference = (got, expected) => {
  const ours = new Map();
  const theirs = new Map();
  const members = (value) => {
    if (value instanceof Map) return [...value].flat();
    if (value instanceof Set) return [inWords(value)];
    return Object.entries(value).flat();
  };
  const look = (one, other, where) => {
    if (typeof other !== "object" || other === null)
      return Object.is(one, other) ? "" : `${where} is ${show(one)}, not ${show(other)}`;
    if (tag(one) !== tag(other)) return `${where} is a ${tag(one)}, not a ${tag(other)}`;
    if (Object.getPrototypeOf(one) !== Object.getPrototypeOf(other))
      return `${where} has another prototype`;
    if (ArrayBuffer.isView(other)) {
      if (octets(one) !== octets(other)) return `${where} is ${one.join()}, not ${other.join()}`;
      if (one.byteLength < 2) return ""; // Python has but one of each
    } else if (tag(other) === "Date") {
      if (Number(one) !== Number(other)) return `${where} is ${Number(one)}, not ${Number(other)}`;
    } else if (tag(other) === "Error") {
      for (const name of ["name", "message"])
        if (one[name] !== other[name])
          return `the ${name} of ${where} is ${one[name]}, not ${other[name]}`;
    }
    const again = ours.has(one);
    // Python has but one empty tuple, and one empty frozenset
    if ((other.length ?? other.size) !== 0) {
      if (again !== theirs.has(other) || (again && ours.get(one) !== other))
        return `${where} ${again ? "is" : "is not"} shared`;
      ours.set(one, other);
      theirs.set(other, one);
    }
    if (again || tag(other) === "Error" || ArrayBuffer.isView(other)) return "";
    const [parts, wanted] = [members(one), members(other)];
    if (parts.length !== wanted.length)
      return `${where} has ${parts.length} parts, not ${wanted.length}`;
    for (let i = 0; i < parts.length; i++) {
      const text = look(parts[i], wanted[i], `${where}, ${String(i)}`);
      if (text) return text;
    }
    return "";
  };
  return look(got, expected, "it");
};

/** On a port: compare what comes with what the browser makes of the JavaScript form, send both on. */
export const answer = (port) => {
  let form;
  port.onmessage = ({ data }) => {
    let told;
    try {
      told = difference(data, structuredClone(form));
    } catch (error) {
      told = String(error);
    }
    port.postMessage([told, data, form]);
  };
  return (recipe) => void (form = build(JSON.parse(recipe)));
};

// The decoder of messages from Python: reads the pickle streams of Python's C pickler, which is
// several times faster than converting values by proxies. A stream is trusted, since it never
// leaves its page; structured clone carries the values to other windows.

const ERROR_NAMES = [
  "TypeError",
  "RangeError",
  "SyntaxError",
  "ReferenceError",
  "URIError",
  "EvalError",
];
export const ARRAYS = { b: "Int8", h: "Int16", H: "Uint16", i: "Int32", I: "Uint32", e: "Float16" };
Object.assign(ARRAYS, { f: "Float32", d: "Float64", q: "BigInt64", Q: "BigUint64", B: "Uint8" });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// The kinds of values that a call of `special` stands for, as in _codec/encoder.py. 4 is an error.
const OUT_OF_BAND = 0,
  DATE = 1,
  NULL = 2,
  SMALL_BUFFER = 3,
  BUFFER = 5,
  BIG_INT = 6;

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/**
 * Returns a scalar that Pyodide converted, which makes a BigInt of the largest safe integer too.
 */
export function normalizeScalar(value) {
  return value === MAX_SAFE || value === -MAX_SAFE ? Number(value) : value;
}

/** Returns the approximate size of a message in bytes: of its stream and its buffers. */
export function sizeOf(n, side, chunks) {
  return n + sizeOfBuffers(side) + sizeOfBuffers(chunks);
}

function sizeOfBuffers(values) {
  const isBuffer = (v) => v instanceof ArrayBuffer || ArrayBuffer.isView(v);
  return values?.reduce((size, v) => (isBuffer(v) ? size + v.byteLength : size), 0) ?? 0;
}

/**
 * Reads a stream of Python's pickler. Returns the value, and the ArrayBuffers in it that can be
 * transferred.
 *
 * `chunks` are the parts of the stream, since large payloads are chunks of their own; `side` has
 * the out-of-band objects; `limit` is the maximum depth. `maps` has the numbers of the dicts that
 * become a Map. They are only known after a first pass, so `decode` calls itself for a second one.
 */
export function decode(chunks, side, limit, maps = new Set()) {
  const stack = [],
    depths = [],
    dictNumbers = [],
    /** @type {any[]} */ marks = [],
    memo = [],
    memoDepths = [],
    ownBuffers = [],
    needMap = new Set();
  let bytes = chunks[0],
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0,
    chunk = 0,
    dictCount = 0,
    depth = 0,
    // Two lone surrogates that are two characters in Python can form one character in
    // JavaScript.
    hasSurrogates = false;
  const next = () => {
    bytes = chunks[++chunk];
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    at = 0;
  };
  const push = (v) => {
    depths[stack.length] = 0;
    stack.push(v);
  };
  const raw = (n) => {
    // A large payload is a whole chunk, so `n` bytes are never in two chunks.
    if (at === bytes.length) next();
    at += n;
    return bytes.subarray(at - n, at);
  };
  const ownBytes = (n) => {
    // Bytes can be transferred, so they need a buffer of their own.
    const part = raw(n);
    const whole =
      part.byteLength === part.buffer.byteLength && chunks.length > 1 ? part : part.slice();
    ownBuffers.push(whole.buffer);
    push(whole);
  };
  const text = (n) => {
    const part = raw(n);
    if (n < 24) {
      let s = "",
        i = 0;
      while (i < n && part[i] < 128) s += String.fromCharCode(part[i++]);
      if (i === n) return s;
    }
    try {
      return strict.decode(part);
    } catch {
      hasSurrogates = true;
      return surrogates(part);
    }
  };
  const size8 = () => {
    at += 8;
    return view.getUint32(at - 8, true) + view.getUint32(at - 4, true) * 2 ** 32;
  };
  const size4 = () => {
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const deepen = (owner, from) => {
    let d = depths[owner];
    for (let i = from; i < stack.length; i++) if (depths[i] >= d) d = depths[i] + 1;
    depths[owner] = d;
    if (d > depth) depth = d;
  };
  const set = (owner, key, value) => {
    const target = stack[owner];
    if (target instanceof Map) {
      if (target.has(key)) refuseMerged();
      target.set(key, value);
    } else if (typeof key !== "string") needMap.add(dictNumbers[owner]);
    else if (hasSurrogates && Object.hasOwn(target, key)) refuseMerged();
    else if (key !== "__proto__") target[key] = value;
    else
      Object.defineProperty(target, key, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
  };
  const tuple = (from) => {
    const items = stack.splice(from);
    let d = 1;
    for (let i = 0; i < items.length; i++) if (depths[from + i] >= d) d = depths[from + i] + 1;
    depths[from] = d;
    if (d > depth) depth = d;
    stack.push(items);
  };
  const make = ([kind, value, more]) => {
    if (kind === OUT_OF_BAND) return side[value];
    if (kind === DATE) return new Date(value);
    if (kind === NULL) return null;
    if (kind === BIG_INT) return BigInt(value);
    if (kind === BUFFER) ownBuffers.push((value = side[value]).buffer);
    if (kind === SMALL_BUFFER || kind === BUFFER)
      return new globalThis[ARRAYS[more] + "Array"](value.buffer);
    const type = ERROR_NAMES.includes(value[0]) ? globalThis[value[0]] : Error;
    const error = new type(value[1]);
    Object.defineProperty(error, "stack", { value: value[2], writable: true, configurable: true });
    return error;
  };
  for (;;) {
    if (at === bytes.length) next();
    /** @type {any} */ let m, n;
    switch (bytes[at++]) {
      case 0x80:
        at++;
        break; // PROTO
      case 0x95:
        at += 8;
        break; // FRAME
      case 0x94:
        memoDepths.push(depths[stack.length - 1]);
        memo.push(stack.at(-1));
        break; // MEMOIZE
      case 0x68:
        depths[stack.length] = memoDepths[bytes[at]];
        stack.push(memo[bytes[at++]]);
        break; // BINGET
      case 0x6a:
        n = size4();
        depths[stack.length] = memoDepths[n];
        stack.push(memo[n]);
        break; // LONG_BINGET
      case 0x4e:
        push(undefined);
        break; // NONE
      case 0x88:
        push(true);
        break;
      case 0x89:
        push(false);
        break;
      case 0x4b:
        push(bytes[at++]);
        break; // BININT1
      case 0x4d:
        push(view.getUint16(at, true));
        at += 2;
        break; // BININT2
      case 0x4a:
        push(view.getInt32(at, true));
        at += 4;
        break; // BININT
      case 0x8a:
        push(integer(raw(bytes[at++])));
        break; // LONG1
      case 0x8b:
        push(integer(raw(size4())));
        break; // LONG4
      case 0x47:
        push(view.getFloat64(at));
        at += 8;
        break; // BINFLOAT
      case 0x8c:
        push(text(bytes[at++]));
        break; // SHORT_BINUNICODE
      case 0x58:
        push(text(size4()));
        break; // BINUNICODE
      case 0x8d:
        push(text(size8()));
        break; // BINUNICODE8
      case 0x43:
        ownBytes(bytes[at++]);
        break; // SHORT_BINBYTES
      case 0x42:
        ownBytes(size4());
        break; // BINBYTES
      case 0x8e:
      case 0x96:
        ownBytes(size8());
        break; // BINBYTES8, BYTEARRAY8
      case 0x5d:
        push([]);
        depths[stack.length - 1] = 1;
        break; // EMPTY_LIST
      case 0x29:
        push([]);
        depths[stack.length - 1] = 1;
        break; // EMPTY_TUPLE
      case 0x8f:
        push(new Set());
        depths[stack.length - 1] = 1;
        break; // EMPTY_SET
      case 0x7d: // EMPTY_DICT: an Object, unless the first pass found a key that needs a Map
        push(maps.has(++dictCount) ? new Map() : {});
        dictNumbers[stack.length - 1] = dictCount;
        depths[stack.length - 1] = 1;
        break;
      case 0x28:
        marks.push(stack.length);
        break; // MARK
      case 0x61:
        deepen(stack.length - 2, stack.length - 1);
        n = stack.pop();
        stack.at(-1).push(n);
        break; // APPEND
      case 0x65: // APPENDS
        m = marks.pop();
        deepen(m - 1, m);
        for (let i = m; i < stack.length; i++) stack[m - 1].push(stack[i]);
        stack.length = m;
        break;
      case 0x73: // SETITEM
        deepen(stack.length - 3, stack.length - 2);
        n = stack.pop();
        m = stack.pop();
        set(stack.length - 1, m, n);
        break;
      case 0x75: // SETITEMS
        m = marks.pop();
        deepen(m - 1, m);
        for (let i = m; i < stack.length; i += 2) set(m - 1, stack[i], stack[i + 1]);
        stack.length = m;
        break;
      case 0x90: // ADDITEMS
        m = marks.pop();
        deepen(m - 1, m);
        n = stack[m - 1].size + stack.length - m;
        for (let i = m; i < stack.length; i++) stack[m - 1].add(stack[i]);
        if (stack[m - 1].size < n) refuseMerged();
        stack.length = m;
        break;
      case 0x91:
        m = marks.pop();
        tuple(m);
        n = stack.pop();
        stack.push(new Set(n));
        if (stack.at(-1).size < n.length) refuseMerged();
        break; // FROZENSET
      case 0x74:
        tuple(marks.pop());
        break; // TUPLE
      case 0x85:
        tuple(stack.length - 1);
        break;
      case 0x86:
        tuple(stack.length - 2);
        break;
      case 0x87:
        tuple(stack.length - 3);
        break;
      case 0x30:
        stack.pop();
        break; // POP
      case 0x31:
        stack.length = marks.pop();
        break; // POP_MARK
      case 0x93:
        stack.length -= 2;
        push(make);
        break; // STACK_GLOBAL: the only name is `special` of _codec/encoder.py
      case 0x52:
        n = stack.pop();
        stack.pop();
        push(make(n));
        break; // REDUCE
      case 0x2e: // STOP
        if (needMap.size) return decode(chunks, side, limit, needMap);
        if (depth > limit) throw new RangeError(`nested ${depth} levels deep`);
        return [stack[0], ownBuffers];
      default:
        throw new Error(`opcode ${bytes[at - 1]}`);
    }
  }
}

function refuseMerged() {
  throw new TypeError(
    "two keys or members are the same in JavaScript: NaN, or strings with lone surrogates",
  );
}

function integer(part) {
  // Parsing hexadecimal digits takes linear time, and adding up the bytes would not.
  const digits = new Array(part.length);
  for (let i = 0; i < part.length; i++)
    digits[part.length - 1 - i] = part[i].toString(16).padStart(2, "0");
  let big = part.length ? BigInt(`0x${digits.join("")}`) : 0n;
  if (part.length && part.at(-1) > 127) big -= 1n << BigInt(8 * part.length);
  return part.length <= 8 &&
    big >= -(2n ** 53n) &&
    big <= 2n ** 53n &&
    Number.isSafeInteger(Number(big))
    ? Number(big)
    : big;
}

/**
 * Returns text with lone surrogates: Python writes three bytes for each, and TextDecoder
 * fails.
 */
function surrogates(part) {
  let s = "";
  for (let i = 0; i < part.length;) {
    const b = part[i++];
    const more = b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
    let code = more ? b & (0x3f >> more) : b;
    for (let k = 0; k < more; k++) code = code * 64 + (part[i++] & 0x3f);
    s += String.fromCodePoint(code);
  }
  return s;
}

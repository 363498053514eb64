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
 * the out-of-band objects; `limit` is the maximum depth.
 */
export function decode(chunks, side, limit) {
  const decoder = new Decoder(chunks, side, NO_MAPS);
  const { needMap, depth, value, ownBuffers } = decoder.read();
  if (depth > limit) throw new RangeError(`nested ${depth} levels deep`);
  if (needMap.size === 0) return [value, ownBuffers];
  // The dicts that become a Map are only known now.
  const second = new Decoder(chunks, side, needMap).read();
  return [second.value, second.ownBuffers];
}

const NO_MAPS = new Set();

/** One pass over a stream. */
class Decoder {
  /** @type {any[]} */ stack = [];
  /** @type {number[]} */ depths = []; // of the values on the stack
  /** @type {number[]} */ dictNumbers = [];
  /** @type {number[]} */ marks = [];
  /** @type {any[]} */ memo = [];
  /** @type {number[]} */ memoDepths = [];
  /** @type {ArrayBuffer[]} */ ownBuffers = [];
  /** The numbers of the dicts that need to be a Map. @type {Set<number>} */ needMap = new Set();
  /** @type {any} */ value = undefined;
  at = 0;
  chunk = 0;
  dictCount = 0;
  depth = 0;
  // Two lone surrogates that are two characters in Python can form one character in JavaScript.
  hasSurrogates = false;

  /** `maps` has the numbers of the dicts that become a Map. */
  constructor(chunks, side, maps) {
    this.chunks = chunks;
    this.side = side;
    this.maps = maps;
    const bytes = (this.bytes = chunks[0]);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Reads the stream to its end; returns this. The most frequent opcodes are read here. */
  read() {
    const { stack, depths, memo, memoDepths, marks } = this;
    for (;;) {
      if (this.at === this.bytes.length) this.next();
      const code = this.bytes[this.at++];
      switch (code) {
        case 0x94: // MEMOIZE
          memoDepths.push(depths[stack.length - 1]);
          memo.push(stack[stack.length - 1]);
          break;
        case 0x68: // BINGET
          this.recall(this.bytes[this.at++]);
          break;
        case 0x28: // MARK
          marks.push(stack.length);
          break;
        case 0x4b: // BININT1
          this.push(this.bytes[this.at++]);
          break;
        case 0x8c: // SHORT_BINUNICODE
          this.push(this.text(this.bytes[this.at++]));
          break;
        case 0x47: // BINFLOAT
          this.push(this.view.getFloat64(this.skip(8)));
          break;
        case 0x7d: // EMPTY_DICT: an Object, unless the first pass found a key that needs a Map
          this.dictNumbers[stack.length] = ++this.dictCount;
          this.push(this.maps.has(this.dictCount) ? new Map() : {}, 1);
          break;
        case 0x75: // SETITEMS
          this.setItems(marks.pop());
          break;
        case 0x2e: // STOP
          this.value = stack[0];
          return this;
        default:
          if (!this.scalar(code) && !this.container(code)) throw new Error(`opcode ${code}`);
      }
    }
  }

  /** Reads the rest of an opcode that pushes a value without parts; returns false for others. */
  scalar(code) {
    switch (code) {
      case 0x6a: // LONG_BINGET
        return this.recall(this.size4());
      case 0x4e: // NONE
        return this.push(undefined);
      case 0x88: // NEWTRUE
        return this.push(true);
      case 0x89: // NEWFALSE
        return this.push(false);
      case 0x4d: // BININT2
        return this.push(this.view.getUint16(this.skip(2), true));
      case 0x4a: // BININT
        return this.push(this.view.getInt32(this.skip(4), true));
      case 0x8a: // LONG1
        return this.push(integer(this.raw(this.bytes[this.at++])));
      case 0x8b: // LONG4
        return this.push(integer(this.raw(this.size4())));
      case 0x58: // BINUNICODE
        return this.push(this.text(this.size4()));
      case 0x8d: // BINUNICODE8
        return this.push(this.text(this.size8()));
      case 0x43: // SHORT_BINBYTES
        return this.ownBytes(this.bytes[this.at++]);
      case 0x42: // BINBYTES
        return this.ownBytes(this.size4());
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.ownBytes(this.size8());
      default:
        return false;
    }
  }

  /** Reads the rest of an opcode about containers and calls; returns false for others. */
  container(code) {
    switch (code) {
      case 0x65: // APPENDS
        return this.append(this.marks.pop());
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return this.push([], 1);
      case 0x8f: // EMPTY_SET
        return this.push(new Set(), 1);
      case 0x61: // APPEND
        return this.append(this.stack.length - 1);
      case 0x73: // SETITEM
        return this.setItems(this.stack.length - 2);
      case 0x90: // ADDITEMS
        return this.addItems(this.marks.pop());
      case 0x91: // FROZENSET
        return this.frozenSet(this.marks.pop());
      case 0x74: // TUPLE
        return this.tuple(this.marks.pop());
      case 0x85: // TUPLE1 to TUPLE3
      case 0x86:
      case 0x87:
        return this.tuple(this.stack.length - (code - 0x84));
      case 0x30: // POP
        return this.cut(this.stack.length - 1);
      case 0x31: // POP_MARK
        return this.cut(this.marks.pop());
      case 0x93: // STACK_GLOBAL: the only name is `special` of _codec/encoder.py
        this.stack.length -= 2;
        return this.push(undefined);
      case 0x52: // REDUCE: of that and its arguments
        return this.push(this.make(this.stack.splice(-2)[1]));
      case 0x80: // PROTO
        return this.skip(1) >= 0;
      case 0x95: // FRAME
        return this.skip(8) >= 0;
      default:
        return false;
    }
  }

  next() {
    const bytes = (this.bytes = this.chunks[++this.chunk]);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  /** Skips bytes of an operand, and returns where they start. */
  skip(n) {
    this.at += n;
    return this.at - n;
  }

  size4() {
    return this.view.getUint32(this.skip(4), true);
  }

  size8() {
    const i = this.skip(8);
    return this.view.getUint32(i, true) + this.view.getUint32(i + 4, true) * 2 ** 32;
  }

  raw(n) {
    // A large payload is a whole chunk, so `n` bytes are never in two chunks.
    if (this.at === this.bytes.length) this.next();
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  push(value, depth = 0) {
    this.depths[this.stack.length] = depth;
    this.stack.push(value);
    return true;
  }

  recall(n) {
    return this.push(this.memo[n], this.memoDepths[n]);
  }

  ownBytes(n) {
    // Bytes can be transferred, so they need a buffer of their own.
    const part = this.raw(n);
    const whole =
      part.byteLength === part.buffer.byteLength && this.chunks.length > 1 ? part : part.slice();
    this.ownBuffers.push(whole.buffer);
    return this.push(whole);
  }

  text(n) {
    const part = this.raw(n);
    if (n < 24) {
      let s = "",
        i = 0;
      while (i < n && part[i] < 128) s += String.fromCharCode(part[i++]);
      if (i === n) return s;
    }
    try {
      return strict.decode(part);
    } catch {
      this.hasSurrogates = true;
      return surrogates(part);
    }
  }

  /** Removes the values from `start` on. */
  cut(start) {
    this.stack.length = start;
    return true;
  }

  /** Returns the depth of what contains the values from `start` on, and has this depth already. */
  depthAround(start, depth) {
    const { depths, stack } = this;
    for (let i = start; i < stack.length; i++) if (depths[i] >= depth) depth = depths[i] + 1;
    if (depth > this.depth) this.depth = depth;
    return depth;
  }

  deepen(owner) {
    this.depths[owner] = this.depthAround(owner + 1, this.depths[owner]);
  }

  append(start) {
    const { stack } = this;
    this.deepen(start - 1);
    for (let i = start; i < stack.length; i++) stack[start - 1].push(stack[i]);
    return this.cut(start);
  }

  setItems(start) {
    const { stack } = this;
    this.deepen(start - 1);
    for (let i = start; i < stack.length; i += 2) this.set(start - 1, stack[i], stack[i + 1]);
    return this.cut(start);
  }

  set(owner, key, value) {
    const target = this.stack[owner];
    if (target instanceof Map) {
      if (target.has(key)) refuseMerged();
      target.set(key, value);
    } else if (typeof key !== "string") this.needMap.add(this.dictNumbers[owner]);
    else if (this.hasSurrogates && Object.hasOwn(target, key)) refuseMerged();
    else if (key !== "__proto__") target[key] = value;
    else
      Object.defineProperty(target, key, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
  }

  addItems(start) {
    const { stack } = this;
    const members = stack[start - 1],
      size = members.size + stack.length - start;
    this.deepen(start - 1);
    for (let i = start; i < stack.length; i++) members.add(stack[i]);
    if (members.size < size) refuseMerged();
    return this.cut(start);
  }

  frozenSet(start) {
    this.tuple(start);
    const items = this.stack.pop(),
      members = new Set(items);
    this.stack.push(members);
    if (members.size < items.length) refuseMerged();
    return true;
  }

  tuple(start) {
    const depth = this.depthAround(start, 1);
    return this.push(this.stack.splice(start), depth);
  }

  make([kind, value, more]) {
    if (kind === OUT_OF_BAND) return this.side[value];
    if (kind === DATE) return new Date(value);
    if (kind === NULL) return null;
    if (kind === BIG_INT) return BigInt(value);
    if (kind === BUFFER) this.ownBuffers.push((value = this.side[value]).buffer);
    if (kind === SMALL_BUFFER || kind === BUFFER)
      return new globalThis[ARRAYS[more] + "Array"](value.buffer);
    const type = ERROR_NAMES.includes(value[0]) ? globalThis[value[0]] : Error;
    const error = new type(value[1]);
    Object.defineProperty(error, "stack", { value: value[2], writable: true, configurable: true });
    return error;
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

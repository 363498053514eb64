// From Python to JavaScript: reads the pickle streams that Python's C pickler writes, several times
// faster than proxies carry the same values one by one. A stream never leaves the page that made
// it; what travels between windows is structured clone.

const NAMES = ["TypeError", "RangeError", "SyntaxError", "ReferenceError", "URIError", "EvalError"];
export const ARRAYS = { b: "Int8", h: "Int16", H: "Uint16", i: "Int32", I: "Uint32", e: "Float16" };
Object.assign(ARRAYS, { f: "Float32", d: "Float64", q: "BigInt64", Q: "BigUint64", B: "Uint8" });
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const GREATEST = BigInt(Number.MAX_SAFE_INTEGER);

/** What Python posted by itself: Pyodide makes a BigInt of the greatest safe int too. */
export function lone(value) {
  return value === GREATEST || value === -GREATEST ? Number(value) : value;
}

/** The bytes of a message, about: those of its stream and of the buffers beside it. */
export function sizeOf(n, side, chunks) {
  return n + sizeOfBuffers(side) + sizeOfBuffers(chunks);
}

function sizeOfBuffers(values) {
  const buffer = (v) => v instanceof ArrayBuffer || ArrayBuffer.isView(v);
  return values?.reduce((size, v) => (buffer(v) ? size + v.byteLength : size), 0) ?? 0;
}

/** Reads what Python's pickler wrote. Lists of chunks, since large payloads come as their own. */
export function decode(chunks, side, limit, maps = new Set()) {
  const S = [],
    D = [],
    W = [],
    marks = [],
    memo = [],
    memoDepth = [],
    fresh = [],
    wrong = new Set();
  let bytes = chunks[0],
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0,
    chunk = 0,
    dicts = 0,
    depth = 0,
    halves = false; // of characters: two of them are one character here, and two in Python
  const next = () => {
    bytes = chunks[++chunk];
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    at = 0;
  };
  const push = (v) => {
    D[S.length] = 0;
    S.push(v);
  };
  const raw = (n) => {
    // n bytes of the stream; a payload of its own starts a chunk and fills it
    if (at === bytes.length) next();
    at += n;
    return bytes.subarray(at - n, at);
  };
  const own = (n) => {
    // bytes that may be transferred: in a buffer of their own
    const part = raw(n);
    const whole =
      part.byteLength === part.buffer.byteLength && chunks.length > 1 ? part : part.slice();
    fresh.push(whole.buffer);
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
      halves = true;
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
    let d = D[owner];
    for (let i = from; i < S.length; i++) if (D[i] >= d) d = D[i] + 1;
    D[owner] = d;
    if (d > depth) depth = d;
  };
  const set = (owner, key, value) => {
    const target = S[owner];
    if (target instanceof Map) {
      if (target.has(key)) merged();
      target.set(key, value);
    } else if (typeof key !== "string") wrong.add(W[owner]);
    else if (halves && Object.hasOwn(target, key)) merged();
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
    const items = S.splice(from);
    let d = 1;
    for (let i = 0; i < items.length; i++) if (D[from + i] >= d) d = D[from + i] + 1;
    D[from] = d;
    if (d > depth) depth = d;
    S.push(items);
  };
  const make = ([kind, value, more]) => {
    // what _clone.special stands for
    if (kind === 0) return side[value];
    if (kind === 1) return new Date(value);
    if (kind === 2) return null;
    if (kind === 6) return BigInt(value);
    if (kind === 5) fresh.push((value = side[value]).buffer);
    if (kind === 3 || kind === 5) return new globalThis[ARRAYS[more] + "Array"](value.buffer);
    const type = NAMES.includes(value[0]) ? globalThis[value[0]] : Error;
    const error = new type(value[1]);
    Object.defineProperty(error, "stack", { value: value[2], writable: true, configurable: true });
    return error;
  };
  for (;;) {
    if (at === bytes.length) next();
    let m, n;
    switch (bytes[at++]) {
      case 0x80:
        at++;
        break; // PROTO
      case 0x95:
        at += 8;
        break; // FRAME
      case 0x94:
        memoDepth.push(D[S.length - 1]);
        memo.push(S.at(-1));
        break; // MEMOIZE
      case 0x68:
        D[S.length] = memoDepth[bytes[at]];
        S.push(memo[bytes[at++]]);
        break; // BINGET
      case 0x6a:
        n = size4();
        D[S.length] = memoDepth[n];
        S.push(memo[n]);
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
        own(bytes[at++]);
        break; // SHORT_BINBYTES
      case 0x42:
        own(size4());
        break; // BINBYTES
      case 0x8e:
      case 0x96:
        own(size8());
        break; // BINBYTES8, BYTEARRAY8
      case 0x5d:
        push([]);
        D[S.length - 1] = 1;
        break; // EMPTY_LIST
      case 0x29:
        push([]);
        D[S.length - 1] = 1;
        break; // EMPTY_TUPLE
      case 0x8f:
        push(new Set());
        D[S.length - 1] = 1;
        break; // EMPTY_SET
      case 0x7d: // EMPTY_DICT: an Object, unless the first reading met a key that needs a Map
        push(maps.has(++dicts) ? new Map() : {});
        W[S.length - 1] = dicts;
        D[S.length - 1] = 1;
        break;
      case 0x28:
        marks.push(S.length);
        break; // MARK
      case 0x61:
        deepen(S.length - 2, S.length - 1);
        n = S.pop();
        S.at(-1).push(n);
        break; // APPEND
      case 0x65: // APPENDS
        m = marks.pop();
        deepen(m - 1, m);
        for (let i = m; i < S.length; i++) S[m - 1].push(S[i]);
        S.length = m;
        break;
      case 0x73: // SETITEM
        deepen(S.length - 3, S.length - 2);
        n = S.pop();
        m = S.pop();
        set(S.length - 1, m, n);
        break;
      case 0x75: // SETITEMS
        m = marks.pop();
        deepen(m - 1, m);
        for (let i = m; i < S.length; i += 2) set(m - 1, S[i], S[i + 1]);
        S.length = m;
        break;
      case 0x90: // ADDITEMS
        m = marks.pop();
        deepen(m - 1, m);
        n = S[m - 1].size + S.length - m;
        for (let i = m; i < S.length; i++) S[m - 1].add(S[i]);
        if (S[m - 1].size < n) merged();
        S.length = m;
        break;
      case 0x91:
        m = marks.pop();
        tuple(m);
        n = S.pop();
        S.push(new Set(n));
        if (S.at(-1).size < n.length) merged();
        break; // FROZENSET
      case 0x74:
        tuple(marks.pop());
        break; // TUPLE
      case 0x85:
        tuple(S.length - 1);
        break;
      case 0x86:
        tuple(S.length - 2);
        break;
      case 0x87:
        tuple(S.length - 3);
        break;
      case 0x30:
        S.pop();
        break; // POP
      case 0x31:
        S.length = marks.pop();
        break; // POP_MARK
      case 0x93:
        S.length -= 2;
        push(make);
        break; // STACK_GLOBAL: only _clone.special is ever named
      case 0x52:
        n = S.pop();
        S.pop();
        push(make(n));
        break; // REDUCE
      case 0x2e: // STOP
        if (wrong.size) return decode(chunks, side, limit, wrong);
        if (depth > limit) throw new RangeError(`nested ${depth} deep`);
        return [S[0], fresh];
      default:
        throw new Error(`opcode ${bytes[at - 1]}`);
    }
  }
}

function merged() {
  throw new TypeError("two keys or members are one in JavaScript: NaN, or halves of a character");
}

function integer(part) {
  // From digits it is made in linear time, by arithmetic it would not be.
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

/** Text with lone surrogates, which Python writes as three bytes each and TextDecoder refuses. */
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

// Values between JavaScript and Python, as the pickle streams that Python's C pickler reads and
// writes: several times faster than proxies that carry the same values one by one. A stream never
// leaves the page that made it; what travels between windows is structured clone.

const IN_BAND = 4096; // bytes; larger buffers cross beside the stream, copied once
const NAMES = ["TypeError", "RangeError", "SyntaxError", "ReferenceError", "URIError", "EvalError"];
const ARRAYS = { b: "Int8", h: "Int16", H: "Uint16", i: "Int32", I: "Uint32", e: "Float16" };
Object.assign(ARRAYS, { f: "Float32", d: "Float64", q: "BigInt64", Q: "BigUint64", B: "Uint8" });
const FORMATS = Object.fromEntries(Object.entries(ARRAYS).map(([f, n]) => [n + "Array", f]));
FORMATS.Uint8ClampedArray = FORMATS.DataView = "B";
export const tag = (v) => Object.prototype.toString.call(v).slice(8, -1);
const FIRST_DAY = -62135596800000, LAST_DAY = 253402300799999; // of year 1 and 9999
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** Reads what Python's pickler wrote. Lists of chunks, since large payloads come as their own. */
export function decode(chunks, side, limit, maps = new Set()) {
  const S = [], D = [], W = [], marks = [], memo = [], memoDepth = [], fresh = [], wrong = new Set();
  let bytes = chunks[0], view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0, chunk = 0, dicts = 0, depth = 0;
  const next = () => {
    bytes = chunks[++chunk];
    view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    at = 0;
  };
  const push = (v) => { D[S.length] = 0; S.push(v); };
  const raw = (n) => { // n bytes of the stream; a payload of its own starts a chunk and fills it
    if (at === bytes.length) next();
    at += n;
    return bytes.subarray(at - n, at);
  };
  const own = (n) => { // bytes that may be transferred: in a buffer of their own
    const part = raw(n);
    const whole = part.byteLength === part.buffer.byteLength && chunks.length > 1 ? part : part.slice();
    fresh.push(whole.buffer);
    push(whole);
  };
  const text = (n) => {
    const part = raw(n);
    if (n < 24) {
      let s = "", i = 0;
      while (i < n && part[i] < 128) s += String.fromCharCode(part[i++]);
      if (i === n) return s;
    }
    try { return strict.decode(part); } catch { return surrogates(part); }
  };
  const size8 = () => { at += 8; return view.getUint32(at - 8, true) + view.getUint32(at - 4, true) * 2 ** 32; };
  const size4 = () => { at += 4; return view.getUint32(at - 4, true); };
  const deepen = (owner, from) => {
    let d = D[owner];
    for (let i = from; i < S.length; i++) if (D[i] >= d) d = D[i] + 1;
    D[owner] = d;
    if (d > depth) depth = d;
  };
  const set = (owner, key, value) => {
    const target = S[owner];
    if (target instanceof Map) target.set(key, value);
    else if (typeof key !== "string") wrong.add(W[owner]);
    else if (key !== "__proto__") target[key] = value;
    else Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  };
  const tuple = (from) => {
    const items = S.splice(from);
    let d = 1;
    for (let i = 0; i < items.length; i++) if (D[from + i] >= d) d = D[from + i] + 1;
    D[from] = d;
    if (d > depth) depth = d;
    S.push(items);
  };
  const make = ([kind, value, more]) => { // what _clone.special stands for
    if (kind === 0) return side[value];
    if (kind === 1) return new Date(value);
    if (kind === 2) return null;
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
      case 0x80: at++; break; // PROTO
      case 0x95: at += 8; break; // FRAME
      case 0x94: memoDepth.push(D[S.length - 1]); memo.push(S.at(-1)); break; // MEMOIZE
      case 0x68: D[S.length] = memoDepth[bytes[at]]; S.push(memo[bytes[at++]]); break; // BINGET
      case 0x6a: n = size4(); D[S.length] = memoDepth[n]; S.push(memo[n]); break; // LONG_BINGET
      case 0x4e: push(undefined); break; // NONE
      case 0x88: push(true); break;
      case 0x89: push(false); break;
      case 0x4b: push(bytes[at++]); break; // BININT1
      case 0x4d: push(view.getUint16(at, true)); at += 2; break; // BININT2
      case 0x4a: push(view.getInt32(at, true)); at += 4; break; // BININT
      case 0x8a: push(integer(raw(bytes[at++]))); break; // LONG1
      case 0x8b: push(integer(raw(size4()))); break; // LONG4
      case 0x47: push(view.getFloat64(at)); at += 8; break; // BINFLOAT
      case 0x8c: push(text(bytes[at++])); break; // SHORT_BINUNICODE
      case 0x58: push(text(size4())); break; // BINUNICODE
      case 0x8d: push(text(size8())); break; // BINUNICODE8
      case 0x43: own(bytes[at++]); break; // SHORT_BINBYTES
      case 0x42: own(size4()); break; // BINBYTES
      case 0x8e: case 0x96: own(size8()); break; // BINBYTES8, BYTEARRAY8
      case 0x5d: push([]); D[S.length - 1] = 1; break; // EMPTY_LIST
      case 0x29: push([]); D[S.length - 1] = 1; break; // EMPTY_TUPLE
      case 0x8f: push(new Set()); D[S.length - 1] = 1; break; // EMPTY_SET
      case 0x7d: // EMPTY_DICT: an Object, unless the first reading met a key that needs a Map
        push(maps.has(++dicts) ? new Map() : {});
        W[S.length - 1] = dicts;
        D[S.length - 1] = 1;
        break;
      case 0x28: marks.push(S.length); break; // MARK
      case 0x61: deepen(S.length - 2, S.length - 1); n = S.pop(); S.at(-1).push(n); break; // APPEND
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
        for (let i = m; i < S.length; i++) S[m - 1].add(S[i]);
        S.length = m;
        break;
      case 0x91: m = marks.pop(); tuple(m); S.push(new Set(S.pop())); break; // FROZENSET
      case 0x74: tuple(marks.pop()); break; // TUPLE
      case 0x85: tuple(S.length - 1); break;
      case 0x86: tuple(S.length - 2); break;
      case 0x87: tuple(S.length - 3); break;
      case 0x30: S.pop(); break; // POP
      case 0x31: S.length = marks.pop(); break; // POP_MARK
      case 0x93: S.length -= 2; push(make); break; // STACK_GLOBAL: only _clone.special is ever named
      case 0x52: n = S.pop(); S.pop(); push(make(n)); break; // REDUCE
      case 0x2e: // STOP
        if (wrong.size) return decode(chunks, side, limit, wrong);
        if (depth > limit) throw new RangeError(`nested ${depth} deep`);
        return [S[0], fresh];
      default: throw new Error(`opcode ${bytes[at - 1]}`);
    }
  }
}

function integer(part) {
  let big = 0n;
  for (let i = part.length - 1; i >= 0; i--) big = big * 256n + BigInt(part[i]);
  if (part.length && part.at(-1) > 127) big -= 1n << BigInt(8 * part.length);
  return big >= -(2n ** 53n) && big <= 2n ** 53n && Number.isSafeInteger(Number(big)) ? Number(big) : big;
}

/** Text with lone surrogates, which Python writes as three bytes each and TextDecoder refuses. */
function surrogates(part) {
  let s = "";
  for (let i = 0; i < part.length; ) {
    const b = part[i++];
    const more = b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
    let code = more ? b & (0x3f >> more) : b;
    for (let k = 0; k < more; k++) code = code * 64 + (part[i++] & 0x3f);
    s += String.fromCodePoint(code);
  }
  return s;
}

// The writing half keeps its state here: it runs to its end before anything else can call it.
let out = new Uint8Array(1 << 16), view = new DataView(out.buffer), at = 0;
let count = 0, limit = 0, side = [];
const memo = new Map(), words = new Map();

function room(n) {
  if (at + n <= out.length) return;
  const larger = new Uint8Array(Math.max(out.length * 2, at + n));
  larger.set(out);
  out = larger;
  view = new DataView(out.buffer);
}

function code(c) { room(1); out[at++] = c; }

function code4(c, n) { room(5); out[at] = c; view.setUint32(at + 1, n, true); at += 5; }

function recall(n) {
  if (n > 255) return code4(0x6a, n);
  room(2);
  out[at++] = 0x68;
  out[at++] = n;
}

function remember(key, map) { map.set(key, count++); code(0x94); }

function beside(v) { side.push(v); code(0x97); } // NEXT_BUFFER: Python takes the next of `side`

function int(v) {
  room(10);
  if (v >= 0 && v < 256) { out[at] = 0x4b; out[at + 1] = v; at += 2; }
  else if (v === (v | 0)) { out[at] = 0x4a; view.setInt32(at + 1, v, true); at += 5; }
  else { out[at] = 0x8a; out[at + 1] = 8; view.setBigInt64(at + 2, BigInt(v), true); at += 10; }
}

function float(v) { room(9); out[at] = 0x47; view.setFloat64(at + 1, v); at += 9; }

function big(v) { // two's complement, little-endian
  let hex = (v < 0n ? ~v : v).toString(16);
  if (hex.length % 2) hex = `0${hex}`;
  if (hex[0] > "7") hex = `00${hex}`;
  const n = hex.length / 2;
  code4(0x8b, n);
  room(n);
  for (let i = n - 1; i >= 0; i--) out[at++] = parseInt(hex.slice(2 * i, 2 * i + 2), 16) ^ (v < 0n ? 255 : 0);
}

function string(s) {
  const n = s.length;
  room(5 + 3 * n);
  const start = at;
  at += n < 86 ? 2 : 5;
  const from = at;
  let i = 0;
  if (n < 86) for (let c; i < n && (c = s.charCodeAt(i)) < 128; i++) out[at++] = c;
  if (i < n) {
    at = from;
    if (s.isWellFormed()) at += encoder.encodeInto(s, out.subarray(at)).written;
    else for (const letter of s) point(letter.codePointAt(0));
  }
  out[start] = n < 86 ? 0x8c : 0x58;
  if (n < 86) out[start + 1] = at - from;
  else view.setUint32(start + 1, at - from, true);
}

function point(c) { // UTF-8 that lets lone surrogates pass
  if (c < 0x80) out[at++] = c;
  else {
    const more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    out[at++] = ((0xff00 >> (more + 1)) & 0xff) | (c >> (6 * more));
    for (let k = more - 1; k >= 0; k--) out[at++] = 0x80 | ((c >> (6 * k)) & 0x3f);
  }
}

function word(s) { // a string that comes again: a key or a name
  const n = words.get(s);
  if (n !== undefined) return recall(n);
  string(s);
  remember(s, words);
}

function call(name, ...args) { // a function of _clone.py, applied to what the args write
  const n = words.get(`\0${name}`);
  if (n !== undefined) recall(n);
  else {
    string(name === "port_of" ? "pyodide_msgchan._endpoint" : "pyodide_msgchan._clone");
    string(name);
    code(0x93);
    remember(`\0${name}`, words);
  }
  for (const arg of args) arg();
  code(0x84 + args.length); // TUPLE1 to TUPLE3
  code(0x52); // REDUCE
}

function bytes(c, part) {
  const n = part.byteLength;
  if (n > IN_BAND) return false;
  room(9 + n);
  out[at] = c;
  view.setUint32(at + 1, n, true);
  view.setUint32(at + 5, 0, true);
  at += c === 0x96 ? 9 : 5;
  out.set(part, at);
  at += n;
  return true;
}

function buffer(v, format) {
  const part = ArrayBuffer.isView(v) ? new Uint8Array(v.buffer, v.byteOffset, v.byteLength) : new Uint8Array(v);
  if (format) call("view_of", () => bytes(0x96, part) || beside(part), () => word(format));
  else if (!bytes(0x42, part)) call("bytes_of", () => beside(part));
}

/** Whether all are keys that Python can hold and tell apart: it takes 1, true and 1n for one. */
function distinct(keys) {
  const seen = new Set();
  let n = 0;
  for (const k of keys) {
    if (typeof k === "object" ? k !== null : typeof k === "function") return false;
    n++;
    if (typeof k === "string") seen.add(k);
    else seen.add(k == null ? null : typeof k === "boolean" || Number.isInteger(k) ? BigInt(k) : k);
  }
  return seen.size === n;
}

function put(v, depth) {
  switch (typeof v) {
    case "string": return string(v);
    case "number": return Number.isSafeInteger(v) ? int(v) : float(v);
    case "boolean": return code(v ? 0x88 : 0x89);
    case "undefined": return code(0x4e);
    case "bigint": return big(v);
    case "object": break;
    default: return beside(v);
  }
  if (v === null) return code(0x4e);
  const known = memo.get(v);
  if (known !== undefined) return recall(known);
  if (depth >= limit) return beside(v);
  const plain = Object.getPrototypeOf(v) === Object.prototype;
  object(plain ? "Object" : Array.isArray(v) ? "Array" : tag(v), v, depth + 1);
  if (!memo.has(v)) remember(v, memo);
}

function open(c, v) { code(c); remember(v, memo); code(0x28); }

function object(kind, v, depth) {
  switch (kind) {
    case "Object":
      open(0x7d, v);
      for (const key of Object.keys(v)) { word(key); put(v[key], depth); }
      return code(0x75);
    case "Array":
      if (v.length > IN_BAND && Object.keys(v).length < v.length / 2) return beside(v); // mostly holes
      open(0x5d, v);
      for (let i = 0; i < v.length; i++) put(v[i], depth);
      return code(0x65);
    case "Map":
      if (!distinct(v.keys())) return beside(v);
      open(0x7d, v);
      v.forEach((value, key) => { put(key, depth); put(value, depth); });
      return code(0x75);
    case "Set":
      if (!distinct(v)) return beside(v);
      open(0x8f, v);
      v.forEach((member) => put(member, depth));
      return code(0x90);
    case "Date":
      return v >= FIRST_DAY && v <= LAST_DAY ? call("date_of", () => int(Number(v))) : beside(v);
    case "Error": case "DOMException":
      return call("error_of", ...["name", "message", "stack"].map((k) => () => string(String(v[k] ?? ""))));
    case "MessagePort": return call("port_of", () => beside(v));
    case "ArrayBuffer": case "Uint8Array": return buffer(v);
    default: return FORMATS[kind] ? buffer(v, FORMATS[kind]) : beside(v);
  }
}

/** Writes the data of a batch of message events; gives the bytes and what goes beside them. */
export function encode(events, depthLimit) {
  at = count = 0;
  if (out.length > 1 << 22) out = new Uint8Array(1 << 16); // give back what one large message took
  view = new DataView(out.buffer);
  limit = depthLimit;
  side = [];
  memo.clear();
  words.clear();
  code(0x5d);
  code(0x28);
  for (const event of events) {
    memo.clear(); // nothing is shared between messages, and what is done can be collected
    if (event.type === "message") put(event.data, 0);
    else call("Notice", () => string(event.type), () => string(String(event.origin ?? "")));
  }
  code(0x65);
  code(0x2e);
  memo.clear();
  return [out.subarray(0, at), side];
}

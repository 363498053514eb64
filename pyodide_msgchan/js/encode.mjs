// From JavaScript to Python: writes pickle streams, of functions of ours and plain values alone, for
// Python's C unpickler.
import { ARRAYS } from "./decode.mjs";
import { bytesOf, isEnvelope, partsOf } from "./packed.mjs";

const IN_BAND = 4096; // bytes; larger buffers cross beside the stream, copied once
const SEGMENT = 1 << 16; // bytes; the same for what Python has packed, which needs no proxy then
const HOMES = { port_of: "_endpoint", packed_of: "_lane", plain_of: "_lane", refused: "_lane" };
const FORMATS = Object.fromEntries(Object.entries(ARRAYS).map(([f, n]) => [n + "Array", f]));
FORMATS.Uint8ClampedArray = FORMATS.DataView = "B";
// A tag and a prototype can be forged; what a port's own method takes for a port can't. This works
// for ports of other windows too. Node's getter takes anything, but its ports have hasRef.
const onPort =
  MessagePort.prototype.hasRef ??
  Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage").get;
export const tag = (v) => {
  const kind = Object.prototype.toString.call(v).slice(8, -1);
  // Node gives its ports no tag of their own, other windows have another class
  if (kind !== "MessagePort" && !(v instanceof MessagePort)) return kind;
  try {
    onPort.call(v);
    return "MessagePort";
  } catch {
    return "Object";
  }
};
const MODULUS = 2 ** 31 - 1; // of Python's hashes of numbers, where addresses have 32 bits
const SAME_HASH = 100; // keys of one hash, at most; powers of two from 2**-1074 to 2**1023 have 68
const FIRST_DAY = -62135596800000,
  LAST_DAY = 253402300799999; // of year 1 and 9999
const encoder = new TextEncoder();

// The writing half keeps its state here: it runs to its end before anything else can call it.
let out = new Uint8Array(1 << 16),
  view = new DataView(out.buffer),
  at = 0;
let count = 0,
  limit = 0,
  side = [],
  copied = []; // of `side`: what Python copies and then needs no more
const memo = new Map(),
  words = new Map();

function room(n) {
  if (at + n <= out.length) return;
  const larger = new Uint8Array(Math.max(out.length * 2, at + n));
  larger.set(out);
  out = larger;
  view = new DataView(out.buffer);
}

function code(c) {
  room(1);
  out[at++] = c;
}

function code4(c, n) {
  room(5);
  out[at] = c;
  view.setUint32(at + 1, n, true);
  at += 5;
}

function recall(n) {
  if (n > 255) return code4(0x6a, n);
  room(2);
  out[at++] = 0x68;
  out[at++] = n;
}

function remember(key, map) {
  map.set(key, count++);
  code(0x94);
}

function beside(v) {
  side.push(v);
  code(0x97);
} // NEXT_BUFFER: Python takes the next of `side`

function int(v) {
  room(10);
  if (v >= 0 && v < 256) {
    out[at] = 0x4b;
    out[at + 1] = v;
    at += 2;
  } else if (v === (v | 0)) {
    out[at] = 0x4a;
    view.setInt32(at + 1, v, true);
    at += 5;
  } else {
    out[at] = 0x8a;
    out[at + 1] = 8;
    view.setBigInt64(at + 2, BigInt(v), true);
    at += 10;
  }
}

function float(v) {
  room(9);
  out[at] = 0x47;
  view.setFloat64(at + 1, v);
  at += 9;
}

function big(v) {
  // two's complement, little-endian
  let hex = (v < 0n ? ~v : v).toString(16);
  if (hex.length % 2) hex = `0${hex}`;
  if (hex[0] > "7") hex = `00${hex}`;
  const n = hex.length / 2;
  code4(0x8b, n);
  room(n);
  for (let i = n - 1; i >= 0; i--)
    out[at++] = parseInt(hex.slice(2 * i, 2 * i + 2), 16) ^ (v < 0n ? 255 : 0);
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

function point(c) {
  // UTF-8 that lets lone surrogates pass
  if (c < 0x80) out[at++] = c;
  else {
    const more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    out[at++] = ((0xff00 >> (more + 1)) & 0xff) | (c >> (6 * more));
    for (let k = more - 1; k >= 0; k--) out[at++] = 0x80 | ((c >> (6 * k)) & 0x3f);
  }
}

function word(s) {
  // a string that comes again: a key or a name
  const n = words.get(s);
  if (n !== undefined) return recall(n);
  string(s);
  remember(s, words);
}

function call(name, ...args) {
  // a function of _clone.py, applied to what the args write
  const n = words.get(`\0${name}`);
  if (n !== undefined) recall(n);
  else {
    string(`pyodide_msgchan.${HOMES[name] ?? "_clone"}`);
    string(name);
    code(0x93);
    remember(`\0${name}`, words);
  }
  for (const arg of args) arg();
  code(0x84 + args.length); // TUPLE1 to TUPLE3
  code(0x52); // REDUCE
}

function bytes(c, part, most = IN_BAND) {
  const n = part.byteLength;
  if (n > most) return false;
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
  const part = ArrayBuffer.isView(v)
    ? new Uint8Array(v.buffer, v.byteOffset, v.byteLength)
    : new Uint8Array(v);
  if (format)
    call(
      "view_of",
      () => bytes(0x96, part) || large(part),
      () => word(format),
    );
  else if (!bytes(0x42, part)) call("bytes_of", () => large(part));
}

function large(part) {
  copied.push(part.buffer);
  beside(part);
}

/** What Python has packed, if the scan lets it through: _lane.py makes values of it. */
function packed(data, scan) {
  const { side = [], buffers = [] } = data;
  const segments = partsOf(data).map(bytesOf),
    memory = buffers.map(bytesOf);
  const complaint = scan([...segments, ...memory].every(Boolean) ? segments : []);
  if (complaint) return call("refused", () => string(complaint));
  if (scan.plain && segments.length === 1 && segments[0].length <= SEGMENT)
    return call("plain_of", () => bytes(0x42, segments[0], SEGMENT));
  const all = (items, one) => () => {
    code(0x28);
    items.forEach(one);
    code(0x74);
  };
  return call(
    "packed_of",
    all(scan.prepare(segments), (part) => bytes(0x42, part, SEGMENT) || large(part)),
    all(side, beside),
    all(memory, large),
  );
}

/** Python's hash of a number, but for its sign and special values: what it leaves by MODULUS. */
function remainder(v) {
  if (typeof v === "bigint") return Number(v % BigInt(MODULUS));
  while (v % 1 !== 0 && Number.isFinite(v)) v *= MODULUS + 1; // which leaves 1, so nothing changes
  return v % MODULUS;
}

/**
 * Whether all are keys that Python can hold, tell apart, and find in no time: it takes 1, true and
 * 1n for one, and compares a number with all others of the same hash. Those of text are secret.
 */
function distinct(keys) {
  const seen = new Set(),
    large = new Set(), // in digits, for JavaScript's own hash of a BigInt takes its last 64 bits alone
    hashes = new Map();
  let n = 0;
  for (let k of keys) {
    if (typeof k === "object" ? k !== null : typeof k === "function") return false;
    n++;
    if (typeof k === "boolean") k = Number(k);
    if (typeof k === "bigint" && Number.isSafeInteger(Number(k))) k = Number(k);
    if (typeof k === "bigint") large.add(k.toString(16));
    else if (Number.isInteger(k) && !Number.isSafeInteger(k)) large.add(BigInt(k).toString(16));
    else seen.add(k ?? null);
    if (
      (typeof k === "number" && (k % 1 !== 0 || Math.abs(k) >= MODULUS)) ||
      typeof k === "bigint"
    ) {
      const hash = remainder(k),
        same = (hashes.get(hash) ?? 0) + 1;
      if (same > SAME_HASH) return false;
      hashes.set(hash, same);
    }
  }
  return seen.size + large.size === n;
}

function put(v, depth) {
  switch (typeof v) {
    case "string":
      return string(v);
    case "number":
      return Number.isSafeInteger(v) ? int(v) : float(v);
    case "boolean":
      return code(v ? 0x88 : 0x89);
    case "undefined":
      return code(0x4e);
    case "bigint":
      return big(v);
    case "object":
      break;
    default:
      return beside(v);
  }
  if (v === null) return code(0x4e);
  const known = memo.get(v);
  if (known !== undefined) return recall(known);
  if (depth >= limit) return beside(v);
  const plain = Object.getPrototypeOf(v) === Object.prototype;
  object(plain ? "Object" : Array.isArray(v) ? "Array" : tag(v), v, depth + 1);
  if (!memo.has(v)) remember(v, memo);
}

function open(c, v) {
  code(c);
  remember(v, memo);
  code(0x28);
}

function object(kind, v, depth) {
  switch (kind) {
    case "Object":
      open(0x7d, v);
      for (const key of Object.keys(v)) {
        word(key);
        put(v[key], depth);
      }
      return code(0x75);
    case "Array":
      if (v.length > IN_BAND && Object.keys(v).length < v.length / 2) return beside(v); // mostly holes
      open(0x5d, v);
      for (let i = 0; i < v.length; i++) put(v[i], depth);
      return code(0x65);
    case "Map":
      if (!distinct(v.keys())) return beside(v);
      open(0x7d, v);
      v.forEach((value, key) => {
        put(key, depth);
        put(value, depth);
      });
      return code(0x75);
    case "Set":
      if (!distinct(v)) return beside(v);
      open(0x8f, v);
      v.forEach((member) => put(member, depth));
      return code(0x90);
    case "Date":
      return v >= FIRST_DAY && v <= LAST_DAY ? call("date_of", () => int(Number(v))) : beside(v);
    case "Error":
    case "DOMException":
      return call(
        "error_of",
        ...["name", "message", "stack"].map((k) => () => string(String(v[k] ?? ""))),
      );
    case "MessagePort":
      return call("port_of", () => beside(v));
    case "ArrayBuffer":
    case "Uint8Array":
      return buffer(v);
    default:
      return FORMATS[kind] ? buffer(v, FORMATS[kind]) : beside(v);
  }
}

/** Writes the data of a batch of message events; gives the bytes, what goes beside them, and the
 * buffers among that if it is nothing else. */
export function encode(events, depthLimit, scan) {
  at = count = 0;
  if (out.length > 1 << 22) out = new Uint8Array(1 << 16); // give back what one large message took
  view = new DataView(out.buffer);
  limit = depthLimit;
  side = [];
  copied = [];
  memo.clear();
  words.clear();
  code(0x5d);
  code(0x28);
  for (const event of events) {
    memo.clear(); // nothing is shared between messages, and what is done can be collected
    if (event.type === "message") {
      if (scan && isEnvelope(event.data)) packed(event.data, scan);
      else put(event.data, 0);
    } else
      call(
        "Notice",
        () => string(event.type),
        () => string(String(event.origin ?? "")),
      );
  }
  code(0x65);
  code(0x2e);
  memo.clear();
  return [out.subarray(0, at), side, copied.length === side.length ? copied : []];
}

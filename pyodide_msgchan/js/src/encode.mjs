// The encoder of messages to Python: writes pickle streams for Python's C unpickler. Apart from
// plain values they call only functions of this package.
import { ARRAYS } from "./decode.mjs";
import { bytesOf, isEnvelope, segmentsOf } from "./packed.mjs";

const OUT_OF_BAND_THRESHOLD = 4096; // Bytes. Larger buffers are sent out of band, and copied once.
// Bytes. The same for the segments of packed messages; a segment in the stream needs no proxy.
const SEGMENT_THRESHOLD = 1 << 16;
const MAX_DENSE_LENGTH = 4096; // Items. A longer array may be a proxy if most of it is holes.
// The modules of the functions that a stream can call, if not _codec.incoming.
const MODULES = {
  port_of: "_port.endpoint",
  packed_of: "_codec.packed.lane",
  plain_of: "_codec.packed.lane",
  refused: "_codec.packed.lane",
  error_of: "_codec.exceptions",
  Notice: "_interfaces",
};
const FORMATS = Object.fromEntries(Object.entries(ARRAYS).map(([f, n]) => [n + "Array", f]));
FORMATS.Uint8ClampedArray = FORMATS.DataView = "B";
// A tag and a prototype can be forged, so a method that only works on ports checks them. It accepts
// ports of other windows too. Node's getter accepts any object, but its ports have hasRef.
const portMethod =
  MessagePort.prototype.hasRef ??
  /** @type {() => unknown} */ (
    Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage")?.get
  );
export const tag = (v) => {
  const kind = Object.prototype.toString.call(v).slice(8, -1);
  // Ports of Node have no tag of their own, and ports of other windows are of another class.
  if (kind !== "MessagePort" && !(v instanceof MessagePort)) return kind;
  try {
    portMethod.call(v);
    return "MessagePort";
  } catch {
    return "Object";
  }
};
const MODULUS = 2 ** 31 - 1; // Of Python's hashes of numbers, on 32-bit platforms.
// Keys of one hash, at most. The powers of two from 2**-1074 to 2**1023 have up to 68.
const MAX_SAME_HASH = 100;
const MIN_DATE = -62135596800000,
  MAX_DATE = 253402300799999; // The range of Python's datetime, from year 1 to 9999.
const encoder = new TextEncoder();

// The state of `encode`, which completes before it can be called again.
let out = new Uint8Array(1 << 16),
  view = new DataView(out.buffer),
  at = 0;
let count = 0,
  limit = 0,
  side = [],
  copied = []; // The buffers of `side`, which Python does not need after it has copied them.
const memo = new Map(),
  names = new Map();

function reserve(n) {
  if (at + n <= out.length) return;
  const larger = new Uint8Array(Math.max(out.length * 2, at + n));
  larger.set(out);
  out = larger;
  view = new DataView(out.buffer);
}

function opcode(c) {
  reserve(1);
  out[at++] = c;
}

function opcode4(c, n) {
  reserve(5);
  out[at] = c;
  view.setUint32(at + 1, n, true);
  at += 5;
}

function recall(n) {
  if (n > 255) return opcode4(0x6a, n);
  reserve(2);
  out[at++] = 0x68;
  out[at++] = n;
}

function remember(key, map) {
  map.set(key, count++);
  opcode(0x94);
}

function outOfBand(v) {
  side.push(v);
  opcode(0x97); // NEXT_BUFFER: the unpickler takes the next object of `side`.
}

function int(v) {
  reserve(10);
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
  reserve(9);
  out[at] = 0x47;
  view.setFloat64(at + 1, v);
  at += 9;
}

function big(v) {
  // The format is two's complement, little-endian.
  let hex = (v < 0n ? ~v : v).toString(16);
  if (hex.length % 2) hex = `0${hex}`;
  if (hex[0] > "7") hex = `00${hex}`;
  const n = hex.length / 2;
  opcode4(0x8b, n);
  reserve(n);
  for (let i = n - 1; i >= 0; i--)
    out[at++] = parseInt(hex.slice(2 * i, 2 * i + 2), 16) ^ (v < 0n ? 255 : 0);
}

function string(s) {
  const n = s.length;
  reserve(5 + 3 * n);
  const start = at;
  at += n < 86 ? 2 : 5;
  const from = at;
  let i = 0;
  if (n < 86) for (let c; i < n && (c = s.charCodeAt(i)) < 128; i++) out[at++] = c;
  if (i < n) {
    at = from;
    if (s.isWellFormed()) at += encoder.encodeInto(s, out.subarray(at)).written;
    else for (const character of s) codePoint(character.codePointAt(0));
  }
  out[start] = n < 86 ? 0x8c : 0x58;
  if (n < 86) out[start + 1] = at - from;
  else view.setUint32(start + 1, at - from, true);
}

function codePoint(c) {
  // Lone surrogates are encoded too, as Python's "surrogatepass" does.
  if (c < 0x80) out[at++] = c;
  else {
    const more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    out[at++] = ((0xff00 >> (more + 1)) & 0xff) | (c >> (6 * more));
    for (let k = more - 1; k >= 0; k--) out[at++] = 0x80 | ((c >> (6 * k)) & 0x3f);
  }
}

/** Writes a string that is likely to occur again, such as a key, once. */
function repeated(s) {
  const n = names.get(s);
  if (n !== undefined) return recall(n);
  string(s);
  remember(s, names);
}

/** Writes a call of a Python function; each of `args` is a function that writes one argument. */
function call(name, ...args) {
  const n = names.get(`\0${name}`);
  if (n !== undefined) recall(n);
  else {
    string(`pyodide_msgchan.${MODULES[name] ?? "_codec.incoming"}`);
    string(name);
    opcode(0x93);
    remember(`\0${name}`, names);
  }
  for (const arg of args) arg();
  opcode(0x84 + args.length); // TUPLE1 to TUPLE3
  opcode(0x52); // REDUCE
}

/** Writes bytes into the stream, or returns false if they exceed the threshold. */
function bytes(c, part, threshold = OUT_OF_BAND_THRESHOLD) {
  const n = part.byteLength;
  if (n > threshold) return false;
  reserve(9 + n);
  out[at] = c;
  view.setUint32(at + 1, n, true);
  view.setUint32(at + 5, 0, true);
  at += c === 0x96 ? 9 : 5;
  out.set(part, at);
  at += n;
  return true;
}

/** Writes a typed array as a call of `view_of`, or without a format as bytes. */
function buffer(v, format) {
  const part = ArrayBuffer.isView(v)
    ? new Uint8Array(v.buffer, v.byteOffset, v.byteLength)
    : new Uint8Array(v);
  if (format)
    call(
      "view_of",
      () => bytes(0x96, part) || large(part),
      () => repeated(format),
    );
  else if (!bytes(0x42, part)) call("bytes_of", () => large(part));
}

/** Sends a large buffer out of band. */
function large(part) {
  copied.push(part.buffer);
  outOfBand(part);
}

/**
 * Writes a packed message as a call of _codec/packed/lane.py, which decodes it or reports its
 * refusal.
 */
function packed(data, scan) {
  const { side = [], buffers = [] } = data;
  /** @type {any[]} */ const segments = segmentsOf(data).map(bytesOf),
    memory = buffers.map(bytesOf);
  const refusal = scan.refusalOf([...segments, ...memory].every(Boolean) ? segments : []);
  if (refusal) return call("refused", () => string(refusal));
  if (scan.plain && segments.length === 1 && segments[0].length <= SEGMENT_THRESHOLD)
    return call("plain_of", () => bytes(0x42, segments[0], SEGMENT_THRESHOLD));
  const tupleOf = (items, write) => () => {
    opcode(0x28);
    items.forEach(write);
    opcode(0x74);
  };
  return call(
    "packed_of",
    tupleOf(scan.prepare(segments), (part) => bytes(0x42, part, SEGMENT_THRESHOLD) || large(part)),
    tupleOf(side, outOfBand),
    tupleOf(memory, large),
  );
}

/**
 * Returns Python's hash of a finite number, apart from its sign and the special case of -1: the
 * remainder modulo MODULUS.
 */
function hashOf(v) {
  if (typeof v === "bigint") return Number(v % BigInt(MODULUS));
  // The factor is 1 modulo MODULUS, so it does not change the hash.
  while (v % 1 !== 0 && Number.isFinite(v)) v *= MODULUS + 1;
  return v % MODULUS;
}

/**
 * Returns true if all keys can be keys in Python, are distinct there, and few have the same hash.
 * Python takes 1, true and 1n for the same key, and compares a key with all others of its hash.
 * Only numbers are checked: the hashes of strings are secret, so no peer can choose them.
 */
function areDistinct(keys) {
  const seen = new Set(),
    // As text, since JavaScript hashes only the last 64 bits of a BigInt.
    large = new Set(),
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
      const hash = hashOf(k),
        same = (hashes.get(hash) ?? 0) + 1;
      if (same > MAX_SAME_HASH) return false;
      hashes.set(hash, same);
    }
  }
  return seen.size + large.size === n;
}

/** Writes any value; a value that has no pickle form, or is nested too deeply, goes out of band. */
function put(v, depth) {
  switch (typeof v) {
    case "string":
      return string(v);
    case "number":
      return Number.isSafeInteger(v) ? int(v) : float(v);
    case "boolean":
      return opcode(v ? 0x88 : 0x89);
    case "undefined":
      return opcode(0x4e);
    case "bigint":
      return big(v);
    case "object":
      break;
    default:
      return outOfBand(v);
  }
  if (v === null) return opcode(0x4e);
  const known = memo.get(v);
  if (known !== undefined) return recall(known);
  if (depth >= limit) return outOfBand(v);
  const plain = Object.getPrototypeOf(v) === Object.prototype;
  object(plain ? "Object" : Array.isArray(v) ? "Array" : tag(v), v, depth + 1);
  if (!memo.has(v)) remember(v, memo);
}

function open(c, v) {
  opcode(c);
  remember(v, memo);
  opcode(0x28);
}

function object(kind, v, depth) {
  switch (kind) {
    case "Object":
      open(0x7d, v);
      for (const key of Object.keys(v)) {
        repeated(key);
        put(v[key], depth);
      }
      return opcode(0x75);
    case "Array":
      // An array that is mostly holes would become a huge list, so Python gets a proxy.
      if (v.length > MAX_DENSE_LENGTH && Object.keys(v).length < v.length / 2) return outOfBand(v);
      open(0x5d, v);
      for (let i = 0; i < v.length; i++) put(v[i], depth);
      return opcode(0x65);
    case "Map":
      if (!areDistinct(v.keys())) return outOfBand(v);
      open(0x7d, v);
      v.forEach((value, key) => {
        put(key, depth);
        put(value, depth);
      });
      return opcode(0x75);
    case "Set":
      if (!areDistinct(v)) return outOfBand(v);
      open(0x8f, v);
      v.forEach((member) => put(member, depth));
      return opcode(0x90);
    case "Date":
      return v >= MIN_DATE && v <= MAX_DATE ? call("date_of", () => int(Number(v))) : outOfBand(v);
    case "Error":
    case "DOMException":
      return call(
        "error_of",
        ...["name", "message", "stack"].map((k) => () => string(String(v[k] ?? ""))),
      );
    case "MessagePort":
      return call("port_of", () => outOfBand(v));
    case "ArrayBuffer":
    case "Uint8Array":
      return buffer(v);
    default:
      return FORMATS[kind] ? buffer(v, FORMATS[kind]) : outOfBand(v);
  }
}

/**
 * Writes the data of a batch of message events. Returns the stream, the objects that are sent out
 * of band, and their ArrayBuffers if all of them are buffers, else an empty list.
 */
export function encode(events, depthLimit, scan) {
  at = count = 0;
  if (out.length > 1 << 22) out = new Uint8Array(1 << 16); // Free the memory of a large message.
  view = new DataView(out.buffer);
  limit = depthLimit;
  side = [];
  copied = [];
  memo.clear();
  names.clear();
  opcode(0x5d);
  opcode(0x28);
  for (const event of events) {
    memo.clear(); // Messages share no objects, and the objects of the last one can be collected.
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
  opcode(0x65);
  opcode(0x2e);
  memo.clear();
  return [out.subarray(0, at), side, copied.length === side.length ? copied : []];
}

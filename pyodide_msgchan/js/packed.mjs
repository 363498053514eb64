// The packed lane's envelopes: what Python has packed, on its way between windows. What comes in one
// is scanned (scan.mjs) before Python's unpickler sees it.

const CLONED = 1024; // bytes; moving a shorter stream costs more than cloning it

/** Whether this is the data of a message that Python has packed. */
export const isEnvelope = (data) =>
  data !== null &&
  typeof data === "object" &&
  (Array.isArray(data.msgchan) || ArrayBuffer.isView(data.msgchan)) &&
  Array.isArray(data.side ?? []) &&
  Array.isArray(data.buffers ?? []);

/** The bytes of a part of an envelope; undefined if it is none, or memory that may change. */
export function bytesOf(part) {
  const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(part) ? part : { buffer: part };
  const own = Object.prototype.toString.call(buffer) === "[object ArrayBuffer]";
  return own ? new Uint8Array(buffer, byteOffset, byteLength) : undefined;
}

/** The parts of the stream in an envelope. */
export const partsOf = ({ msgchan }) => (Array.isArray(msgchan) ? msgchan : [msgchan]);

/** Puts a stream that is all of a message, and names nothing, into memory; gives its size, or 0. */
export function putAlone(data, memory, scan) {
  const parts = isEnvelope(data) ? partsOf(data) : [];
  const stream = parts.length === 1 ? bytesOf(parts[0]) : undefined;
  if (!stream || stream.length > memory.length) return 0;
  memory.set(stream);
  return !scan([memory.subarray(0, stream.length)]) && scan.plain ? stream.length : 0;
}

/** Returns the data of a message, and the buffers that go with it, each written for it alone. */
export function seal(segments, side, buffers) {
  if (!side && !buffers && segments.length === 1 && segments[0].length <= CLONED)
    return [{ msgchan: segments[0] }, []];
  const own = (part) =>
    part.byteLength === part.buffer.byteLength ? part.buffer : part.slice().buffer;
  const msgchan = segments.map(own),
    beside = buffers?.map(own) ?? [];
  return [{ msgchan, side: side ?? [], buffers: beside }, msgchan.concat(beside)];
}

// The envelopes of packed messages. The stream in a received envelope is untrusted: scan.mjs scans
// it before Python's unpickler reads it.

// Bytes. Transferring a shorter stream costs more than cloning it.
const CLONE_LIMIT = 1024;

/** Returns true if the data of a message is an envelope. */
export const isEnvelope = (data) =>
  data !== null &&
  typeof data === "object" &&
  (Array.isArray(data.msgchan) || ArrayBuffer.isView(data.msgchan)) &&
  Array.isArray(data.side ?? []) &&
  Array.isArray(data.buffers ?? []);

/**
 * Returns the bytes of a part of an envelope; undefined if it is no buffer, or is shared memory.
 */
export function bytesOf(part) {
  const { buffer, byteOffset, byteLength } = ArrayBuffer.isView(part) ? part : { buffer: part };
  const unshared = Object.prototype.toString.call(buffer) === "[object ArrayBuffer]";
  return unshared ? new Uint8Array(buffer, byteOffset, byteLength) : undefined;
}

/** Returns the segments of the stream in an envelope. */
export const segmentsOf = ({ msgchan }) => (Array.isArray(msgchan) ? msgchan : [msgchan]);

/**
 * Copies the stream of a message into memory, if it is one segment that calls no functions, and
 * nothing is out of band. Returns its size in bytes, or 0 if `encode` has to handle the message.
 */
export function copyPlainStream(data, memory, scan) {
  const parts = isEnvelope(data) ? segmentsOf(data) : [];
  const stream = parts.length === 1 ? bytesOf(parts[0]) : undefined;
  if (!stream || stream.length > memory.length) return 0;
  memory.set(stream);
  return !scan.refusalOf([memory.subarray(0, stream.length)]) && scan.plain ? stream.length : 0;
}

/** Returns the envelope of a message, and the list of its ArrayBuffers, which are transferred. */
export function toEnvelope(segments, side, buffers) {
  if (!side && !buffers && segments.length === 1 && segments[0].length <= CLONE_LIMIT)
    return [{ msgchan: segments[0] }, []];
  const ownBuffer = (part) =>
    part.byteLength === part.buffer.byteLength ? part.buffer : part.slice().buffer;
  const msgchan = segments.map(ownBuffer),
    outOfBand = buffers?.map(ownBuffer) ?? [];
  return [{ msgchan, side: side ?? [], buffers: outOfBand }, msgchan.concat(outOfBand)];
}

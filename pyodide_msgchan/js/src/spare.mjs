// Buffers of large messages that were received, kept to send the next ones: to allocate a large
// buffer costs several times more than to copy into one.

const MIN_SPARE_BYTES = 1 << 18; // smaller buffers are allocated
const MAX_SPARES = 2;
const MAX_TOTAL_SPARE_BYTES = 1 << 26; // of all spare buffers together
const SPARE_LIFETIME_MS = 2000; // unused buffers are released after this time

let spares = [],
  timer;

/**
 * Keep a buffer that nothing else refers to. It must be the received buffer itself: Chrome copies
 * the result of `transfer()` when it is posted.
 */
export function keepSpare(buffer) {
  const size = buffer.byteLength;
  if (
    size < MIN_SPARE_BYTES ||
    size > MAX_TOTAL_SPARE_BYTES ||
    buffer.resizable ||
    spares.includes(buffer)
  )
    return;
  spares.push(buffer);
  while (
    spares.length > MAX_SPARES ||
    spares.reduce((sum, kept) => sum + kept.byteLength, 0) > MAX_TOTAL_SPARE_BYTES
  )
    spares.shift();
  clearTimeout(timer);
  timer = setTimeout(() => (spares = []), SPARE_LIFETIME_MS);
  timer.unref?.(); // else Node would not exit
}

/** Return a kept buffer of exactly this size, with its old content; undefined if there is none. */
export function takeSpare(size) {
  const i = spares.findIndex((kept) => kept.byteLength === size);
  return i < 0 ? undefined : new Uint8Array(spares.splice(i, 1)[0]);
}

// Memory in which large messages came, kept for the next ones to leave in: for a buffer of some
// size, getting fresh memory from the system costs several times more than copying into it.

const LARGE = 1 << 18; // bytes; smaller buffers are made anew
const MOST = 2; // buffers
const BYTES = 1 << 26; // in all of them
const AFTER = 2000; // milliseconds without use, after which they are let go

let spares = [],
  timer;

/**
 * Keep a buffer that nobody else can see. It stays as it came: what `transfer()` gives, Chrome
 * copies when it is posted.
 */
export function keep(buffer) {
  const size = buffer.byteLength;
  if (size < LARGE || size > BYTES || buffer.resizable || spares.includes(buffer)) return;
  spares.push(buffer);
  while (spares.length > MOST || spares.reduce((sum, one) => sum + one.byteLength, 0) > BYTES)
    spares.shift();
  clearTimeout(timer);
  timer = setTimeout(() => (spares = []), AFTER);
  timer.unref?.(); // Node would wait for it
}

/** A kept buffer of just that size, full of what was in it, as bytes; undefined if there is none. */
export function spare(size) {
  const i = spares.findIndex((one) => one.byteLength === size);
  return i < 0 ? undefined : new Uint8Array(spares.splice(i, 1)[0]);
}

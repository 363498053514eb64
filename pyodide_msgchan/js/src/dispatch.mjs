// Sending: checks a transfer list before anything is transferred, and returns errors as text.
import { tag } from "./encode.mjs";

const TRANSFERABLE = new Set(
  (
    "ArrayBuffer MessagePort ImageBitmap OffscreenCanvas ReadableStream WritableStream TransformStream " +
    "AudioData VideoFrame RTCDataChannel MediaSourceHandle MediaStreamTrack MIDIAccess"
  ).split(" "),
);

/**
 * Post the message that `build` returns, together with the buffers that were made for it. Return
 * undefined; or else "transfer", the index in the transfer list and the reason, or the name and
 * text of an error.
 */
export function dispatch(post, transfer, build) {
  const list = transfer ? [...transfer] : [];
  for (const [i, item] of list.entries()) {
    if (ArrayBuffer.isView(item)) list[i] = item.buffer;
    if (!TRANSFERABLE.has(tag(list[i]))) return `transfer ${i} ${tag(item)} is not transferable`;
    if (list.indexOf(list[i]) !== i) return `transfer ${i} it is in the list twice`;
    if (list[i].detached) return `transfer ${i} the buffer is already detached`;
  }
  try {
    const [value, fresh] = build();
    post(value, fresh.length ? list.concat(fresh) : list);
    return undefined;
  } catch (error) {
    const { name, message } = /** @type {Error} */ (error);
    return `${name} ${message}`;
  }
}

// A worker without Python whose policy lets no text be evaluated.
import * as Comlink from "/node_modules/comlink/dist/esm/comlink.mjs";
import { accept } from "/site/msgchan.mjs";

let strict = false;
try {
  new Function("");
} catch (error) {
  strict = error instanceof EvalError;
}
if (!strict) throw Error("this worker's policy is not strict");
const { port } = await accept();
Comlink.expose({ add: (a, b) => a + b, call: (callback, value) => callback(value) }, port);

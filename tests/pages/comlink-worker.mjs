// A worker as Comlink's README has it: it knows nothing of Python.
import * as Comlink from "/node_modules/comlink/dist/esm/comlink.mjs";

Comlink.expose({
  counter: 0,
  add: (a, b) => a + b,
  increment() {
    return ++this.counter;
  },
  call: (callback, value) => callback(value),
  fail() {
    throw new RangeError("out of it");
  },
});

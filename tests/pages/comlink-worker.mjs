// A worker as Comlink's README has it: it knows nothing of Python.
import * as Comlink from "/node_modules/comlink/dist/esm/comlink.mjs";

Comlink.expose({
  counter: 0,
  add: (a, b) => a + b,
  increment() {
    return ++this.counter;
  },
  make: () => Comlink.proxy({ up: (by) => (globalThis.n = (globalThis.n ?? 0) + by) }),
  /** Calls the page, by an endpoint that everybody here uses. */
  async ask() {
    const page = Comlink.wrap(self);
    const thing = await page.make();
    return [await page.add(1, 2), await thing.up(1), await thing.up(1)];
  },
  call: (callback, value) => callback(value),
  fail() {
    throw new RangeError("out of it");
  },
});

// A worker in which Comlink and Python both call the page, and Comlink is called by it.
import * as Comlink from "/node_modules/comlink/dist/esm/comlink.mjs";
import { loadPyodide } from "/test-pyodide/pyodide.mjs";

const python = await loadPyodide({ packages: ["pyodide-msgchan"] });
await python.runPythonAsync(`
import js
from pyodide_msgchan import release, wrap

page = wrap(js.self)

async def ask():
    thing = await page.make()
    numbers = [await page.add(1, 2), await thing.up(1), await thing.up(1)]
    await release(thing)
    return numbers

def kept():
    return len(page._handle.client.protocol._queued or ())
`);
const page = Comlink.wrap(self);
Comlink.expose({
  make() {
    let n = 0;
    return Comlink.proxy({ up: (by) => (n += by) });
  },
  add: (a, b) => a + b,
  async ask() {
    const thing = await page.make();
    const numbers = [await page.add(1, 2), await thing.up(1), await thing.up(1)];
    thing[Comlink.releaseProxy]();
    return numbers;
  },
  askByPython: async () => (await python.runPythonAsync("await ask()")).toJs(),
  kept: () => python.runPython("kept()"),
});
postMessage("booted");

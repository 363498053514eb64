// What serve_calls.py does, with Comlink as npm has it, and msgchan.mjs.
import * as Comlink from "/node_modules/comlink/dist/esm/comlink.mjs";
import { ANY_ORIGIN, accept } from "/site/msgchan.mjs";

const stories = new URLSearchParams(location.search).get("stories").split(" ");
const connections = new Map();
const never = () => new Promise(() => {});
const thing = {
  async wait(started) {
    await started?.();
    await never();
  },
  add: (a, b) => a + b,
};
const served = {
  ...thing,
  thing: () => Comlink.proxy({ ...thing }),
  count() {
    async function* items() {
      yield 0;
      await never();
    }
    return Comlink.proxy(items());
  },
  async consume(items) {
    while (!(await items.next()).done);
  },
  ask: () => void Comlink.wrap(connections.get("asked").port).wait(),
  close: () => stories.forEach((name) => connections.get(name).close()),
  reload: () => void setTimeout(() => location.reload()),
  left: () => "nothing",
};
const anybody = self.document ? { origin: ANY_ORIGIN } : {}; // a worker has no origins
async function serve(name) {
  for (let round = 0; ; round++) {
    const connection = await accept({ ...anybody, name: `${name} ${round}` });
    connections.set(name, connection);
    Comlink.expose(served, connection.port);
    await connection.closed;
  }
}
for (const name of [...stories, "control"]) void serve(name);

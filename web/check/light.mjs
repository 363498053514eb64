// A frame, popup or worker without Python, which a row of the check page has for itself. The row
// tells it what to do by the name of one of these functions.
import * as Comlink from "../vendor/comlink.mjs";
import { accept } from "../msgchan.mjs";

const next = (port) =>
  new Promise((resolve) => {
    port.onmessage = resolve;
  });
let heard;
const kept = []; // what nothing here refers to would be collected, in the midst of a row

const scenarios = {
  /** Send back on a port whatever comes on it, ports included. */
  echo(port) {
    kept.push(port);
    port.onmessage = ({ data, ports }) => port.postMessage(data, ports);
  },

  /** Hear the next message that another window posts to this one; `heard_window` tells of it. */
  hear_window() {
    const told = ({ data, origin, source, ports }) => ({
      data,
      origin,
      parent: source === parent,
      ports: ports.length,
    });
    heard = new Promise((tell) =>
      addEventListener("message", (event) => tell(told(event)), { once: true }),
    );
  },
  heard_window: () => heard,

  /** Wait for one more caller, under a name of its own. */
  accept_more(name) {
    accept({ name, origin: host }).then((connection) => kept.push(connection));
  },

  /** Offer something on a port as any page with Comlink would. */
  comlink_expose(port) {
    kept.push(port);
    Comlink.expose(
      {
        add: (one, two) => one + two,
        same: (value) => value,
        args: (...all) => all,
        nested: { deep: "deep" },
        fail() {
          throw new RangeError("too far");
        },
        async each(items, callback) {
          for (const item of items) await callback(item);
        },
        Counter: class {
          constructor(start) {
            this.value = start;
          }
          up() {
            return ++this.value;
          }
        },
      },
      port,
    );
  },

  /** Call what Python offers on a port, as any page with Comlink would. */
  async comlink_wrap(port) {
    const remote = Comlink.wrap(port);
    const got = [await remote.add(1, 2), await remote.settings.theme];
    await (remote.settings.theme = "dark");
    got.push(await remote.settings.theme);
    const counter = await remote.counter();
    got.push(await counter.up());
    const seen = [];
    await remote.each([1, 2], Comlink.proxy((item) => void seen.push(10 * item))); // prettier-ignore
    got.push(seen);
    await remote.fail("value").catch((error) => got.push(`${error.name} caught`));
    counter[Comlink.releaseProxy]();
    return got;
  },

  /** Close a port. */
  close(port) {
    port.close();
  },

  /** Pass the next port that comes on to the next page. */
  async pass_on(source, target) {
    const { ports } = await next(source);
    source.postMessage("taken");
    source.close();
    target.postMessage("passed on", ports);
    await next(target); // Firefox would lose what is sent before a close while the other end moves
    target.close();
  },

  /** Take the port that comes, and all that arrives on it, until the last. */
  async gather(source, last) {
    const { ports } = await next(source);
    source.postMessage("taken");
    source.close();
    const got = [];
    await new Promise((done) => {
      ports[0].onmessage = ({ data }) => {
        got.push(data);
        if (data === last) done();
      };
    });
    ports[0].close();
    return got;
  },

  /** Answer the requests that come on a port. */
  answer(port) {
    kept.push(port);
    port.onmessage = ({ data, ports }) => ports.at(-1).postMessage({ answered: data });
  },

  /** Answer never. */
  hang: () => new Promise(() => {}),

  /** Post numbers on the connection itself. */
  burst(count) {
    for (let i = 0; i < count; i++) port.postMessage(i);
  },

  /** Post numbers, then say goodbye. */
  leave(count) {
    scenarios.burst(count);
    close();
  },

  /** Post numbers, then go to another page. */
  navigate(count) {
    scenarios.burst(count);
    location.href = "about:blank";
  },

  /** Post numbers, then load anew. */
  reload(count) {
    scenarios.burst(count);
    location.reload();
  },
};

const host = new URLSearchParams(location.search).get("host");
const inWorker = typeof document === "undefined";
const { port, close } = await accept({ name: "light", ...(inWorker ? {} : { origin: host }) });
port.onmessage = async ({ data, ports }) => {
  const answer = ports.at(-1);
  try {
    answer.postMessage({ value: await scenarios[data.run](...data.args) });
  } catch (error) {
    answer.postMessage({ error: `${error.name}: ${error.message}` });
  }
  answer.close();
};

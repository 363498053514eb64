// A frame, popup or worker without Python, which a row of the check page has for itself. The row
// tells it what to do by the name of one of these functions.
import { accept } from "./msgchan.mjs";

const next = (port) =>
  new Promise((resolve) => {
    port.onmessage = resolve;
  });
const kept = []; // what nothing here refers to would be collected, in the midst of a row

const scenarios = {
  /** Send back on a port whatever comes on it, ports included. */
  echo(port) {
    kept.push(port);
    port.onmessage = ({ data, ports }) => port.postMessage(data, ports);
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

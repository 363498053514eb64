// Opens a frame, popup or worker that runs what a test asks: msgchan-peer.html is on the other side.
import * as msgchan from "/site/msgchan.mjs";

// Promises of what comes next, as a queue whose reader may come first or last.
export const stream = () => {
  const values = [];
  const readers = [];
  return {
    put: (value) => (readers.length ? readers.shift()(value) : values.push(value)),
    take: () =>
      values.length
        ? Promise.resolve(values.shift())
        : new Promise((reader) => readers.push(reader)),
  };
};

const makeTarget = (kind, address) => {
  if (kind === "worker") return new Worker(address, { type: "module" });
  if (kind.endsWith("popup")) return open(address);
  const frame = document.createElement("iframe");
  if (kind === "sandboxed") frame.sandbox = "allow-scripts";
  frame.src = address;
  return document.body.appendChild(frame);
};

// A peer that may not have loaded yet: `run` waits until it has.
export const openPeer = (kind, address) => {
  const origin = kind === "sandboxed" ? msgchan.OPAQUE_ORIGIN : new URL(address).origin;
  const target = makeTarget(kind, address);
  const framed = kind !== "worker" && !kind.endsWith("popup");
  const place = () => (framed ? target.contentWindow : target);
  const boots = stream();
  const replies = new Map();
  let number = 0;
  let ready = boots.take();
  const hear = ({ source, data }) => {
    if (!data?.test || (source && source !== place())) return;
    if ("ready" in data) boots.put(data.ready);
    else replies.get(data.number)?.(data);
  };
  (kind === "worker" ? target : window).addEventListener("message", hear);
  return {
    target,
    origin,
    options: (more) => (kind === "worker" ? more : { origin, ...more }),
    ready: () => ready,
    reloaded: () => (ready = boots.take()),
    close() {
      (kind === "worker" ? target : window).removeEventListener("message", hear);
      if (kind === "worker") target.terminate();
      else if (kind.endsWith("popup")) target.close();
      else target.remove();
    },
    async run(body, ...args) {
      await ready;
      const { value, error } = await new Promise((reply) => {
        replies.set(++number, reply);
        place().postMessage({ number, body, args }, { targetOrigin: "*" });
      });
      if (error) throw Error(error);
      return value;
    },
  };
};

// The other side of chaos.py, with msgchan.mjs and Comlink: talks, asks and is called until it goes.
import * as Comlink from "/node_modules/comlink/dist/esm/comlink.mjs";
import { accept } from "/site/msgchan.mjs";

const origin = new URLSearchParams(location.search).get("origin");
const tell = (chaos) => parent.postMessage({ chaos }, origin);
const open = new Set();
const last = []; // what is still to be said on the connections that are open

const acts = {
  reload: () => location.reload(),
  close() {
    for (const say of last) say();
    for (const connection of open) connection.close();
  },
  compute() {
    const end = performance.now() + 200;
    while (performance.now() < end);
  },
};
addEventListener("message", ({ data }) => acts[data?.act]?.());
addEventListener("error", ({ message }) => tell({ wrong: message }));
addEventListener("unhandledrejection", ({ reason }) => tell({ wrong: String(reason) }));

const talk = async (connection) => {
  const { port } = connection;
  const log = { got: 0, sent: 0 };
  const post = (transfer = []) => {
    port.postMessage({ n: log.sent }, transfer);
    log.sent++;
  };
  port.onmessage = ({ data, ports }) => {
    log.id ??= data.id;
    if (data.n !== log.got || data.id !== log.id)
      tell({ wrong: `${JSON.stringify(data)} came as number ${log.got} of ${log.id}` });
    log.got++;
    ports.at(-1)?.postMessage({ n: data.n });
  };
  const ask = () => {
    const { port1, port2 } = new MessageChannel();
    const n = log.sent;
    port1.onmessage = ({ data }) => {
      if (data.n !== n) tell({ wrong: `the answer to ${n} is ${data.n}` });
      port1.close();
    };
    post([port2]);
  };
  const timer = setInterval(() => {
    for (let i = 0; i < 5; i++) post();
    ask();
  }, 20);
  last.push(post);
  const end = await connection.closed;
  last.splice(last.indexOf(post), 1);
  clearInterval(timer);
  tell({ ...log, ...end });
};

async function* countUp(numbers) {
  for (let i = 0; i < numbers; i++) yield i;
}
const thing = { add: (a, b) => a + b };
const api = {
  ...thing,
  async each(numbers, f) {
    for (const number of numbers) await f(number);
    return numbers.length;
  },
  count: (numbers) => Comlink.proxy(countUp(numbers)),
  async total(items) {
    let sum = 0;
    for (;;) {
      const { done, value } = await items.next();
      if (done) return sum;
      sum += value;
    }
  },
  never: () => new Promise(() => {}),
  stall(numbers) {
    async function* items() {
      yield* countUp(numbers);
      await api.never();
    }
    return Comlink.proxy(items());
  },
  echo(port, messages) {
    let seen = 0;
    port.onmessage = ({ data }) => {
      port.postMessage(data);
      if (++seen === messages) port.close();
    };
    return true;
  },
  odd() {
    throw Object.assign(new TypeError("odd"), { builtin: [1], add_note: 1 });
  },
  thing: () => Comlink.proxy({ ...thing }),
  use: (other) => other.add(1, 2),
};
const call = async (connection) => {
  let over;
  const ended = connection.closed.then(() => (over = true));
  Comlink.expose(api, connection.port);
  const holder = Comlink.wrap(connection.port);
  for (let n = 0; !over; n++) {
    const answer = await Promise.race([holder.double(n), ended]);
    if (!over && answer !== 2 * n) tell({ wrong: `double of ${n} is ${answer}` });
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
};

const keep = async (name, session) => {
  for (;;) {
    const connection = await accept({ origin, name });
    open.add(connection);
    await session(connection);
    open.delete(connection);
  }
};
keep("data", talk);
keep("calls", call);

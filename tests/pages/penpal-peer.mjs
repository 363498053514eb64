// One end of Penpal's table of cases in JavaScript: the package as npm has it, and nothing of ours.
import * as Penpal from "/node_modules/penpal/dist/penpal.mjs";

class OwnError extends Error {
  name = "OwnError";
}

const later = (value) => new Promise((resolve) => setTimeout(resolve, 0, value));
const fail = (kind) => {
  if (kind === "none") throw "just text";
  throw kind === "own" ? new OwnError("own words") : new TypeError("wrong type");
};

/** What the cases call; penpal_peer.py has the same in Python. */
function makeMethods(remote) {
  return {
    version: 3,
    add: (a, b) => a + b,
    echo: (value) => value,
    nothing: () => undefined,
    later,
    tools: { name: () => "tools", deep: { add: (a, b) => a + b } },
    fail,
    failLater: async (kind) => fail(await later(kind)),
    unsendable: () => ({ rows: [() => 0] }),
    postOn(port, message) {
      port.postMessage(message);
      return true;
    },
    never: () => new Promise(() => {}),
    askBack: async (n) => (await (await remote()).add(n, n)) + 1,
    run: async (steps) => JSON.stringify(await run(await remote(), JSON.parse(steps))),
  };
}

/** Connects, with what the cases call and whatever else. */
export function connect(messenger, channel, more = {}, timeout = undefined) {
  const connection = Penpal.connect({
    messenger,
    channel,
    timeout,
    methods: { ...makeMethods(() => connection.promise), ...more },
  });
  return connection;
}

export const toWindow = (remoteWindow, ...allowedOrigins) =>
  new Penpal.WindowMessenger({ remoteWindow, allowedOrigins });

export const toWorker = (worker) => new Penpal.WorkerMessenger({ worker });

/** Runs the steps of one case; gives their outcomes. */
export async function run(remote, steps) {
  const outcomes = [];
  for (const step of steps) outcomes.push(await one(remote, step).catch(failure));
  return outcomes;
}

const failure = (error) =>
  error instanceof Error
    ? { throws: error.name, says: error.message, code: error.code, stack: typeof error.stack }
    : { throws: "thrown", says: String(error) };

async function one(remote, step) {
  const method = step.call.split(".").reduce((owner, name) => owner[name], remote);
  let heard;
  const transferables = [];
  const given = (step.args ?? []).map((value) => {
    if (!value?.$port) return decode(value);
    const { port1, port2 } = new MessageChannel();
    heard = new Promise((resolve) => {
      port1.onmessage = (event) => resolve(event.data);
    });
    transferables.push(port2);
    return port2;
  });
  given.push(new Penpal.CallOptions({ timeout: step.timeout, transferables }));
  const calls = Array.from({ length: step.times ?? 1 }, () => method(...given));
  const results = new Set(await Promise.all(calls));
  const outcome = { is: results.size === 1 ? encode([...results][0]) : "several results" };
  if (heard) outcome.hears = await heard;
  return outcome;
}

function decode(value) {
  if (value?.$bytes) return new Uint8Array(value.$bytes);
  if (value?.$big) return BigInt(value.$big);
  return value?.$function ? () => 0 : value;
}

function encode(value) {
  if (value instanceof Uint8Array) return { $bytes: [...value] };
  return typeof value === "bigint" ? { $big: String(value) } : (value ?? null);
}

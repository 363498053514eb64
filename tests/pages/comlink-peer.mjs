// One end of the table of cases in JavaScript: with Comlink as npm has it, and nothing of ours.

class Counter {
  constructor(start = 0) {
    this.value = start;
  }
  increment(n = 1) {
    this.value += n;
    return this.value;
  }
}

class OwnError extends Error {
  name = "OwnError";
}

const later = (value) => new Promise((resolve) => setTimeout(resolve, 0, value));
const fail = (kind) => {
  if (kind === "none") throw "just text";
  throw kind === "own" ? new OwnError("own words") : new TypeError("wrong type");
};

const held = new Set();

/** Uses a proxy of Comlink's, and refers to it until the result is there: Comlink closes the port of
 * a proxy that is collected, also while a call on it waits for its answer, which then never comes. */
async function holding(proxy, use) {
  held.add(proxy);
  try {
    return await use(proxy);
  } finally {
    held.delete(proxy);
  }
}

/** What the table's cases call; comlink_peer.py has the same in Python. */
function makeApi(Comlink, back) {
  let left = false;
  return {
    version: 3,
    settings: { theme: "light", sizes: { small: 1 } },
    tools: { name: () => "tools", deep: { add: (a, b) => a + b } },
    Counter,
    add: (a, b) => a + b,
    later,
    echo: (value) => value,
    reverse: (bytes) => bytes.toReversed(),
    module: () => new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)),
    size: (bytes) => bytes.length,
    each: (rows, callback) =>
      holding(callback, async () => {
        const results = [];
        for (const row of rows) results.push(await callback(row));
        return results;
      }),
    exchange: (callback) => holding(callback, () => callback(Comlink.proxy(() => "mine"))),
    adder: (n) => Comlink.proxy((m) => n + m),
    makeCounter: (start) => Comlink.proxy(new Counter(start)),
    useCounter: (counter) =>
      holding(counter, async () => [
        await counter.increment(),
        await counter.increment(),
        await counter.value,
      ]),
    fail,
    failLater: async (kind) => fail(await later(kind)),
    unsendable: () => ({ rows: [() => 0] }),
    postOn(port, message) {
      port.postMessage(message);
      return true;
    },
    count: (n) => {
      async function* items() {
        try {
          for (let i = 0; i < n; i++) yield i;
        } finally {
          left = true;
        }
      }
      return Comlink.proxy(items());
    },
    countAndFail: (n) => {
      async function* items() {
        for (let i = 0; i < n; i++) yield i;
        throw new TypeError(`after ${n}`);
      }
      return Comlink.proxy(items());
    },
    leftBehind: () => left,
    total: (items) =>
      holding(items, async () => {
        let sum = 0;
        for await (const item of iterable(items)) sum += item;
        return sum;
      }),
    askBack: (n) => holding(back(), (caller) => caller.twice(n)),
  };
}

/** The lines of the README: what came from a Python generator, as JavaScript iterates. */
const iterable = (items) => ({
  [Symbol.asyncIterator]: () => ({ next: () => items.next(), return: () => items.return() }),
});

const functions = {
  double: (n) => n * 2,
  doubleLater: async (n) => later(n * 2),
  callIt: (f) => holding(f, () => f()),
  fail: (n) => {
    throw new TypeError(`not ${n}`);
  },
};

/** Exposes the api, or something else that a case calls for. */
export function expose(Comlink, port, root) {
  const roots = { function: (n) => n * 2, class: Counter };
  Comlink.expose(roots[root] ?? makeApi(Comlink, () => Comlink.wrap(port)), port);
}

/** Runs the steps of one case against what is exposed on the port; gives their outcomes. */
export async function run(Comlink, port, steps) {
  const remote = Comlink.wrap(port);
  const kept = {};
  const outcomes = [];
  for (const step of steps) {
    try {
      outcomes.push(await one(Comlink, port, remote, kept, step));
    } catch (error) {
      const known = error instanceof Error || error instanceof DOMException;
      outcomes.push(
        known
          ? { throws: error.name, says: error.message, stack: typeof error.stack }
          : { throws: "thrown", says: String(error) },
      );
    }
  }
  return outcomes;
}

async function one(Comlink, port, remote, kept, step) {
  const root = step.on ? kept[step.on] : remote;
  const at = (path) => (path ? path.split(".").reduce((o, name) => o[name], root) : root);
  let heard;
  const given = (step.args ?? []).map((value) => {
    if (value?.$port) {
      const { port1, port2 } = new MessageChannel();
      heard = new Promise((resolve) => {
        port1.onmessage = (event) => resolve(event.data);
      });
      return Comlink.transfer(port2, [port2]);
    }
    return decode(Comlink, value);
  });
  let result;
  if (step.times) {
    const calls = Array.from({ length: step.times }, () => at(step.call)(...given));
    const results = new Set(await Promise.all(calls));
    return results.size === 1 ? { is: [...results][0] } : { is: [...results] };
  }
  if ("call" in step) result = await at(step.call)(...given);
  else if ("get" in step) result = await at(step.get);
  else if ("new" in step) result = await new (at(step.new))(...given);
  else if ("set" in step) {
    const names = step.set.split(".");
    const last = names.pop();
    // What Comlink's `set` trap starts can't be awaited: the next step waits in the line behind it.
    names.reduce((o, name) => o[name], root)[last] = step.to;
    return { is: true };
  } else if (step.endpoint) result = Comlink.wrap(await root[Comlink.createEndpoint]());
  else if (step.release) {
    kept[step.release][Comlink.releaseProxy]();
    return {};
  } else if (step.releaseRoot) {
    remote[Comlink.releaseProxy]();
    return {};
  } else if (step.expose) {
    Comlink.expose({ twice: (n) => n * 2 }, port);
    return {};
  } else {
    result = [];
    for await (const item of iterable(await at(step.iterate)(...given))) {
      result.push(item);
      if (result.length === step.leave) break;
    }
  }
  if (step.as) {
    kept[step.as] = result;
    return {};
  }
  const outcome = { is: encode(result) };
  if (heard) outcome.hears = encode(await heard);
  return outcome;
}

function decode(Comlink, value) {
  if (Array.isArray(value)) return value.map((item) => decodeInside(value, item));
  if (value === null || typeof value !== "object") return value;
  if (value.$function) return Comlink.proxy(functions[value.$function]);
  if (value.$object) return Comlink.proxy(new Counter());
  if (value.$generator) return Comlink.proxy(numbers(value.$generator));
  if (value.$big) return BigInt(value.$big);
  if (value.$bytes) return new Uint8Array(value.$bytes);
  if (value.$zeros) return new Uint8Array(value.$zeros);
  if (value.$date) return new Date(value.$date);
  return value.$nothing ? undefined : value;
}

const decodeInside = (_owner, value) => (value?.$function ? functions[value.$function] : value);

async function* numbers(n) {
  for (let i = 0; i < n; i++) yield i;
}

function encode(value) {
  if (value === undefined) return { $nothing: true };
  if (typeof value === "bigint") return { $big: String(value) };
  if (value instanceof Uint8Array) return { $bytes: [...value] };
  if (value instanceof Date) return { $date: Number(value) };
  return value;
}

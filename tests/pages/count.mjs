// Counts what a page holds on to: ports, listeners, timers, observers, and the Web Locks it has asked
// for. Whoever imports it does so before anything else, since it wraps the browser's own functions.
const { setTimeout: startTimer, clearTimeout: stopTimer } = globalThis; // for its own, which do not count
const ports = new Map(); // those that this page uses: where it did so first
const timers = new Map();
const observers = new Map();
const listeners = new Map(); // of this window and its document: by target, type and phase
const waiting = new Set();

const where = () => Error().stack.split("\n").slice(2, 9).join("\n");
const changed = () => waiting.forEach((check) => check());
const add = (map, key) => map.has(key) || map.set(key, where());
const take = (map, key) => map.delete(key) && changed();
const wrap = (owner, name, make) => {
  owner[name] = make(owner[name]);
};

const passOn = (items) => {
  for (const item of Array.isArray(items) ? items : (items?.transfer ?? []))
    if (item instanceof MessagePort) take(ports, item);
};
wrap(
  MessagePort.prototype,
  "postMessage",
  (post) =>
    function (message, more) {
      add(ports, this);
      const result = post.apply(this, arguments);
      passOn(more);
      return result;
    },
);
wrap(
  MessagePort.prototype,
  "start",
  (start) =>
    function () {
      add(ports, this);
      start.call(this);
    },
);
wrap(
  MessagePort.prototype,
  "close",
  (close) =>
    function () {
      close.call(this);
      take(ports, this);
    },
);
const onmessage = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
Object.defineProperty(MessagePort.prototype, "onmessage", {
  ...onmessage,
  set(listener) {
    add(ports, this);
    onmessage.set.call(this, listener);
  },
});

// One entry each, as the browser keeps them: the same function twice is one listener.
const entry = (target, type, listener, options) => {
  const capture = Boolean(typeof options === "object" ? options?.capture : options);
  const key = [target === document ? "document" : "window", type, capture].join(" ");
  if (!listeners.has(key)) listeners.set(key, new Map());
  return [listeners.get(key), listener];
};
const counted = (target) => target === globalThis || target === undefined || target === document;
wrap(
  EventTarget.prototype,
  "addEventListener",
  (plain) =>
    function (type, listener, options) {
      plain.call(this ?? globalThis, type, listener, options);
      if (this instanceof MessagePort) add(ports, this);
      if (!counted(this) || options?.signal?.aborted) return;
      const [map, key] = entry(this, type, listener, options);
      add(map, key);
      const drop = () => take(map, key);
      if (options?.signal) plain.call(options.signal, "abort", drop);
      if (options?.once) plain.call(this ?? globalThis, type, drop, options);
    },
);
wrap(
  EventTarget.prototype,
  "removeEventListener",
  (plain) =>
    function (type, listener, options) {
      plain.call(this ?? globalThis, type, listener, options);
      if (counted(this)) take(...entry(this, type, listener, options));
    },
);

wrap(globalThis, "setTimeout", (plain) => (run, ms, ...more) => {
  const ring = () => {
    take(timers, id);
    run(...more);
  };
  const id = plain(ring, ms);
  add(timers, id);
  return id;
});
wrap(globalThis, "setInterval", (plain) => (...args) => {
  const id = plain(...args);
  add(timers, id);
  return id;
});
for (const name of ["clearTimeout", "clearInterval"])
  wrap(globalThis, name, (plain) => (id) => {
    plain(id);
    take(timers, id);
  });

wrap(
  MutationObserver.prototype,
  "observe",
  (observe) =>
    function (...args) {
      observe.apply(this, args);
      if (!args[1].attributeFilter) add(observers, this); // else the test waits for the page
    },
);
wrap(
  MutationObserver.prototype,
  "disconnect",
  (disconnect) =>
    function () {
      disconnect.call(this);
      take(observers, this);
    },
);

const all = { ports, timers, observers };
const size = (name) =>
  name === "listeners"
    ? [...listeners.values()].reduce((sum, map) => sum + map.size, 0)
    : all[name].size;

/** How many there are of each kind. */
export const count = () =>
  Object.fromEntries(
    ["ports", "listeners", "timers", "observers"].map((name) => [name, size(name)]),
  );

/** Resolves as soon as there are not more than that of any kind, or after so many seconds. */
export const settled = (most, seconds) =>
  new Promise((resolve) => {
    const check = () => {
      if (Object.entries(most).some(([name, number]) => size(name) > number)) return;
      done();
    };
    const done = () => {
      stopTimer(timer);
      waiting.delete(check);
      resolve();
    };
    const timer = startTimer(done, seconds * 1000);
    waiting.add(check);
    check();
  });

/** Resolves after so many seconds, or by its own `stop`. */
export const limit = (seconds) => {
  const { promise, resolve } = Promise.withResolvers();
  const timer = startTimer(resolve, seconds * 1000);
  return { promise, stop: () => (stopTimer(timer), resolve()) };
};

/** Where the last of each kind was made that there are more of, to tell in an error. */
export const story = (most) =>
  Object.entries(most)
    .filter(([name, number]) => size(name) > number)
    .map(([name]) => {
      const maps = name === "listeners" ? [...listeners.values()] : [all[name]];
      return `${name}, the last of them:\n${maps.flatMap((map) => [...map.values()]).at(-1)}`;
    })
    .join("\n\n");

export const locks = async () => {
  const { held, pending } = await navigator.locks.query();
  return held.length + pending.length;
};

// Connections between windows for pages and workers without Python: the handshake of
// pyodide_msgchan. What it does for its callers is told in msgchan.d.mts.
//
// Each side announces itself once, so that whoever comes second finds the other: the listener
// (accept) with a hello, the caller (connect) with a probe. The side that can name the other's
// origin then posts two ports to exactly that origin, the offer: it is the caller, unless only the
// listener's origin is opaque. The acceptor answers on the control port with the secret nonce of
// its announcement. The offer did not carry it, so a page that has taken the place of the one that
// announced itself can't know it, and both ports close. The other port, data, carries nothing but
// what the user posts.

export const ANY_ORIGIN = Symbol("*");
export const OPAQUE_ORIGIN = Symbol("null");

const VERSION = "0.1.0"; // the package's
const PATIENCE = 5000; // ms for a pending caller to confirm while others queue, or for a pong
const GRACE = 500; // ms, twice: what is missing is waited for as long after the last arrival
const SETTLING = 1000; // ms in which what was said before a goodbye, or its answer, may still come
const LINGER = 10_000; // ms that an answer to a goodbye may take
const WATCH = 500; // ms between looks at a frame or window
const DOUBT = 2000; // ms to answer for a page in whose window another one may be
const START = 1000; // ms for a worker's hello after its script has raised an error
const GOODBYE = { type: "goodbye", sent: 0, reason: "close" };

const started = new WeakSet(); // workers that have spoken
const waiting = new Set(); // the accepts of this page that have no caller: [name, place]
const calls = new WeakMap(); // by place, by name: the connections that this page has made

const SHAPE = /^[a-z][a-z\d+.-]*:\/\/[^/?#@*\\\s]*[^/?#@*:\\\s]$/i; // of an origin: no path, no user, no star

export class HandshakeError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = "HandshakeError";
    this.code = code;
  }
}

const random = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
const isText = (value) => typeof value == "string" && value.length <= 200;
const isPeer = (data) =>
  [data?.runtime, data?.version, ...[data?.capabilities].flat()].every(isText);
const isKey = (value) => isText(value) && value;
const shut = (ports) => ports.forEach((port) => port.close());

const allow = (origin = self.origin) => {
  const allowed = [origin].flat().map((one) => {
    if (one === ANY_ORIGIN || one === OPAQUE_ORIGIN) return one.description;
    if (one === "null")
      throw TypeError("an opaque origin has no name: say which origin is allowed");
    // The browser's own form: lower case, no default port, and its own IDNA.
    const known = SHAPE.test(one) && URL.canParse(one) && new URL(one).origin;
    if (!known || known === "null")
      throw TypeError(`${String(one)} is no origin that this browser can post to`);
    return known;
  });
  if (!allowed[0]) throw TypeError("no origin is allowed");
  return allowed;
};

const loaded = () => {
  const end = performance.getEntriesByType("navigation")[0]?.loadEventEnd;
  return end ? performance.now() - end : -1;
};

// The origin of somebody who was introduced, in the words of who did that; undefined if it is none.
const hearsay = (origin = null) => {
  if (origin === null || origin === "null") return origin;
  try {
    if (allow(origin)[0] === origin) return origin;
  } catch {}
};

const handshake = (
  target,
  { origin, name = "", timeout, signal, heartbeat, onintroduction },
  calling,
) =>
  new Promise((resolve, reject) => {
    const kind = {}.toString.call(target);
    const worker = /Worker/.test(kind);
    const framed = /FrameElement/.test(kind);
    const place = () => (framed ? target.contentWindow : target);
    if (!target) {
      if (calling) throw TypeError("no window to call");
      throw new HandshakeError("no-owner", "no window to listen to: name a source");
    }
    if (!isText(name)) throw TypeError("a name has at most 200 characters");
    if (worker && origin) throw TypeError("a worker and its owner have no origin");
    const allowed = worker ? ["*"] : allow(origin);
    const anyone = allowed.includes("*");
    const opaque = !worker && self.origin === "null";

    const life = new AbortController(); // until the connection, or the try for one, is over
    const on = (who, type, f, { signal } = life) => who.addEventListener(type, f, { signal });
    const heard = new Set();
    let id, nonce, link, last, met, connected, timer, patience, facing, held, again, look, dying;
    let queue = []; // rivals of the pending caller: [what it posted, its origin, its ports]

    const post = (to, targetOrigin, fields, transfer) =>
      place()?.postMessage(
        { msgchan: 1, name, id, to, ...fields },
        { targetOrigin: targetOrigin === "null" ? "*" : targetOrigin, transfer },
      );
    const announce = (to, targetOrigin) =>
      post(to, targetOrigin, { type: calling ? "probe" : "hello", nonce, loaded: loaded() });
    const tellAll = (tell) =>
      (anyone || allowed.includes("null") ? ["*"] : allowed).forEach((one) => tell(undefined, one));
    // Offers may be on their way to an accept that ends: who waits for it starts again.
    const part = () =>
      !calling && id && tellAll((to, targetOrigin) => post(to, targetOrigin, { type: "goodbye" }));

    const start = () => {
      id = random();
      nonce = random();
      link = last = met = undefined;
      tellAll(announce);
    };
    const rivals = () => {
      clearTimeout(patience);
      patience = undefined;
      return queue.splice(0);
    };
    const leave = () => {
      for (const [, , ports] of rivals()) shut(ports);
      link?.close();
    };
    const stop = () => {
      for (const one of [timer, again, look, dying]) clearTimeout(one);
      waiting.delete(mine);
    };
    const fail = (code, message, options) => {
      if (connected) return;
      stop();
      life.abort();
      leave();
      part();
      reject(new HandshakeError(code, message, options));
    };

    const refuse = ([data, from, ports], reason = "taken") => {
      const refusal = reason ? { type: "refusal", reason } : GOODBYE;
      if (ports[1]) ports[1].postMessage(refusal);
      else post(data.id, from, refusal);
      shut(ports);
    };
    const mine = [name, place()];
    const isOneWaiting = () => [...waiting].some((it) => it[0] === name && it[1] === mine[1]);
    // Whether callers are to be refused: not once this one's caller has said goodbye, nor if another
    // accept of this page waits for them.
    const isBusy = () => !link?.isEnding() && !isOneWaiting();
    // How many connections to that place are open, and how many have ended so recently that the other
    // side may not know: it may be by one of those that it is taken.
    const past = () => {
      const key = place() ?? target;
      const byName = calls.get(key) ?? new Map();
      const found = byName.get(name) ?? { open: 0, ending: 0 };
      calls.set(key, byName.set(name, found));
      return found;
    };
    const taken = () => {
      if (connected) return;
      const { open, ending } = past();
      if (open || !ending) return fail("taken", "already taken");
      again ??= setTimeout(() => {
        again = undefined;
        if (!link) start();
      }, SETTLING);
    };

    const begin = (entry) => {
      if (!entry) return;
      const [data, from, ports] = entry;
      const channels = ports[1] ? [] : [new MessageChannel(), new MessageChannel()];
      last = data.id;
      link = ports[1]
        ? join(ports, from)
        : join(
            channels.map((c) => c.port1),
            from,
            data.nonce,
          );
      if (channels[0])
        post(
          last,
          from,
          { type: "offer", loaded: loaded() },
          channels.map((c) => c.port2),
        );
      hurry();
    };
    const next = () => {
      link = undefined;
      queue = rivals();
      begin(queue.shift());
    };
    const hurry = () => {
      if (queue[0]) patience ??= setTimeout(() => (link.close(), next()), PATIENCE);
    };
    const meet = (entry) => {
      met = entry[0].id;
      if (calling && !connected) link = link?.close(); // its page was replaced
      if (connected || queue[7]) refuse(entry, connected && !isBusy() ? "" : "taken");
      else if (!link) begin(entry);
      else {
        queue.push(entry);
        hurry();
      }
    };

    // A Web Lock of ours, which comes free when this page ends: the other side waits for it.
    const hold = () =>
      (held ??= new Promise((got) => {
        const lock = random();
        const keep = () => new Promise((free) => (got(lock), on(life.signal, "abort", free)));
        const ask = async () => navigator.locks.request(lock, keep);
        ask().catch(() => got()); // no locks here
      }));

    // One pair of ports, from its offer until its end. Who offered wants the other's nonce. `done` takes
    // the connection to somebody who was introduced: there is no handshake, and no window to watch.
    const join = ([port, control], from, wanted, done) => {
      const near = !done && (worker || (from === self.origin && !opaque));
      const own = done ? new AbortController() : life;
      let sent = 0;
      let arrived = 0;
      let misses = 0;
      let expected; // what the other side says to have sent; null: it did not say
      let agreed, asked, quiet, left, over, why, grace, watch, beat, finish, mark, settled;
      const closed = new Promise((done) => (finish = done));
      const send = (type, fields) => control.postMessage({ type, ...fields });
      const isAll = () => expected !== null && arrived >= expected;

      // For so many ms the other side may still think that it has this connection.
      const parting = (ms) => {
        if (!mark) return;
        if (!settled) {
          mark.open--;
          mark.ending++;
        }
        clearTimeout(settled);
        settled = setTimeout(() => {
          mark.ending--;
          mark = undefined;
        }, ms);
      };
      const end = (reason, missing = null) => {
        parting(expected >= 0 && expected !== null ? SETTLING : LINGER);
        over = true;
        clearTimeout(grace);
        clearInterval(watch);
        clearInterval(beat);
        if (agreed) {
          own.abort();
          if (!done) part();
        }
        finish({ reason, missing });
      };
      const close = (reason = "close") => {
        if (left) return;
        left = true;
        send("goodbye", { sent, reason });
        if (expected !== undefined) shut([port, control]);
        end("local");
      };
      const drop = () => {
        left = over = true;
        shut([port, control]);
        if (link !== me) return;
        if (calling) link = undefined;
        else next();
      };

      const settle = () => {
        // To a side that was busy only: it must not wait for ever for what nobody answers.
        if (expected === null) send("goodbye", { sent, reason: "lost" });
        end(why, isAll() ? 0 : expected && arrived ? expected - arrived : null);
        if (!isAll()) return; // they may lie in a port that was not started: it stays open
        send("farewell");
        shut([port, control]);
      };
      // By timers, so that the listeners of the last message come first; by two, so that a page
      // that was busy for longer than the first gets its messages before the second.
      const wait = () => {
        clearTimeout(grace);
        grace = isAll()
          ? setTimeout(settle)
          : setTimeout(() => (grace = setTimeout(settle, GRACE)), GRACE);
      };
      const gone = (reason, count = null) => {
        if (left || (count === null && expected !== undefined)) return;
        why = reason;
        expected = count;
        wait();
      };
      const lost = () => gone("lost");
      const doubt = (ms) => {
        quiet = true;
        send("ping", { n: 0 });
        setTimeout(() => quiet && lost(), ms);
      };
      const arrive = (event) => {
        arrived++;
        misses = quiet = 0;
        if (left) event.stopImmediatePropagation();
        else if (expected !== undefined) wait();
      };

      const introduce = async (type, fields) => {
        const lock = near && (await hold());
        const more = { loaded: loaded(), ...(lock && { lock }), ...fields };
        const capabilities = ["clone"];
        if (!over) send(type, { runtime: "javascript", version: VERSION, capabilities, ...more });
      };
      const agree = ({ runtime, version, capabilities, loaded, lock }) => {
        if (over || agreed) return;
        agreed = true;
        if (!done) {
          connected = true;
          stop();
          if (calling) {
            mark = past();
            mark.open++;
          }
          for (const entry of rivals()) refuse(entry);
          watchPlace(loaded, lock);
        }
        port.postMessage = (...message) => {
          MessagePort.prototype.postMessage.apply(port, message);
          sent++;
        };
        port.addEventListener("message", arrive);
        port.addEventListener("messageerror", arrive);
        if (heartbeat) {
          beat = setInterval(
            () => (misses++ > 1 ? lost() : send("ping", { n: misses })),
            heartbeat * 1000,
          );
        }
        const peer = {
          origin: worker && !done ? null : from,
          runtime,
          version,
          capabilities: [capabilities].flat(),
        };
        (done || resolve)({ port, peer, originVerified: !done, closed, close: () => close() });
      };
      const watchPlace = (loaded, lock) => {
        const page = place();
        watch = setInterval(() => (place() !== page || !page || page.closed) && lost(), WATCH);
        // A load within 2 s may be the page's own: then it is there, and answers.
        let first = loaded < 1000;
        if (first && loaded >= 0) setTimeout(() => (first = false), 2000);
        const load = () => {
          if (!first) return lost();
          first = false;
          doubt(PATIENCE);
        };
        if (framed) on(target, "load", load);
        if (near && isText(lock)) {
          const { locks } = navigator;
          const { signal } = life;
          // Free at once: it belongs to another partition of the browser's storage.
          const taken = (free) => free || locks.request(lock, { signal }, lost);
          locks?.request(lock, { ifAvailable: true }, taken).catch(() => {});
        }
      };
      const meetOther = (data, ports) => {
        const from = hearsay(data.origin);
        if (left || !onintroduction || ports.length !== 2 || from === undefined || !isPeer(data)) {
          ports[1]?.postMessage({ type: "goodbye", sent: 0, reason: "close" });
          return shut(ports);
        }
        const other = join(ports, from, undefined, (met) => onintroduction(met, data.message));
        other.begin(data);
      };

      control.onmessage = ({ data, ports }) => {
        const { type, sent, reason } = data ?? {};
        misses = quiet = 0;
        if (type === "ping") {
          if (typeof data.n == "number") send("pong", { n: data.n });
        } else if (type === "farewell") {
          if (!left) return;
          parting(SETTLING);
          shut([port, control]);
        } else if (type === "goodbye") {
          if (agreed && !left) {
            gone(reason === "close" ? "closed" : "lost", sent >= 0 ? sent : null);
          } else {
            // It gave up on us, and won't greet again by itself.
            const anew = calling && !left && link === me;
            send("farewell");
            drop();
            if (anew) start();
          }
        } else if (agreed && type === "introduction") {
          meetOther(data, ports);
        } else if (over || agreed || asked) return;
        else if (type === "refusal") {
          drop();
          if (calling && reason === "taken") taken();
        } else if (!isPeer(data)) return;
        else if (!wanted && type === "confirm") agree(data);
        else if (wanted && type === "acceptance") {
          asked = true;
          if (data.nonce === wanted) introduce("confirm").then(() => agree(data));
          else {
            send("refusal", { reason: "nonce" });
            drop();
          }
        }
      };
      const begin = (data) => {
        on(self, "pagehide", () => close("pagehide"), own);
        agree(data);
      };
      if (!wanted && !done) introduce("acceptance", { nonce });
      const isEnding = () => expected !== undefined;
      const me = { close, doubt: () => doubt(DOUBT), isEnding, begin };
      return me;
    };

    const hear = (event) => {
      const { source, origin } = event;
      if (!worker) {
        if (!source || source !== place()) return;
        if (!anyone && !allowed.includes(origin)) return heard.size < 8 && heard.add(origin);
      }
      const { data, ports } = event;
      const { msgchan, type, to } = data ?? {};
      if (!Number.isInteger(msgchan) || !isText(type) || data.name !== name) return;
      if ((to ?? id) !== id || !isKey(data.id)) return;
      if (worker && type !== "goodbye") {
        clearTimeout(dying);
        started.add(target);
      }
      const entry = [data, origin, []];
      if (msgchan !== 1) {
        if (!calling && type === "probe") refuse(entry, "version");
        if (calling && /hello|refusal/.test(type))
          fail("version", `this side speaks version 1, the other ${msgchan}`);
        return;
      }
      const theirs = origin === "null";
      const turned = calling ? theirs && !opaque : opaque && !theirs;
      const offering = calling !== turned;
      const known =
        ((calling || link) && last === data.id) || queue.some(([rival]) => rival.id === data.id);
      if (type === "goodbye") {
        if (calling && !connected && data.id === met) {
          link?.close();
          start();
        }
      } else if (type === "offer") {
        if (offering || known || to !== id || ports.length !== 2) shut(ports);
        else meet([data, origin, ports]);
      } else if (type === "refusal") {
        const other = link && last !== data.id;
        if (calling && to === id && data.reason === "taken" && !other) taken();
      } else if (!isKey(data.nonce)) return;
      else if (type === (calling ? "probe" : "hello")) facing = true;
      else if (known || type !== (calling ? "hello" : "probe")) return;
      else if (connected) calling ? link.doubt() : isBusy() && refuse(entry);
      else if (offering) meet(entry);
      else announce((met = data.id), origin);
    };

    const late = () => {
      const [ours, theirs] = calling ? ["connect", "accept"] : ["accept", "connect"];
      let text = `no ${theirs}${worker ? "" : ` from ${allowed.join(", ")}`} within ${timeout} s`;
      if (heard.size) {
        const are = heard.size > 1 ? "are" : "is";
        text += `; heard from ${[...heard].join(", ")}, which ${are} not allowed`;
      }
      if (again) text += "; the accept there is taken";
      if (facing) text += `; both sides ${ours}, and one must ${theirs}`;
      fail("timeout", text);
    };

    const gone = () => (framed ? !place() : !worker && target.closed);
    const failed = (event) => {
      const { message } = event;
      if (!message)
        return fail("worker-failed", "the worker's script could not be loaded, or is no script");
      // It may go on after an error: its script is only known to be dead if nothing comes.
      const dead = () =>
        fail("worker-failed", `the worker did not start: ${message}`, { cause: event });
      if (!started.has(target)) dying ??= setTimeout(dead, START);
    };

    const abort = () => fail("aborted", "aborted", { cause: signal.reason });
    if (signal?.aborted) return abort();
    if (signal) on(signal, "abort", abort);
    // Longer than that and a timer of the browser rings at once.
    if (timeout < 2e6) timer = setTimeout(late, timeout * 1000);
    if (gone())
      return framed
        ? fail("detached", "the frame is in no document")
        : fail("gone", "the window is closed");
    if (!calling) {
      if (isOneWaiting())
        return fail("name-in-use", `this page has an accept under the name "${name}" already`);
      waiting.add(mine);
    }
    const away = () => gone() && fail("gone", "the frame was removed, or the window closed");
    look = setInterval(away, WATCH);
    if (worker && target !== self) on(target, "error", failed);
    on(worker ? target : self, "message", hear);
    on(self, "pagehide", () => link?.close("pagehide"));
    on(self, "pageshow", (event) => {
      if (!event.persisted || connected) return;
      leave();
      start();
    });
    start();
  });

export const connect = (target, options) => handshake(target, { timeout: 10, ...options }, true);

export const accept = ({ source, ...options } = {}) =>
  handshake(source ?? (self.document ? (parent === self ? opener : parent) : self), options, false);

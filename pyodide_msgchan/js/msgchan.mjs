// Connections between windows for pages and workers without Python: the handshake of
// pyodide_msgchan. The file msgchan.d.mts documents the public functions.
//
// Each side announces itself once, so the side that starts second finds the other: the responder
// (accept) with a hello, the initiator (connect) with a probe. One side then posts an offer, which is
// two ports, to exactly the origin of the other. This is the initiator, unless only the responder's
// origin is opaque and can't be named: then the roles are reversed. The side that gets the offer
// answers on the control port with an acceptance, which contains the secret nonce of its
// announcement. The offer does not contain the nonce, so a page that has replaced the announced one
// does not know it, and both ports close. The other port, data, carries users' messages only.

export const ANY_ORIGIN = Symbol("*");
export const OPAQUE_ORIGIN = Symbol("null");

const VERSION = "0.1.0"; // The version of the package.
const CONFIRM_TIMEOUT_MS = 5000; // For a pending initiator to confirm while others wait, or for a pong.
const MESSAGE_GRACE_MS = 500; // Missing messages are waited for twice as long after the last arrival.
const GOODBYE_GRACE_MS = 1000; // How long messages sent before a goodbye or its answer may still arrive.
const FAREWELL_TIMEOUT_MS = 10_000; // For the answer to a goodbye.
const WATCH_INTERVAL_MS = 500; // Between two checks of a frame or window.
const LIVENESS_TIMEOUT_MS = 2000; // For the answer to a liveness check.
const START_GRACE_MS = 1000; // For a worker's hello after its script has raised an error.
const GOODBYE = { type: "goodbye", sent: 0, reason: "close" };

const startedWorkers = new WeakSet(); // Workers that have sent a message.
const pendingAccepts = new Set(); // The accepts of this page without a connection: [name, place].
const earlierByPlace = new WeakMap(); // Place to a Map from name to {open, ending} connections.

const ORIGIN_PATTERN = /^[a-z][a-z\d+.-]*:\/\/[^/?#@*\\\s]*[^/?#@*:\\\s]$/i; // No path, user or star.

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
const closeAll = (ports) => ports.forEach((port) => port.close());

const allow = (/** @type {any} */ origin = self.origin) => {
  const allowed = [origin].flat().map((/** @type {any} */ item) => {
    if (item === ANY_ORIGIN || item === OPAQUE_ORIGIN) return item.description;
    if (item === "null")
      throw TypeError("an opaque origin has no name: pass OPAQUE_ORIGIN or the expected origin");
    // The browser normalizes the case, the default port and the host (IDNA).
    const known = ORIGIN_PATTERN.test(item) && URL.canParse(item) && new URL(item).origin;
    if (!known || known === "null")
      throw TypeError(`${String(item)} is no origin that this browser can post to`);
    return known;
  });
  if (!allowed[0]) throw TypeError("no origin is allowed");
  return allowed;
};

const loaded = () => {
  /** @type {any} */ const [navigation] = performance.getEntriesByType("navigation");
  const end = navigation?.loadEventEnd;
  return end ? performance.now() - end : -1;
};

// Return the origin of an introduced peer, as the introducing page names it; undefined if it is invalid.
const introducedOrigin = (origin = null) => {
  if (origin === null || origin === "null") return origin;
  try {
    if (allow(origin)[0] === origin) return origin;
  } catch {
    // It is invalid.
  }
};

const handshake = (
  target,
  /** @type {import("./msgchan.mjs").Options} */ {
    origin,
    name = "",
    timeout = Infinity,
    signal,
    heartbeat,
    onintroduction,
  },
  calling,
) =>
  new Promise(
    (/** @type {(connection: import("./msgchan.mjs").Connection) => void} */ resolve, reject) => {
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

      const life = new AbortController(); // Aborted when the attempt or the connection ends.
      const on = (who, type, f, { signal } = life) => who.addEventListener(type, f, { signal });
      const heard = new Set();
      let id,
        nonce,
        link,
        last,
        met,
        connected,
        timer,
        confirmTimer,
        sameRoleSeen,
        ownLock,
        retryTimer,
        workerErrorTimer;
      // eslint-disable-next-line prefer-const -- `stop` may run before it is set
      let watchTimer;
      let queue = []; // Initiators that wait for the pending one: [its message, its origin, its ports].

      const post = (to, targetOrigin, fields, transfer) =>
        place()?.postMessage(
          { msgchan: 1, name, id, to, ...fields },
          { targetOrigin: targetOrigin === "null" ? "*" : targetOrigin, transfer },
        );
      const announce = (to, targetOrigin) =>
        post(to, targetOrigin, { type: calling ? "probe" : "hello", nonce, loaded: loaded() });
      const tellAll = (tell) =>
        (anyone || allowed.includes("null") ? ["*"] : allowed).forEach((one) =>
          tell(undefined, one),
        );
      // Offers may be on their way to an accept that ends: who waits for it starts again.
      const part = () =>
        !calling &&
        id &&
        tellAll((to, targetOrigin) => post(to, targetOrigin, { type: "goodbye" }));

      const start = () => {
        id = random();
        nonce = random();
        link = last = met = undefined;
        tellAll(announce);
      };
      const rivals = () => {
        clearTimeout(confirmTimer);
        confirmTimer = undefined;
        return queue.splice(0);
      };
      const leave = () => {
        for (const [, , ports] of rivals()) closeAll(ports);
        link?.close();
      };
      const stop = () => {
        for (const one of [timer, retryTimer, watchTimer, workerErrorTimer]) clearTimeout(one);
        pendingAccepts.delete(ownEntry);
      };
      const fail = (code, message, options) => {
        if (connected) return;
        stop();
        life.abort();
        leave();
        part();
        reject(new HandshakeError(code, message, options));
      };

      const refuse = (/** @type {any} */ [data, from, ports], reason = "taken") => {
        const refusal = reason ? { type: "refusal", reason } : GOODBYE;
        if (ports[1]) ports[1].postMessage(refusal);
        else post(data.id, from, refusal);
        closeAll(ports);
      };
      const ownEntry = [name, place()];
      const isAcceptPending = () =>
        [...pendingAccepts].some((entry) => entry[0] === name && entry[1] === ownEntry[1]);
      // Whether initiators must be refused: not after the goodbye of this connection's peer, and not if
      // another accept of this page waits for them.
      const isBusy = () => !link?.isEnding() && !isAcceptPending();
      // Return the number of open connections to the place, and of those that ended so recently that the
      // other side may not know it. One of the latter may be the reason of a refusal.
      const earlierConnections = () => {
        const key = place() ?? target;
        const byName = earlierByPlace.get(key) ?? new Map();
        const found = byName.get(name) ?? { open: 0, ending: 0 };
        earlierByPlace.set(key, byName.set(name, found));
        return found;
      };
      const onTaken = () => {
        if (connected) return;
        const { open, ending } = earlierConnections();
        if (open || !ending) return fail("taken", "already taken");
        retryTimer ??= setTimeout(() => {
          retryTimer = undefined;
          if (!link) start();
        }, GOODBYE_GRACE_MS);
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
        limitConfirmTime();
      };
      const next = () => {
        link = undefined;
        queue = rivals();
        begin(queue.shift());
      };
      const limitConfirmTime = () => {
        if (queue[0]) confirmTimer ??= setTimeout(() => (link.close(), next()), CONFIRM_TIMEOUT_MS);
      };
      const onPeer = (entry) => {
        // The control port reports the end of an accept that offered. Its goodbye in the window may
        // overtake its confirm.
        met = entry[2][1] ? undefined : entry[0].id;
        if (calling && !connected) link = link?.close(); // its page was replaced
        if (connected || queue[7]) refuse(entry, connected && !isBusy() ? "" : "taken");
        else if (!link) begin(entry);
        else {
          queue.push(entry);
          limitConfirmTime();
        }
      };

      // Hold a Web Lock, which is released when this page ends. The other side waits for that.
      const holdLock = () =>
        (ownLock ??= new Promise((/** @type {(lock?: string) => void} */ resolve) => {
          const lock = random();
          const keep = () => new Promise((free) => (resolve(lock), on(life.signal, "abort", free)));
          const request = async () => navigator.locks.request(lock, keep);
          request().catch(() => resolve()); // There are no locks here.
        }));

      // Handle one pair of ports, from its offer until its end. The side that offered requires the peer's
      // nonce. With `done` the pair belongs to an introduced peer: it has neither a handshake nor a window
      // to watch, and `done` gets the connection.
      const join = (
        /** @type {any} */ [port, control],
        from,
        peerNonce = "",
        /** @type {any} */ done = undefined,
      ) => {
        const sharesOrigin = !done && (worker || (from === self.origin && !opaque));
        const own = done ? new AbortController() : life;
        let sent = 0;
        let received = 0;
        let missedPongs = 0;
        let expected; // The number of messages in the peer's goodbye; null if it is not known.
        let agreed, accepted, unanswered, closedHere, ended, endReason, grace, watch, beat, finish;
        let earlier, endingTimer;
        const closed = new Promise((resolve) => (finish = resolve));
        const send = (type, fields) => control.postMessage({ type, ...fields });
        const allReceived = () => expected !== null && received >= expected;

        // Count this connection as ending for `ms`, in which the other side may not know of its end.
        const markEnding = (ms) => {
          if (!earlier) return;
          if (!endingTimer) {
            earlier.open--;
            earlier.ending++;
          }
          clearTimeout(endingTimer);
          endingTimer = setTimeout(() => {
            earlier.ending--;
            earlier = undefined;
          }, ms);
        };
        const end = (reason, /** @type {number | null} */ missing = null) => {
          markEnding(expected >= 0 && expected !== null ? GOODBYE_GRACE_MS : FAREWELL_TIMEOUT_MS);
          ended = true;
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
          if (closedHere) return;
          closedHere = true;
          send("goodbye", { sent, reason });
          if (expected !== undefined) closeAll([port, control]);
          end("local");
        };
        const drop = () => {
          closedHere = ended = true;
          closeAll([port, control]);
          if (link !== me) return;
          if (calling) link = undefined;
          else next();
        };

        const finishEnd = () => {
          // The peer may only have been busy. It must learn that nobody will answer it any more.
          if (expected === null) send("goodbye", { sent, reason: "lost" });
          end(endReason, allReceived() ? 0 : expected && received ? expected - received : null);
          if (!allReceived()) return; // Messages may be in a port that was not started, so it stays open.
          send("farewell");
          closeAll([port, control]);
        };
        // A timer lets the listeners of the last message run first. Two timers in a row let a page that
        // was busy for longer than the first one get its messages before the second one.
        const waitForMissing = () => {
          clearTimeout(grace);
          grace = allReceived()
            ? setTimeout(finishEnd)
            : setTimeout(() => (grace = setTimeout(finishEnd, MESSAGE_GRACE_MS)), MESSAGE_GRACE_MS);
        };
        const onPeerEnd = (reason, count = null) => {
          if (closedHere || (count === null && expected !== undefined)) return;
          endReason = reason;
          expected = count;
          waitForMissing();
        };
        const presumeLost = () => onPeerEnd("lost");
        const verifyAlive = (ms) => {
          unanswered = true;
          send("ping", { n: 0 });
          setTimeout(() => unanswered && presumeLost(), ms);
        };
        const onData = (event) => {
          received++;
          missedPongs = unanswered = 0;
          if (closedHere) event.stopImmediatePropagation();
          else if (expected !== undefined) waitForMissing();
        };

        const sendDescription = async (type, fields) => {
          const lock = sharesOrigin && (await holdLock());
          const more = { loaded: loaded(), ...(lock && { lock }), ...fields };
          const capabilities = ["clone"];
          if (!ended)
            send(type, { runtime: "javascript", version: VERSION, capabilities, ...more });
        };
        const complete = ({ runtime, version, capabilities, loaded, lock }) => {
          if (ended || agreed) return;
          agreed = true;
          if (!done) {
            connected = true;
            stop();
            if (calling) {
              earlier = earlierConnections();
              earlier.open++;
            }
            for (const entry of rivals()) refuse(entry);
            watchPlace(loaded, lock);
          }
          port.postMessage = (/** @type {any} */ ...message) => {
            MessagePort.prototype.postMessage.apply(port, message);
            sent++;
          };
          port.addEventListener("message", onData);
          port.addEventListener("messageerror", onData);
          if (heartbeat) {
            beat = setInterval(
              () => (missedPongs++ > 1 ? presumeLost() : send("ping", { n: missedPongs })),
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
          watch = setInterval(
            () => (place() !== page || !page || page.closed) && presumeLost(),
            WATCH_INTERVAL_MS,
          );
          // A load event within 2 s may be the page's own. Then the page is there and answers a ping.
          let mayBeOwn = loaded < 1000;
          if (mayBeOwn && loaded >= 0) setTimeout(() => (mayBeOwn = false), 2000);
          const onLoad = () => {
            if (!mayBeOwn) return presumeLost();
            mayBeOwn = false;
            verifyAlive(CONFIRM_TIMEOUT_MS);
          };
          if (framed) on(target, "load", onLoad);
          if (sharesOrigin && isText(lock)) {
            const { locks } = navigator;
            const { signal } = life;
            // A lock that is free at once belongs to another storage partition, so it shows nothing.
            const wait = (free) => free || locks.request(lock, { signal }, presumeLost);
            locks?.request(lock, { ifAvailable: true }, wait).catch(() => {});
          }
        };
        const onIntroduction = (data, ports) => {
          const from = introducedOrigin(data.origin);
          if (
            closedHere ||
            !onintroduction ||
            ports.length !== 2 ||
            from === undefined ||
            !isPeer(data)
          ) {
            ports[1]?.postMessage({ type: "goodbye", sent: 0, reason: "close" });
            return closeAll(ports);
          }
          const other = join(ports, from, undefined, (connection) =>
            onintroduction(connection, data.message),
          );
          other.begin(data);
        };

        control.onmessage = ({ data, ports }) => {
          const { type, sent, reason } = data ?? {};
          missedPongs = unanswered = 0;
          if (type === "ping") {
            if (typeof data.n == "number") send("pong", { n: data.n });
          } else if (type === "farewell") {
            if (!closedHere) return;
            markEnding(GOODBYE_GRACE_MS);
            closeAll([port, control]);
          } else if (type === "goodbye") {
            if (agreed && !closedHere) {
              onPeerEnd(reason === "close" ? "closed" : "lost", sent >= 0 ? sent : null);
            } else {
              // The responder dropped this attempt and will not send another hello by itself.
              const restart = calling && !closedHere && link === me;
              send("farewell");
              drop();
              if (restart) start();
            }
          } else if (agreed && type === "introduction") {
            onIntroduction(data, ports);
          } else if (ended || agreed || accepted) return;
          else if (type === "refusal") {
            drop();
            if (calling && reason === "taken") onTaken();
          } else if (!isPeer(data)) return;
          else if (!peerNonce && type === "confirm") complete(data);
          else if (peerNonce && type === "acceptance") {
            accepted = true;
            if (data.nonce === peerNonce) sendDescription("confirm").then(() => complete(data));
            else {
              send("refusal", { reason: "nonce" });
              drop();
            }
          }
        };
        const begin = (data) => {
          on(self, "pagehide", () => close("pagehide"), own);
          complete(data);
        };
        if (!peerNonce && !done) sendDescription("acceptance", { nonce });
        const isEnding = () => expected !== undefined;
        const me = { close, verifyAlive: () => verifyAlive(LIVENESS_TIMEOUT_MS), isEnding, begin };
        return me;
      };

      const onWindowMessage = (event) => {
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
          clearTimeout(workerErrorTimer);
          startedWorkers.add(target);
        }
        const entry = [data, origin, []];
        if (msgchan !== 1) {
          if (!calling && type === "probe") refuse(entry, "version");
          if (calling && /hello|refusal/.test(type))
            fail("version", `this side speaks version 1, the other ${msgchan}`);
          return;
        }
        const theirs = origin === "null";
        const rolesReversed = calling ? theirs && !opaque : opaque && !theirs;
        const offering = calling !== rolesReversed;
        const known =
          ((calling || link) && last === data.id) || queue.some(([rival]) => rival.id === data.id);
        if (type === "goodbye") {
          if (!calling || connected || data.id !== met) return;
          met = undefined;
          if (link && last !== data.id) return; // The link's control port reports its own end.
          link?.close();
          start();
        } else if (type === "offer") {
          if (offering || known || to !== id || ports.length !== 2) closeAll(ports);
          else onPeer([data, origin, ports]);
        } else if (type === "refusal") {
          const other = link && last !== data.id;
          if (calling && to === id && data.reason === "taken" && !other) onTaken();
        } else if (!isKey(data.nonce)) return;
        else if (type === (calling ? "probe" : "hello")) sameRoleSeen = true;
        else if (known || type !== (calling ? "hello" : "probe")) return;
        else if (connected) calling ? link.verifyAlive() : isBusy() && refuse(entry);
        else if (offering) onPeer(entry);
        else announce((met = data.id), origin);
      };

      const onTimeout = () => {
        const [ours, theirs] = calling ? ["connect", "accept"] : ["accept", "connect"];
        let text = `no ${theirs}${worker ? "" : ` from ${allowed.join(", ")}`} within ${timeout} s`;
        if (heard.size) {
          const are = heard.size > 1 ? "are" : "is";
          text += `; heard from ${[...heard].join(", ")}, which ${are} not allowed`;
        }
        if (retryTimer) text += "; the accept there is taken";
        if (sameRoleSeen) text += `; both sides ${ours}, and one must ${theirs}`;
        fail("timeout", text);
      };

      const isGone = () => (framed ? !place() : !worker && target.closed);
      const onWorkerError = (event) => {
        const { message } = event;
        if (!message)
          return fail("worker-failed", "the worker's script could not be loaded, or is no script");
        // The script may continue after an error, so it has failed only if no hello follows.
        const onSilence = () =>
          fail("worker-failed", `the worker did not start: ${message}`, { cause: event });
        if (!startedWorkers.has(target)) workerErrorTimer ??= setTimeout(onSilence, START_GRACE_MS);
      };

      const abort = () => fail("aborted", "aborted", { cause: signal?.reason });
      if (signal?.aborted) return abort();
      if (signal) on(signal, "abort", abort);
      // Browsers run a timer with a longer delay at once.
      if (timeout < 2e6) timer = setTimeout(onTimeout, timeout * 1000);
      if (isGone())
        return framed
          ? fail("detached", "the frame is in no document")
          : fail("gone", "the window is closed");
      if (!calling) {
        if (isAcceptPending())
          return fail("name-in-use", `this page has an accept under the name "${name}" already`);
        pendingAccepts.add(ownEntry);
      }
      const checkTarget = () =>
        isGone() && fail("gone", "the frame was removed, or the window closed");
      watchTimer = setInterval(checkTarget, WATCH_INTERVAL_MS);
      if (worker && target !== self) on(target, "error", onWorkerError);
      on(worker ? target : self, "message", onWindowMessage);
      on(self, "pagehide", () => link?.close("pagehide"));
      on(self, "pageshow", (event) => {
        if (!event.persisted || connected) return;
        leave();
        start();
      });
      start();
    },
  );

/** @type {typeof import("./msgchan.mjs").connect} */
export const connect = (target, options) => handshake(target, { timeout: 10, ...options }, true);

/** @type {typeof import("./msgchan.mjs").accept} */
export const accept = ({ source, ...options } = {}) =>
  handshake(source ?? (self.document ? (parent === self ? opener : parent) : self), options, false);

// The JavaScript half of connections between windows: it filters window messages, posts envelopes and
// offers, and watches for the peer's end. All decisions are made by Python's handshake.
import { ChannelPairs } from "./channel_pairs.mjs";
import { awaitLock, OwnLock } from "./locks.mjs";
import { Ends, kindOf, Loads, Places } from "./places.mjs";

const WIRE_VERSION = 1; // The version of the envelope.
const MAX_FIELD_LENGTH = 200; // characters
export const MAX_REJECTED = 8; // The limit of rejected origins that are listed in an error.
const MAX_ERROR_LENGTH = 1000; // Characters of a worker's error message.

const isFieldText = (value) => typeof value === "string" && value.length <= MAX_FIELD_LENGTH;
const loadedOf = ({ loaded }) => (Number.isFinite(loaded) ? loaded : -1);

/**
 * Return the target origin for posting. An origin that the browser does not accept as a target is
 * this page's own, or was allowed by "*": Python refuses all others.
 */
function targetOf(origin) {
  if (origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin)) return origin;
  return origin === self.origin ? "/" : "*";
}

/** The part of the bridge for windows; Python calls its methods. */
export class Windows {
  kindOf = kindOf;
  #inPage = kindOf(globalThis) === "window"; // PyScript gives workers a document.
  #pairs;
  #listeners = new Set();
  #startedWorkers = new WeakSet(); // Workers that sent a hello, so their scripts have started.
  #lock = new OwnLock();
  #leaving = false; // Whether this page is being unloaded, or is in the back/forward cache.
  #loadEnd = 0; // In ms. It is stored because reading the performance entry is slow.
  #places = new Places();
  #loads;
  #ends;
  #bridge;

  /** `bridge` has functions and tables of the bridge. */
  constructor(bridge) {
    this.#bridge = bridge;
    this.#pairs = new ChannelPairs(bridge);
    const notice = this.#notice.bind(this);
    this.#loads = new Loads(notice);
    this.#ends = new Ends(this.#places, notice);
    if (this.#inPage) this.#watchOwnEnd();
  }

  #notice(slot, type) {
    const { slots, arrived } = this.#bridge;
    if (slots.get(slot.id) === slot) arrived(slot, { type, origin: "" });
  }

  #watchOwnEnd() {
    addEventListener("pagehide", () => {
      this.#leaving = true;
      for (const pair of this.#pairs.all()) {
        this.#pairs.sendGoodbye(pair, "pagehide");
        pair.hidden = true;
      }
    });
    addEventListener("pageshow", ({ persisted }) => {
      this.#leaving = false;
      if (!persisted) return;
      // The page comes out of the back/forward cache and is a new peer: its connections have ended.
      for (const pair of this.#pairs.all()) if (pair.hidden) this.#notice(pair.control, "hidden");
      for (const slot of [...this.#listeners]) this.#notice(slot, "restored");
    });
  }

  #postTo(target, origin, envelope, ports) {
    if (kindOf(target) === "worker") target.postMessage(envelope, ports);
    else this.#bridge.windowOf(target)?.postMessage(envelope, targetOf(origin), ports);
  }

  /** Attach a port that only Python uses, unless JavaScript asks Python for it. */
  #attachOwn(port, promising) {
    const id = this.#bridge.attach(port, promising);
    this.#bridge.slots.get(id).exposedToPage = false;
    return id;
  }

  #addPair(dataId, control, target) {
    const { slots, attach } = this.#bridge;
    return this.#pairs.add(slots.get(dataId), slots.get(attach(control, false)), target);
  }

  isGone(target) {
    return kindOf(target) === "frame"
      ? !target.contentWindow
      : kindOf(target) === "window" && target.closed;
  }

  placeOf(target) {
    return this.#places.numberOf(target);
  }

  awaitsFarewell(controlId) {
    return this.#pairs.awaitsFarewell(controlId);
  }

  originOf(address) {
    return new URL(address, document.baseURI).origin;
  }

  selfOrigin() {
    return this.#inPage ? self.origin : "";
  }

  /** Return the ms since this page's load event ended; -1 before that, and in a worker. */
  loadedFor() {
    if (this.#inPage && !this.#loadEnd) {
      /** @type {any} */ const [navigation] = performance.getEntriesByType("navigation");
      this.#loadEnd = navigation?.loadEventEnd ?? 0;
    }
    return this.#loadEnd ? Math.round(performance.now() - this.#loadEnd) : -1;
  }

  heldLock() {
    return this.#lock.held();
  }

  holdLock() {
    return this.#lock.hold();
  }

  /** Return the window or worker that `accept` listens to, or all that `listen` announces itself to. */
  owners(all) {
    if (!this.#inPage) return [globalThis];
    const found = [parent === globalThis.window ? null : parent, globalThis.opener].filter(Boolean);
    return all
      ? found.concat(Array.from(/** @type {any} */ (globalThis.frames)))
      : found.slice(0, 1);
  }

  /** `attributes` is a list of names and values in turn. */
  makeFrame(src, place, sandbox, attributes) {
    const frame = document.createElement("iframe");
    attributes.forEach((name, i) => i % 2 || frame.setAttribute(name, attributes[i + 1]));
    if (sandbox !== undefined) frame.setAttribute("sandbox", sandbox);
    frame.src = src;
    (place ?? document.body).append(frame);
    return frame;
  }

  openWindow(url, target, features) {
    let window, timer;
    // Firefox runs other tasks while it opens a window, and Python could not continue its own task
    // after that. So the window is opened in a task without Python.
    const opened = new Promise((resolve) => {
      timer = setTimeout(() =>
        resolve((window = globalThis.open(url, target, features) ?? undefined)),
      );
    });
    const close = () => (clearTimeout(timer), window?.close());
    return { opened, close };
  }

  listen(target, source, origins, name) {
    const { slots, attach, arrived } = this.#bridge;
    const place = kindOf(target) === "worker" ? target : globalThis;
    const slot = slots.get(attach(new EventTarget(), false, () => true));
    slot.rejected = new Set();
    const on = (event) => {
      // After the goodbye of this page, a peer that connects again means the next page here.
      if (this.#leaving || !this.#isFromSource(event, place, source)) return;
      if (origins && !origins.includes("*") && !origins.includes(event.origin)) {
        if (source !== undefined && slot.rejected.size < MAX_REJECTED)
          slot.rejected.add(event.origin);
        return;
      }
      this.#onEnvelope(slot, event, place, source, name);
    };
    // An error event without a message means that the worker's script can't be loaded; one with a
    // message means that the script raised an error.
    const failed = ({ message = "", filename, lineno }) => {
      if (message && this.#startedWorkers.has(place)) return;
      const where = message && `${filename}:${lineno}`;
      const data = { message: String(message).slice(0, MAX_ERROR_LENGTH), where };
      arrived(slot, { type: "message", data, source: null, ports: [] });
    };
    place.addEventListener("message", on);
    if (place !== globalThis) place.addEventListener("error", failed);
    this.#listeners.add(slot);
    const element = this.#places.elementOf(source);
    if (element) this.#loads.of(element);
    const stop = this.#ends.watch(slot, source);
    slot.cleanup = () => {
      stop();
      this.#listeners.delete(slot);
      place.removeEventListener("message", on);
      place.removeEventListener("error", failed);
    };
    return slot.id;
  }

  #isFromSource(event, place, source) {
    // The source is null if its window is gone. So is `windowOf` a removed frame, and the two must not
    // be taken for the same window.
    if (this.#inPage && place === globalThis && event.source === null) return false;
    return source === undefined || event.source === this.#bridge.windowOf(source);
  }

  /** Pass the fields of an envelope to Python; drop what is none, or is for another name. */
  #onEnvelope(slot, event, place, source, name) {
    const { data, ports } = event;
    if (typeof data !== "object" || !Number.isInteger(data?.msgchan)) return;
    const { msgchan, type, id, nonce = "", to = "", reason = "" } = data;
    if (data.name !== name || ![type, id, nonce, to, reason].every(isFieldText)) return;
    if (ports.length !== (type === "offer" ? 2 : 0)) return ports.forEach((port) => port.close());
    if (place !== globalThis && type === "hello") this.#startedWorkers.add(place);
    const loaded = loadedOf(data);
    const element = this.#places.elementOf(source ?? event.source);
    // A goodbye may come after the hello of the next page.
    if (element && type !== "goodbye") this.#loads.heardFrom(element, id, loaded);
    const fields = [msgchan, type, name, id, nonce, to, reason, loaded, event.origin];
    this.#bridge.arrived(slot, { type: "message", data: fields, source: event.source, ports });
  }

  rejected(id) {
    return [...this.#bridge.slots.get(id).rejected];
  }

  watchSource(id, source) {
    const slot = this.#bridge.slots.get(id);
    slot.cleanup = this.#ends.watch(slot, source);
  }

  announce(target, origin, type, name, id, nonce, to, reason) {
    const envelope = { msgchan: WIRE_VERSION, type, name, id, loaded: this.loadedFor() };
    for (const [key, value] of Object.entries({ nonce, to, reason }))
      if (value) envelope[key] = value;
    this.#postTo(target, origin, envelope, []);
  }

  offer(target, origin, name, id, to, promising) {
    const [data, control] = [new MessageChannel(), new MessageChannel()];
    const dataId = this.#attachOwn(data.port1, promising);
    const controlId = this.#addPair(dataId, control.port1, target);
    const loaded = this.loadedFor();
    const envelope = { msgchan: WIRE_VERSION, type: "offer", name, id, to, loaded };
    this.#postTo(target, origin, envelope, [data.port2, control.port2]);
    return [dataId, controlId];
  }

  adoptPair([data, control], promising, target) {
    const { ids } = this.#bridge;
    if (ids.has(data) || ids.has(control)) return undefined; // This page already uses them.
    const id = this.#attachOwn(data, promising);
    return [id, this.#addPair(id, control, target)];
  }

  discard(ports, type, reason) {
    if (type) ports[1]?.postMessage({ type, reason, sent: 0 });
    for (const port of ports) port.close();
  }

  /** Notify the control port of the peer's end. */
  watch(controlId, origin, lockName) {
    const { control, target, stops } = this.#pairs.get(controlId);
    const element = this.#places.elementOf(target, true);
    if (element) stops.push(this.#loads.watch(control, element));
    stops.push(this.#ends.watch(control, target, true));
    const sharesLocks = origin === undefined || (origin === self.origin && origin !== "null");
    if (sharesLocks && lockName && navigator.locks)
      stops.push(awaitLock(lockName, () => this.#notice(control, "gone")));
  }

  expect(controlId, sent) {
    this.#pairs.expect(controlId, sent);
  }

  closeGracefully(controlId, withGoodbye) {
    this.#pairs.closeGracefully(controlId, withGoodbye);
  }
}

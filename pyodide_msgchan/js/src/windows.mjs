// The JavaScript half of connections between windows: it filters window messages, posts envelopes and
// offers, and watches for the peer's end. All decisions are made by Python's handshake.
import { tag } from "./encode.mjs";

const WIRE_VERSION = 1; // The version of the envelope.
const MAX_FIELD_LENGTH = 200; // characters
export const MAX_REJECTED = 8; // The limit of rejected origins that are listed in an error.
const LOAD_EVENT_SKEW_MS = 300; // The longest delay of an element's load event after its page's.
const CLOCK_SKEW_MS = 30; // The tolerance for clocks and messages in comparing times of load events.
const CLOSED_CHECK_INTERVAL_MS = 250; // Windows fire no event when they are closed, so they are polled.
const FAREWELL_TIMEOUT_MS = 10_000; // How long a closed connection keeps its ports open for a farewell.
const FAREWELL_GRACE_MS = 1000; // How long messages sent before a farewell may still arrive after it.
const MAX_ERROR_LENGTH = 1000; // Characters of a worker's error message.

/** Return "frame", "window" or "worker" for a target of connect or accept, else "". */
function kindOf(target) {
  if (target === null || typeof target !== "object") return "";
  try {
    const name = tag(target);
    if (name === "HTMLIFrameElement") return "frame";
    if (name === "Worker" || name === "DedicatedWorkerGlobalScope") return "worker";
    if (typeof target.postMessage !== "function") return "";
    // In Chrome, `window` of a window of another site becomes null some time after it was closed.
    return target.window === target || (target.window === null && target.closed) ? "window" : "";
  } catch {
    return ""; // Windows of other origins allow all of these reads, so this is not a window.
  }
}

/** @returns {PerformanceNavigationTiming | undefined} */
const navigationEntry = () => /** @type {any} */ (performance.getEntriesByType("navigation")[0]);

const isFieldText = (value) => typeof value === "string" && value.length <= MAX_FIELD_LENGTH;

/** Create the part of the bridge for windows. Its arguments are functions and tables of the bridge. */
export function createWindows({ attach, arrived, start, slots, ids, windowOf, drop, answersOf }) {
  const inPage = kindOf(globalThis) === "window"; // PyScript gives workers a document.
  const channelPairs = new Map(); // Control port id to the slots of a connection, from its offer on.
  const listeners = new Set();
  const watchedFrames = new Map(); // Slot to notify of a removal, to {element, page, trees, timer}.
  const loadsByElement = new WeakMap();
  const elementsByWindow = new WeakMap(); // WeakRefs to frame elements that were found in shadow trees.
  const placeNumbers = new WeakMap();
  const awaitingFarewell = new Set(); // Ids of control ports that wait for a farewell, or did just now.
  const startedWorkers = new WeakSet(); // Workers that sent a hello, so their scripts have started.
  const watchedWindows = new Map(); // Slot to notify of a closed window, to the window.
  let closedCheckTimer, observer, lock;
  let lastPlaceNumber = 0;
  let loadEnd; // In ms. It is stored because reading the performance entry is slow.
  let leaving = false; // Whether this page is being unloaded, or is in the back/forward cache.

  // Return the frame element around a window; null or undefined if it has none or is of another origin.
  const frameElementOf = (window) => {
    try {
      return window?.frameElement;
    } catch {
      return undefined;
    }
  };

  function findInShadowTrees(tree, window) {
    for (const element of tree.querySelectorAll("*")) {
      if (element.contentWindow === window) return element;
      const found = element.shadowRoot && findInShadowTrees(element.shadowRoot, window);
      if (found) return found;
    }
    return undefined;
  }

  // Return the frame element of a target: the target itself, or the element in this page that shows
  // that window. `deep` also searches shadow trees, which is slow. Frames in closed ones aren't found.
  const elementOf = (target, deep = false) => {
    if (kindOf(target) === "frame") return target;
    if (kindOf(target) !== "window" || target.parent !== globalThis || target === globalThis)
      return undefined;
    const shows = (element) => element?.contentWindow === target;
    const found = [...document.getElementsByTagName("iframe")].find(shows);
    if (found) return found;
    let hidden = [elementsByWindow.get(target)?.deref(), frameElementOf(target)].find(shows);
    if (deep) hidden ??= findInShadowTrees(document, target);
    if (hidden) elementsByWindow.set(target, new WeakRef(hidden));
    return hidden;
  };

  const notice = (slot, type) => {
    if (slots.get(slot.id) === slot) arrived(slot, { type, origin: "" });
  };

  // Return the ms since this page's load event ended; -1 before that, and in a worker.
  function loadedFor() {
    loadEnd ||= inPage && navigationEntry()?.loadEventEnd;
    return loadEnd ? Math.round(performance.now() - loadEnd) : -1;
  }

  function postTo(target, origin, envelope, ports) {
    if (kindOf(target) === "worker") target.postMessage(envelope, ports);
    else windowOf(target)?.postMessage(envelope, targetOf(origin), ports);
  }

  // Return the target origin for posting. An origin that the browser does not accept as a target is
  // this page's own, or was allowed by "*": Python refuses all others.
  function targetOf(origin) {
    if (origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin))
      return origin;
    return origin === self.origin ? "/" : "*";
  }

  /** Attach a port that only Python uses, unless JavaScript asks Python for it. */
  function attachOwn(port, promising) {
    const id = attach(port, promising);
    slots.get(id).exposedToPage = false;
    return id;
  }

  function addChannelPair(data, control, target) {
    /** @type {any} */ const pair = { data, control, target, stops: [] };
    data.channelPair = pair;
    channelPairs.set(control.id, pair);
    control.cleanup = () => {
      channelPairs.delete(control.id);
      for (const stop of pair.stops) stop();
    };
    // Send a farewell once every message sent before a goodbye has arrived: the peer may then close
    // its ports.
    pair.checkReceived = () => {
      if (pair.farewellSent || !(data.received >= pair.expected)) return;
      pair.farewellSent = true;
      control.port.postMessage({ type: "farewell" });
    };
    return control.id;
  }

  function sendGoodbye({ data, control }, reason) {
    const answers = answersOf(data);
    control.port.postMessage({
      type: "goodbye",
      sent: data.sent,
      answers: answers < 0 ? null : answers,
      reason,
    });
  }

  if (inPage) {
    addEventListener("pagehide", () => {
      leaving = true;
      for (const pair of channelPairs.values()) {
        sendGoodbye(pair, "pagehide");
        pair.hidden = true;
      }
    });
    addEventListener("pageshow", ({ persisted }) => {
      leaving = false;
      if (!persisted) return;
      // The page comes out of the back/forward cache and is a new peer: its connections have ended.
      for (const pair of [...channelPairs.values()])
        if (pair.hidden) notice(pair.control, "hidden");
      for (const slot of [...listeners]) notice(slot, "restored");
    });
  }

  // Return the record of a frame's load events: the time of the last one, their number, and both at the
  // moment when the frame's page, known by its id, sent its first message.
  function loadsOf(element) {
    let loads = loadsByElement.get(element);
    if (loads) return loads;
    loads = { last: -Infinity, count: 0, page: null, watchers: new Set() };
    loadsByElement.set(element, loads);
    element.addEventListener("load", () => {
      loads.last = performance.now();
      loads.count++;
      for (const watcher of [...loads.watchers]) watcher();
    });
    return loads;
  }

  function heardFrom(element, id, loaded) {
    const loads = loadsOf(element);
    const { page, last, count } = loads;
    if (page?.id === id) return;
    // A load event that belongs to no earlier page may be that of this page, whose message came late.
    const seen = count > (page ? page.count + (page.loaded < 0) : 0);
    loads.page = { id, loaded, last, count, seen, at: performance.now() };
  }

  function watchLoads(control, element) {
    // The load event of the peer's own page may reach the element after the page's first message. It
    // must not count as a navigation.
    const loads = loadsOf(element);
    const { loaded, last, count, seen, at } = loads.page ?? { loaded: -1, count: loads.count };
    let ownLoadPending = loaded < 0; // Whether the page's own load event is certain to come.
    let ownLoadUntil = ownLoadPending ? 0 : at - loaded + LOAD_EVENT_SKEW_MS; // Until then it may come.
    if (last >= at - loaded - CLOCK_SKEW_MS || loads.count > count)
      [ownLoadPending, ownLoadUntil] = [false, 0];
    if (ownLoadPending && seen) [ownLoadPending, ownLoadUntil] = [false, Infinity];
    const watcher = () => {
      if (!ownLoadPending)
        notice(control, performance.now() > ownLoadUntil ? "gone" : "maybe-gone");
      [ownLoadPending, ownLoadUntil] = [false, 0];
    };
    if (loads.count > count + 1) notice(control, "gone");
    loads.watchers.add(watcher);
    return () => loads.watchers.delete(watcher);
  }

  // Return the trees around an element: its own, those of the shadow hosts around it, and those of the
  // frames around them that have this origin. A MutationObserver sees one tree only.
  function treesAround(element) {
    const trees = [];
    for (let node = element; node;) {
      const tree = node.getRootNode();
      trees.push(tree);
      if (tree === document) break; // A removal outside of this page ends this page too.
      node = tree.host ?? frameElementOf(tree.defaultView);
    }
    return trees;
  }

  // Observe the trees around a watched frame; return false if they are the same as before.
  function observeTrees(watched, force) {
    const trees = treesAround(watched.element);
    if (
      !force &&
      trees.length === watched.trees.length &&
      trees.every((tree, i) => tree === watched.trees[i])
    )
      return false;
    watched.trees = trees;
    for (const tree of trees) {
      observer.observe(tree, { childList: true, subtree: true });
      // If a frame in between navigates, its document goes away, but no tree changes. Firefox
      // takes the watched frame's window away some time after all events of that navigation.
      if (tree !== document && tree.defaultView)
        watched.timer ??= setInterval(checkFrames, CLOSED_CHECK_INTERVAL_MS);
    }
    return true;
  }

  function checkFrames() {
    let moved = false;
    for (const [slot, watched] of [...watchedFrames]) {
      const { contentWindow } = watched.element;
      const gone = !contentWindow || (watched.page && contentWindow !== watched.page);
      if (!gone) moved = observeTrees(watched, false) || moved;
      else if (watchedFrames.delete(slot)) {
        clearInterval(watched.timer);
        notice(slot, "gone");
      }
    }
    if (!moved) return;
    observer.disconnect(); // This also drops trees that have no frame any more.
    for (const watched of watchedFrames.values()) observeTrees(watched, true);
  }

  // Notify the slot when a frame is removed from its document, or gets another window if `samePage`.
  function watchRemoval(slot, element, samePage) {
    const watched = { element, page: samePage ? element.contentWindow : undefined, trees: [] };
    watchedFrames.set(slot, watched);
    observer ??= new MutationObserver(checkFrames);
    observeTrees(watched, true);
    return () => {
      clearInterval(watched.timer);
      watchedFrames.delete(slot);
      if (watchedFrames.size === 0) observer = void observer?.disconnect();
    };
  }

  function watchWindow(slot, other) {
    watchedWindows.set(slot, other);
    closedCheckTimer ??= setInterval(() => {
      for (const [slot, other] of [...watchedWindows])
        if (other.closed && watchedWindows.delete(slot)) notice(slot, "gone");
    }, CLOSED_CHECK_INTERVAL_MS);
    return () => {
      watchedWindows.delete(slot);
      if (watchedWindows.size === 0) closedCheckTimer = void clearInterval(closedCheckTimer);
    };
  }

  // Notify the slot of the end of the frame or window that shows the other page, if it can end.
  function watchPlace(slot, target, samePage = false) {
    const element = elementOf(target, true);
    if (element?.contentWindow) return watchRemoval(slot, element, samePage);
    if (element) setTimeout(notice, 0, slot, "gone"); // It was removed meanwhile.
    return kindOf(target) === "window" && target !== parent ? watchWindow(slot, target) : () => {};
  }

  function awaitLock(slot, name) {
    const { locks } = navigator;
    const stop = new AbortController();
    const { signal } = stop;
    const wait = () => locks.request(name, { signal }, () => notice(slot, "gone"));
    // A lock that is free at once belongs to another storage partition, so it shows nothing.
    const request = locks.request(name, { ifAvailable: true }, (free) => free ?? wait());
    request.catch(() => {}); // It was aborted.
    return () => stop.abort();
  }

  return {
    kindOf,
    isGone: (target) =>
      kindOf(target) === "frame"
        ? !target.contentWindow
        : kindOf(target) === "window" && target.closed,
    // Return a number for the place of a target, the same for a frame and its window.
    placeOf(target) {
      const place = elementOf(target) ?? target;
      if (!placeNumbers.has(place)) placeNumbers.set(place, ++lastPlaceNumber);
      return placeNumbers.get(place);
    },
    awaitsFarewell: (controlId) => awaitingFarewell.has(controlId),
    originOf: (address) => new URL(address, document.baseURI).origin,
    // `attributes` is a list of names and values in turn.
    makeFrame(src, place, sandbox, attributes) {
      const frame = document.createElement("iframe");
      attributes.forEach((name, i) => i % 2 || frame.setAttribute(name, attributes[i + 1]));
      if (sandbox !== undefined) frame.setAttribute("sandbox", sandbox);
      frame.src = src;
      (place ?? document.body).append(frame);
      return frame;
    },
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
    },
    selfOrigin: () => (inPage ? self.origin : ""),
    // Return the window or worker that `accept` listens to, or all that `listen` announces itself to.
    owners(all) {
      if (!inPage) return [globalThis];
      const found = [parent === globalThis.window ? null : parent, globalThis.opener].filter(
        Boolean,
      );
      return all ? found.concat(Array.from(globalThis.frames)) : found.slice(0, 1);
    },
    listen(target, source, origins, name) {
      const place = kindOf(target) === "worker" ? target : globalThis;
      const slot = slots.get(attach(new EventTarget(), false, () => true));
      slot.rejected = new Set();
      const on = (event) => {
        // After the goodbye of this page, a peer that connects again means the next page here.
        if (leaving) return;
        // The source is null if its window is gone. So is `windowOf` a removed frame, and the two
        // must not be taken for the same window.
        if (inPage && place === globalThis && event.source === null) return;
        if (source !== undefined && event.source !== windowOf(source)) return;
        if (origins && !origins.includes("*") && !origins.includes(event.origin)) {
          if (source !== undefined && slot.rejected.size < MAX_REJECTED)
            slot.rejected.add(event.origin);
          return;
        }
        const { data, ports } = event;
        if (typeof data !== "object" || !Number.isInteger(data?.msgchan)) return;
        const { msgchan, type, id, nonce = "", to = "", reason = "", loaded } = data;
        if (data.name !== name || ![type, id, nonce, to, reason].every(isFieldText)) return;
        if (ports.length !== (type === "offer" ? 2 : 0))
          return ports.forEach((port) => port.close());
        if (place !== globalThis && type === "hello") startedWorkers.add(place);
        const element = elementOf(source ?? event.source);
        // A goodbye may come after the hello of the next page.
        if (element && type !== "goodbye")
          heardFrom(element, id, Number.isFinite(loaded) ? loaded : -1);
        const fields = [
          msgchan,
          type,
          name,
          id,
          nonce,
          to,
          reason,
          Number.isFinite(loaded) ? loaded : -1,
          event.origin,
        ];
        arrived(slot, { type: "message", data: fields, source: event.source, ports });
      };
      // An error event without a message means that the worker's script can't be loaded; one with a
      // message means that the script raised an error.
      const failed = ({ message = "", filename, lineno }) => {
        if (message && startedWorkers.has(place)) return;
        const where = message && `${filename}:${lineno}`;
        const data = { message: String(message).slice(0, MAX_ERROR_LENGTH), where };
        arrived(slot, { type: "message", data, source: null, ports: [] });
      };
      place.addEventListener("message", on);
      if (place !== globalThis) place.addEventListener("error", failed);
      listeners.add(slot);
      if (elementOf(source)) loadsOf(elementOf(source));
      const stop = watchPlace(slot, source);
      slot.cleanup = () => {
        stop();
        listeners.delete(slot);
        place.removeEventListener("message", on);
        place.removeEventListener("error", failed);
      };
      return slot.id;
    },
    rejected: (id) => [...slots.get(id).rejected],
    watchSource(id, source) {
      slots.get(id).cleanup = watchPlace(slots.get(id), source);
    },
    announce(target, origin, type, name, id, nonce, to, reason) {
      const envelope = { msgchan: WIRE_VERSION, type, name, id, loaded: loadedFor() };
      for (const [key, value] of Object.entries({ nonce, to, reason }))
        if (value) envelope[key] = value;
      postTo(target, origin, envelope, []);
    },
    offer(target, origin, name, id, to, promising) {
      const [data, control] = [new MessageChannel(), new MessageChannel()];
      const dataId = attachOwn(data.port1, promising);
      const controlSlot = slots.get(attach(control.port1, false));
      const controlId = addChannelPair(slots.get(dataId), controlSlot, target);
      const envelope = { msgchan: WIRE_VERSION, type: "offer", name, id, to, loaded: loadedFor() };
      postTo(target, origin, envelope, [data.port2, control.port2]);
      return [dataId, controlId];
    },
    adoptPair([data, control], promising, target) {
      if (ids.has(data) || ids.has(control)) return undefined; // This page already uses them.
      const id = attachOwn(data, promising);
      return [id, addChannelPair(slots.get(id), slots.get(attach(control, false)), target)];
    },
    discard(ports, type, reason) {
      if (type) ports[1]?.postMessage({ type, reason, sent: 0 });
      for (const port of ports) port.close();
    },
    loadedFor,
    heldLock: () => (typeof lock === "string" ? lock : ""),
    holdLock() {
      // This page or worker holds one lock while it lives. Peers learn its name only once it is held,
      // since a peer that waited for it earlier would get it. Return the name or a promise for it.
      if (lock !== undefined || !navigator.locks || self.origin === "null") return (lock ??= "");
      const name = `pyodide_msgchan ${crypto.randomUUID()}`;
      return (lock = new Promise((resolve) => {
        const held = () => (resolve((lock = name)), new Promise(() => {}));
        navigator.locks.request(name, held).catch(() => resolve((lock = "")));
      }));
    },
    watch(controlId, origin, lockName) {
      const { control, target, stops } = channelPairs.get(controlId);
      const element = elementOf(target, true);
      if (element) stops.push(watchLoads(control, element));
      stops.push(watchPlace(control, target, true));
      const sharesLocks = origin === undefined || (origin === self.origin && origin !== "null");
      if (sharesLocks && lockName && navigator.locks) stops.push(awaitLock(control, lockName));
    },
    // The peer sent a goodbye that counts `sent` messages: receive them, then send a farewell.
    expect(controlId, sent) {
      const pair = channelPairs.get(controlId);
      pair.expected = sent;
      start(pair.data);
      pair.checkReceived();
    },
    // Close both channels. The ports stay open until the peer has received all that was posted on them.
    closeGracefully(controlId, withGoodbye) {
      const pair = channelPairs.get(controlId);
      const { data, control, expected, farewellSent } = pair;
      if (withGoodbye) sendGoodbye(pair, "close");
      if (expected !== undefined && !farewellSent) control.port.postMessage({ type: "farewell" });
      // -1 means that the peer was presumed lost, but it may still be there. Firefox loses messages on
      // their way to a port that is being transferred when this end closes.
      const closeNow = expected < 0 ? false : expected !== undefined || !withGoodbye;
      const unhandled = control.queue;
      for (const slot of [data, control]) drop(slot.id, closeNow);
      if (closeNow) return;
      const { port } = control;
      awaitingFarewell.add(controlId);
      const finish = () => {
        clearTimeout(timer);
        setTimeout(() => awaitingFarewell.delete(controlId), FAREWELL_GRACE_MS);
        port.removeEventListener("message", on);
        for (const slot of [data, control]) slot.port.close();
      };
      const on = ({ data: message }) => {
        if (message?.type === "goodbye") port.postMessage({ type: "farewell" });
        if (message?.type === "farewell") finish();
      };
      const timer = setTimeout(finish, FAREWELL_TIMEOUT_MS);
      port.addEventListener("message", on);
      unhandled.forEach(on);
    },
  };
}

// Connections between windows, seen from JavaScript: who may be heard, what goes out before there is a
// port, and the signs that the other side is gone. It decides nothing; Python's handshake does.
import { tag } from "./encode.mjs";

const WIRE = 1; // version of the envelope
const LONGEST = 200; // characters of a field
export const HEARD = 8; // wrong origins that are remembered
const LATE = 300; // ms by which an element's load event comes after the page's own, at the most
const NEAR = 30; // ms by which clocks and messages may differ in telling when that was
const CLOSED_CHECK = 250; // ms between looks at other windows, which tell nobody that they were closed
const LINGER = 10_000; // ms that a closed connection keeps its ports open for the other side's farewell
const FAREWELL_GRACE = 1000; // ms after a farewell in which what was said before it may still come
const LONGEST_ERROR = 1000; // characters of what a worker's error says

/** What a target of connect or accept is: "frame", "window", "worker", or "" for none of them. */
function kindOf(target) {
  if (target === null || typeof target !== "object") return "";
  try {
    const name = tag(target);
    if (name === "HTMLIFrameElement") return "frame";
    if (name === "Worker" || name === "DedicatedWorkerGlobalScope") return "worker";
    if (typeof target.postMessage !== "function") return "";
    // In Chrome a window of another site has none any more some time after it was closed.
    return target.window === target || (target.window === null && target.closed) ? "window" : "";
  } catch {
    return ""; // a window of another origin answers to these questions
  }
}

const text = (value) => typeof value === "string" && value.length <= LONGEST;

/** The part of the bridge that knows windows; what it is given is the bridge's own. */
export function createWindows({ attach, arrived, start, slots, ids, windowOf, drop, answersOf }) {
  const inPage = kindOf(globalThis) === "window"; // a worker may have been given a document: PyScript does
  const links = new Map(); // by the control port's id: the slots of a connection, from the offer on
  const hearings = new Set();
  const watchedFrames = new Map(); // by the slot that is told of its removal: {element, page, trees}
  const loadsByElement = new WeakMap();
  const elementsByWindow = new WeakMap(); // found in shadow trees, as WeakRefs
  const places = new WeakMap(); // their numbers
  const partings = new Set(); // ids of control ports whose goodbye was not answered, or just now
  const greeted = new WeakSet(); // workers that said hello, so their scripts have started
  const watchedWindows = new Map(); // the same for windows that may be closed
  let looking, observer, lock;
  let lastPlace = 0;
  let loadEnd; // in ms; asking for it takes long
  let leaving = false; // whether this page is on its way out, or in the back/forward cache

  const holderOf = (window) => {
    // The frame element around a window; null or undefined if it has none or is of another origin.
    try {
      return window?.frameElement;
    } catch {
      return undefined;
    }
  };

  function findDeep(tree, window) {
    for (const one of tree.querySelectorAll("*")) {
      if (one.contentWindow === window) return one;
      const found = one.shadowRoot && findDeep(one.shadowRoot, window);
      if (found) return found;
    }
    return undefined;
  }

  // The frame of a target: itself, or the one in this page's trees that shows that window. Shadow
  // trees are searched if `deep`; that takes long, and nobody finds a frame in a closed one.
  const elementOf = (target, deep = false) => {
    if (kindOf(target) === "frame") return target;
    if (kindOf(target) !== "window" || target.parent !== globalThis || target === globalThis)
      return undefined;
    const shows = (one) => one?.contentWindow === target;
    const found = [...document.getElementsByTagName("iframe")].find(shows);
    if (found) return found;
    let hidden = [elementsByWindow.get(target)?.deref(), holderOf(target)].find(shows);
    if (deep) hidden ??= findDeep(document, target);
    if (hidden) elementsByWindow.set(target, new WeakRef(hidden));
    return hidden;
  };

  const notice = (slot, type) => {
    if (slots.get(slot.id) === slot) arrived(slot, { type, origin: "" });
  };

  function loadedFor() {
    // ms since this page's load event ended; -1 before that, and in a worker
    loadEnd ||= inPage && performance.getEntriesByType("navigation")[0]?.loadEventEnd;
    return loadEnd ? Math.round(performance.now() - loadEnd) : -1;
  }

  function postTo(target, origin, envelope, ports) {
    if (kindOf(target) === "worker") target.postMessage(envelope, ports);
    else windowOf(target)?.postMessage(envelope, targetOf(origin), ports);
  }

  // An origin that the browser takes for no target is this page's own, or was allowed by "*":
  // Python refuses all others.
  function targetOf(origin) {
    if (origin === "*" || (URL.canParse(origin) && new URL(origin).origin === origin))
      return origin;
    return origin === self.origin ? "/" : "*";
  }

  /** Attach a port that nobody else has a use for, until JavaScript asks Python for it. */
  function attachOwn(port, promising) {
    const id = attach(port, promising);
    slots.get(id).seen = false;
    return id;
  }

  function link(data, control, target) {
    const made = { data, control, target, stops: [] };
    data.link = made;
    links.set(control.id, made);
    control.cleanup = () => {
      links.delete(control.id);
      for (const stop of made.stops) stop();
    };
    // All that was posted before a goodbye has come: the other side may close its ports.
    made.count = () => {
      if (made.said || !(data.received >= made.expected)) return;
      made.said = true;
      control.port.postMessage({ type: "farewell" });
    };
    return control.id;
  }

  function goodbye({ data, control }, reason) {
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
      for (const one of links.values()) {
        goodbye(one, "pagehide");
        one.hidden = true;
      }
    });
    addEventListener("pageshow", ({ persisted }) => {
      leaving = false;
      if (!persisted) return; // else the page comes out of the back/forward cache, as a new peer
      for (const one of [...links.values()]) if (one.hidden) notice(one.control, "hidden");
      for (const slot of [...hearings]) notice(slot, "restored");
    });
  }

  // What is known of the load events of a frame: the last one's time, how many there were, and how
  // that stood when its page, by the id it goes by, was first heard.
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
    // Whether a load was seen that belongs to no page before: it may be this one's, heard late.
    const seen = count > (page ? page.count + (page.loaded < 0) : 0);
    loads.page = { id, loaded, last, count, seen, at: performance.now() };
  }

  function watchLoads(control, element) {
    // A page may be heard before its own load event reaches the element: that is no navigation.
    const loads = loadsOf(element);
    const { loaded, last, count, seen, at } = loads.page ?? { loaded: -1, count: loads.count };
    let own = loaded < 0; // whether its own load is still to come; perhaps so until `late`
    let late = own ? 0 : at - loaded + LATE;
    if (last >= at - loaded - NEAR || loads.count > count) own = late = 0;
    if (own && seen) [own, late] = [false, Infinity];
    const watcher = () => {
      if (!own) notice(control, performance.now() > late ? "gone" : "doubt");
      own = late = 0;
    };
    if (loads.count > count + 1) notice(control, "gone");
    loads.watchers.add(watcher);
    return () => loads.watchers.delete(watcher);
  }

  // The trees that hold an element: its own, those of the hosts around that one, and those of the
  // frames around them as far as they are of this origin. An observer sees only one tree.
  function treesAround(element) {
    const trees = [];
    for (let node = element; node;) {
      const tree = node.getRootNode();
      trees.push(tree);
      if (tree === document) break; // what is around this page takes the page along
      node = tree.host ?? holderOf(tree.defaultView);
    }
    return trees;
  }

  function observeTrees(one, anew) {
    const trees = treesAround(one.element);
    if (
      !anew &&
      trees.length === one.trees.length &&
      trees.every((tree, i) => tree === one.trees[i])
    )
      return false;
    one.trees = trees;
    one.stop?.abort();
    one.stop = new AbortController();
    const { signal } = one.stop;
    for (const tree of trees) {
      observer.observe(tree, { childList: true, subtree: true });
      // A frame on the way that navigates takes its document along, and no tree changes by that.
      if (tree !== document && tree.defaultView)
        tree.defaultView.addEventListener("pagehide", () => setTimeout(lookAtFrames), { signal });
    }
    return true;
  }

  function lookAtFrames() {
    let moved = false;
    for (const [slot, one] of [...watchedFrames]) {
      const { contentWindow } = one.element;
      const gone = !contentWindow || (one.page && contentWindow !== one.page);
      if (!gone) moved = observeTrees(one, false) || moved;
      else if (watchedFrames.delete(slot)) {
        one.stop.abort();
        notice(slot, "gone");
      }
    }
    if (!moved) return;
    observer.disconnect(); // from the trees that no frame is in any more
    for (const one of watchedFrames.values()) observeTrees(one, true);
  }

  // Tell when a frame is in no document any more, or a page other than its present one took its place.
  function watchRemoval(slot, element, present) {
    const one = { element, page: present ? element.contentWindow : undefined, trees: [] };
    watchedFrames.set(slot, one);
    observer ??= new MutationObserver(lookAtFrames);
    observeTrees(one, true);
    return () => {
      one.stop.abort();
      watchedFrames.delete(slot);
      if (watchedFrames.size === 0) observer = void observer?.disconnect();
    };
  }

  function watchWindow(slot, other) {
    watchedWindows.set(slot, other);
    looking ??= setInterval(() => {
      for (const [slot, other] of [...watchedWindows])
        if (other.closed && watchedWindows.delete(slot)) notice(slot, "gone");
    }, CLOSED_CHECK);
    return () => {
      watchedWindows.delete(slot);
      if (watchedWindows.size === 0) looking = void clearInterval(looking);
    };
  }

  // Tell of the end of the place where the other page is, as far as it has one that can end.
  function watchPlace(slot, target, present = false) {
    const element = elementOf(target, true);
    if (element?.contentWindow) return watchRemoval(slot, element, present);
    if (element) setTimeout(notice, 0, slot, "gone"); // it was removed meanwhile
    return kindOf(target) === "window" && target !== parent ? watchWindow(slot, target) : () => {};
  }

  function awaitLock(slot, name) {
    const { locks } = navigator;
    const leave = new AbortController();
    const { signal } = leave;
    const wait = () => locks.request(name, { signal }, () => notice(slot, "gone"));
    // Free at once: it lies in another partition of the browser's storage, and tells nothing.
    locks.request(name, { ifAvailable: true }, (free) => free ?? wait()).catch(() => {}); // or left
    return () => leave.abort();
  }

  return {
    kindOf,
    isGone: (target) =>
      kindOf(target) === "frame"
        ? !target.contentWindow
        : kindOf(target) === "window" && target.closed,
    // A number that stands for the place of a target, be it named by a frame or by its window.
    placeOf(target) {
      const place = elementOf(target) ?? target;
      if (!places.has(place)) places.set(place, ++lastPlace);
      return places.get(place);
    },
    awaitsFarewell: (controlId) => partings.has(controlId),
    originOf: (address) => new URL(address, document.baseURI).origin,
    makeFrame(src, place, sandbox, attributes) {
      const frame = document.createElement("iframe");
      // name, value, name, value, …
      attributes.forEach((name, i) => i % 2 || frame.setAttribute(name, attributes[i + 1]));
      if (sandbox !== undefined) frame.setAttribute("sandbox", sandbox);
      frame.src = src;
      (place ?? document.body).append(frame);
      return frame;
    },
    openWindow(url, target, features) {
      let window, timer;
      // Firefox goes on with other tasks while it opens a window. Python could not go on with its
      // own after that, so that happens in a turn without Python.
      const opened = new Promise((resolve) => {
        timer = setTimeout(() =>
          resolve((window = globalThis.open(url, target, features) ?? undefined)),
        );
      });
      const close = () => (clearTimeout(timer), window?.close());
      return { opened, close };
    },
    selfOrigin: () => (inPage ? self.origin : ""),
    // Whom an `accept` listens to, and to whom a `listen` announces itself.
    owners(all) {
      if (!inPage) return [globalThis];
      const found = [parent === globalThis ? null : parent, globalThis.opener].filter(Boolean);
      return all ? found.concat(Array.from(globalThis.frames)) : found.slice(0, 1);
    },
    hear(target, source, origins, name) {
      const place = kindOf(target) === "worker" ? target : globalThis;
      const slot = slots.get(attach(new EventTarget(), false, () => true));
      slot.rejected = new Set();
      const on = (event) => {
        // Whoever tries to connect anew, since it has heard the goodbye, means the next page here.
        if (leaving) return;
        // A window that is gone is null, as is the one of a frame that was taken out: not the same.
        if (inPage && place === globalThis && event.source === null) return;
        if (source !== undefined && event.source !== windowOf(source)) return;
        if (origins && !origins.includes("*") && !origins.includes(event.origin)) {
          if (source !== undefined && slot.rejected.size < HEARD) slot.rejected.add(event.origin);
          return;
        }
        const { data, ports } = event;
        if (typeof data !== "object" || !Number.isInteger(data?.msgchan)) return;
        const { msgchan, type, id, nonce = "", to = "", reason = "", loaded } = data;
        if (data.name !== name || ![type, id, nonce, to, reason].every(text)) return;
        if (ports.length !== (type === "offer" ? 2 : 0))
          return ports.forEach((port) => port.close());
        if (place !== globalThis && type === "hello") greeted.add(place);
        const element = elementOf(source ?? event.source);
        // A goodbye may come after the hello of the next page.
        if (element && type !== "goodbye")
          heardFrom(element, id, Number.isFinite(loaded) ? loaded : -1);
        const words = [
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
        arrived(slot, { type: "message", data: words, source: event.source, ports });
      };
      // An error event without a message: the worker's script can't be had. With one: it threw.
      const failed = ({ message = "", filename, lineno }) => {
        if (message && greeted.has(place)) return;
        const where = message && `${filename}:${lineno}`;
        const data = { message: String(message).slice(0, LONGEST_ERROR), where };
        arrived(slot, { type: "message", data, source: null, ports: [] });
      };
      place.addEventListener("message", on);
      if (place !== globalThis) place.addEventListener("error", failed);
      hearings.add(slot);
      if (elementOf(source)) loadsOf(elementOf(source));
      const stop = watchPlace(slot, source);
      slot.cleanup = () => {
        stop();
        hearings.delete(slot);
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
      const envelope = { msgchan: WIRE, type, name, id, loaded: loadedFor() };
      for (const [key, value] of Object.entries({ nonce, to, reason }))
        if (value) envelope[key] = value;
      postTo(target, origin, envelope, []);
    },
    offer(target, origin, name, id, to, promising) {
      const [data, control] = [new MessageChannel(), new MessageChannel()];
      const near = attachOwn(data.port1, promising);
      const id2 = link(slots.get(near), slots.get(attach(control.port1, false)), target);
      const envelope = { msgchan: WIRE, type: "offer", name, id, to, loaded: loadedFor() };
      postTo(target, origin, envelope, [data.port2, control.port2]);
      return [near, id2];
    },
    adoptPair([data, control], promising, target) {
      if (ids.has(data) || ids.has(control)) return undefined; // somebody in this page has them
      const id = attachOwn(data, promising);
      return [id, link(slots.get(id), slots.get(attach(control, false)), target)];
    },
    discard(ports, type, reason) {
      if (type) ports[1]?.postMessage({ type, reason, sent: 0 });
      for (const port of ports) port.close();
    },
    loadedFor,
    heldLock: () => (typeof lock === "string" ? lock : ""),
    holdLock() {
      // One for the life of this page or worker. Its name is told only once it is held: whoever waits
      // for it would get it else. A string, or a promise for it the first time.
      if (lock !== undefined || !navigator.locks || self.origin === "null") return (lock ??= "");
      const name = `pyodide_msgchan ${crypto.randomUUID()}`;
      return (lock = new Promise((resolve) => {
        const held = () => (resolve((lock = name)), new Promise(() => {}));
        navigator.locks.request(name, held).catch(() => resolve((lock = "")));
      }));
    },
    watch(controlId, origin, lockName) {
      const { control, target, stops } = links.get(controlId);
      const element = elementOf(target, true);
      if (element) stops.push(watchLoads(control, element));
      stops.push(watchPlace(control, target, true));
      const near = origin === undefined || (origin === self.origin && origin !== "null");
      if (near && lockName && navigator.locks) stops.push(awaitLock(control, lockName));
    },
    // The other side said goodbye after so many messages: bring them in, then say farewell.
    expect(controlId, sent) {
      const made = links.get(controlId);
      made.expected = sent;
      start(made.data);
      made.count();
    },
    // This side is done. Its ports stay open until the other has all that was posted on them.
    linger(controlId, say) {
      const made = links.get(controlId);
      const { data, control, expected, said } = made;
      if (say) goodbye(made, "close");
      if (expected !== undefined && !said) control.port.postMessage({ type: "farewell" });
      // -1: it was taken for gone, but may be there, and Firefox loses what is on its way to a port
      // that is being transferred when this end closes.
      const done = expected < 0 ? false : expected !== undefined || !say;
      const came = control.queue;
      for (const slot of [data, control]) drop(slot.id, done);
      if (done) return;
      const { port } = control;
      partings.add(controlId);
      const over = () => {
        clearTimeout(timer);
        setTimeout(() => partings.delete(controlId), FAREWELL_GRACE);
        port.removeEventListener("message", on);
        for (const slot of [data, control]) slot.port.close();
      };
      const on = ({ data: message }) => {
        if (message?.type === "goodbye") port.postMessage({ type: "farewell" });
        if (message?.type === "farewell") over();
      };
      const timer = setTimeout(over, LINGER);
      port.addEventListener("message", on);
      came.forEach(on);
    },
  };
}

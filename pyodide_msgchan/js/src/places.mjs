// The places of other pages: frames and windows, their load events, and their ends.
import { tag } from "./encode.mjs";

const LOAD_EVENT_SKEW_MS = 300; // The longest delay of an element's load event after its page's.
const CLOCK_SKEW_MS = 30; // The tolerance for clocks and messages in comparing times of load events.
const CLOSED_CHECK_INTERVAL_MS = 250; // Windows fire no event when they are closed, so they are polled.

/** Return "frame", "window" or "worker" for a target of connect or accept, else "". */
export function kindOf(target) {
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

/** Return the frame element around a window; null or undefined if it has none or is of another origin. */
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

/**
 * Return the trees around an element: its own, those of the shadow hosts around it, and those of the
 * frames around them that have this origin. A MutationObserver sees one tree only.
 */
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

/** The elements and the numbers of targets. */
export class Places {
  #elementsByWindow = new WeakMap(); // WeakRefs to frame elements that were found in shadow trees.
  #numbers = new WeakMap();
  #lastNumber = 0;

  /**
   * Return the frame element of a target: the target itself, or the element in this page that shows
   * that window. `deep` also searches shadow trees, which is slow. Frames in closed ones aren't found.
   */
  elementOf(target, deep = false) {
    if (kindOf(target) === "frame") return target;
    if (kindOf(target) !== "window" || target.parent !== globalThis || target === globalThis)
      return undefined;
    const shows = (element) => element?.contentWindow === target;
    const found = [...document.getElementsByTagName("iframe")].find(shows);
    if (found) return found;
    const known = [this.#elementsByWindow.get(target)?.deref(), frameElementOf(target)];
    let hidden = known.find(shows);
    if (deep) hidden ??= findInShadowTrees(document, target);
    if (hidden) this.#elementsByWindow.set(target, new WeakRef(hidden));
    return hidden;
  }

  /** Return a number for the place of a target, the same for a frame and its window. */
  numberOf(target) {
    const place = this.elementOf(target) ?? target;
    if (!this.#numbers.has(place)) this.#numbers.set(place, ++this.#lastNumber);
    return this.#numbers.get(place);
  }
}

/** The load events of frames, which show that another page is there. */
export class Loads {
  #byElement = new WeakMap();
  #notice;

  constructor(notice) {
    this.#notice = notice;
  }

  /**
   * Return the record of a frame's load events: the time of the last one, their number, and both at
   * the moment when the frame's page, known by its id, sent its first message.
   */
  of(element) {
    let loads = this.#byElement.get(element);
    if (loads) return loads;
    loads = { last: -Infinity, count: 0, page: null, watchers: new Set() };
    this.#byElement.set(element, loads);
    element.addEventListener("load", () => {
      loads.last = performance.now();
      loads.count++;
      for (const watcher of [...loads.watchers]) watcher();
    });
    return loads;
  }

  heardFrom(element, id, loaded) {
    const loads = this.of(element);
    const { page, last, count } = loads;
    if (page?.id === id) return;
    // A load event that belongs to no earlier page may be that of this page, whose message came late.
    const seen = count > (page ? page.count + (page.loaded < 0) : 0);
    loads.page = { id, loaded, last, count, seen, at: performance.now() };
  }

  /** Notify a slot of a navigation; return a function that ends this. */
  watch(slot, element) {
    // The load event of the peer's own page may reach the element after the page's first message. It
    // must not count as a navigation.
    const loads = this.of(element);
    const { loaded, last, count, seen, at } = loads.page ?? { loaded: -1, count: loads.count };
    let ownLoadPending = loaded < 0; // Whether the page's own load event is certain to come.
    let ownLoadUntil = ownLoadPending ? 0 : at - loaded + LOAD_EVENT_SKEW_MS; // Until then it may come.
    if (last >= at - loaded - CLOCK_SKEW_MS || loads.count > count)
      [ownLoadPending, ownLoadUntil] = [false, 0];
    if (ownLoadPending && seen) [ownLoadPending, ownLoadUntil] = [false, Infinity];
    const watcher = () => {
      if (!ownLoadPending)
        this.#notice(slot, performance.now() > ownLoadUntil ? "gone" : "maybe-gone");
      [ownLoadPending, ownLoadUntil] = [false, 0];
    };
    if (loads.count > count + 1) this.#notice(slot, "gone");
    loads.watchers.add(watcher);
    return () => loads.watchers.delete(watcher);
  }
}

/** The ends of frames that are removed and of windows that are closed. */
export class Ends {
  #frames = new Map(); // Slot to notify of a removal, to {element, page, trees, timer}.
  #windows = new Map(); // Slot to notify of a closed window, to the window.
  /** @type {any} */ #closedCheckTimer;
  /** @type {MutationObserver | undefined} */ #observer;
  #places;
  #notice;

  constructor(places, notice) {
    this.#places = places;
    this.#notice = notice;
  }

  /**
   * Notify a slot of the end of the frame or window that shows the other page, if it can end; return a
   * function that ends this.
   */
  watch(slot, target, samePage = false) {
    const element = this.#places.elementOf(target, true);
    if (element?.contentWindow) return this.#watchRemoval(slot, element, samePage);
    if (element) setTimeout(this.#notice, 0, slot, "gone"); // It was removed meanwhile.
    return kindOf(target) === "window" && target !== parent
      ? this.#watchWindow(slot, target)
      : () => {};
  }

  /** Notify a slot when a frame is removed from its document, or gets another window if `samePage`. */
  #watchRemoval(slot, element, samePage) {
    const watched = { element, page: samePage ? element.contentWindow : undefined, trees: [] };
    this.#frames.set(slot, watched);
    this.#observer ??= new MutationObserver(this.#checkFrames);
    this.#observeTrees(watched, true);
    return () => {
      clearInterval(/** @type {any} */ (watched).timer);
      this.#frames.delete(slot);
      if (this.#frames.size === 0) this.#observer = void this.#observer?.disconnect();
    };
  }

  /** Observe the trees around a watched frame; return false if they are the same as before. */
  #observeTrees(watched, force) {
    const trees = treesAround(watched.element);
    if (
      !force &&
      trees.length === watched.trees.length &&
      trees.every((tree, i) => tree === watched.trees[i])
    )
      return false;
    watched.trees = trees;
    for (const tree of trees) {
      this.#observer?.observe(tree, { childList: true, subtree: true });
      // If a frame in between navigates, its document goes away, but no tree changes. Firefox
      // takes the watched frame's window away some time after all events of that navigation.
      if (tree !== document && tree.defaultView)
        watched.timer ??= setInterval(this.#checkFrames, CLOSED_CHECK_INTERVAL_MS);
    }
    return true;
  }

  #checkFrames = () => {
    let moved = false;
    for (const [slot, watched] of [...this.#frames]) {
      const { contentWindow } = watched.element;
      const gone = !contentWindow || (watched.page && contentWindow !== watched.page);
      if (!gone) moved = this.#observeTrees(watched, false) || moved;
      else if (this.#frames.delete(slot)) {
        clearInterval(watched.timer);
        this.#notice(slot, "gone");
      }
    }
    if (!moved) return;
    this.#observer?.disconnect(); // This also drops trees that have no frame any more.
    for (const watched of this.#frames.values()) this.#observeTrees(watched, true);
  };

  #watchWindow(slot, other) {
    this.#windows.set(slot, other);
    this.#closedCheckTimer ??= setInterval(() => {
      for (const [slot, other] of [...this.#windows])
        if (other.closed && this.#windows.delete(slot)) this.#notice(slot, "gone");
    }, CLOSED_CHECK_INTERVAL_MS);
    return () => {
      this.#windows.delete(slot);
      if (this.#windows.size === 0)
        this.#closedCheckTimer = void clearInterval(this.#closedCheckTimer);
    };
  }
}

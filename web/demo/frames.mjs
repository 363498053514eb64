// Puts up the frames and popups, each with its buttons. What becomes of their connections it does
// not know: that is seen by py/host.py.
import { label } from "../shared/names.mjs";

const MOST = 7; // frames and popups at a time: each Python takes some 60 MB
const SANDBOX = "allow-scripts";
const PYTHON = "demo/frame-python.html";

/** What can be put up, by kind; `other` is the folder of this site on another origin, or null. */
function kinds(other) {
  return {
    same: { words: "Python, same origin", how: "another page of this origin" },
    cross: other && { words: "Python, cross site", how: "a page of another site", base: other },
    second: !other && { how: "a sandboxed page", sandbox: SANDBOX },
    sandbox: { words: "Python, sandboxed", how: "a sandboxed page", sandbox: SANDBOX },
    script: {
      words: "JavaScript",
      how: "plain JavaScript",
      file: "demo/frame-javascript.html",
    },
    popup: { how: "a window of its own" },
  };
}

/**
 * Fill the part of the page that shows the frames.
 *
 * root: has a [name=kind] select, [name=add] and [name=popup] buttons, and a .frames element.
 * other: the folder of this site on another origin, or null.
 * onadded: called with each participant that is put up: `name`, `window` (a frame element or a
 *   window), `origin` (null for an opaque one), `python` (whether it runs Python) and `exists()`.
 * onremoved: called with a participant that its button has taken down.
 * onblocked: called when the browser does not open a popup.
 */
export function createFrames(root, { other, onadded, onremoved, onblocked }) {
  const find = (selector) => root.querySelector(selector);
  const all = kinds(other);
  const numbers = new Map(); // how many of each kind there have been
  const present = new Map(); // what takes a participant down, by its name

  function add(kind) {
    const { how, sandbox, base = location.href, file = PYTHON } = all[kind];
    const number = (numbers.get(kind) ?? 0) + 1;
    const name = number === 1 ? kind : `${kind}-${number}`;
    const address = new URL(file, base);
    address.search = String(new URLSearchParams({ name, host: location.origin }));
    const made = kind === "popup" ? popUp(name, address) : putUp(name, address, sandbox);
    if (!made) return onblocked();
    numbers.set(kind, number);

    const participant = {
      name,
      window: made.window,
      origin: sandbox ? null : address.origin,
      python: file === PYTHON,
      exists: made.exists,
    };
    const figure = document.createElement("figure");
    figure.dataset.name = name;
    const caption = document.createElement("figcaption");
    const words = document.createElement("span");
    words.textContent = how;
    const remove = () => {
      takeDown(name);
      onremoved(participant);
    };
    caption.append(
      words,
      button("Reload", `Reload ${label(name)}`, made.reload),
      button("Remove", `Remove ${label(name)}`, remove),
    );
    figure.append(caption, made.content);
    find(".frames").append(figure);
    present.set(name, () => (made.remove(), figure.remove()));
    count();
    onadded(participant);
  }

  function takeDown(name) {
    present.get(name)?.();
    present.delete(name);
    count();
  }

  function putUp(name, address, sandbox) {
    const element = document.createElement("iframe");
    element.title = label(name);
    element.id = name;
    if (sandbox) element.setAttribute("sandbox", sandbox);
    element.src = address;
    return {
      content: element,
      window: element,
      reload: () => (element.src = address),
      remove: () => element.remove(),
      exists: () => element.isConnected,
    };
  }

  function popUp(name, address) {
    const opened = open(address, "", "popup,width=420,height=640");
    if (!opened) return null;
    const content = document.createElement("div");
    content.className = "card elsewhere";
    const words = document.createElement("p");
    words.textContent = `${label(name)} is a window of its own. Close it there or here.`;
    content.append(
      words,
      button("Show it", `Show ${label(name)}`, () => opened.focus()),
    );
    return {
      content,
      window: opened,
      reload: () => opened.location.replace(address),
      remove: () => opened.close(),
      exists: () => !opened.closed,
    };
  }

  function count() {
    const full = present.size >= MOST;
    for (const name of ["add", "popup"]) find(`[name=${name}]`).disabled = full;
  }

  const select = find("[name=kind]");
  for (const [kind, is] of Object.entries(all)) {
    if (is?.words) select.append(new Option(is.words, kind));
  }
  find("[name=add]").addEventListener("click", () => add(select.value));
  find("[name=popup]").addEventListener("click", () => add("popup"));
  for (const kind of ["same", other ? "cross" : "second", "sandbox", "script"]) add(kind);
  return { takeDown };
}

function button(words, described, onclick) {
  const made = document.createElement("button");
  Object.assign(made, { type: "button", className: "quiet small", textContent: words, onclick });
  made.setAttribute("aria-label", described);
  return made;
}

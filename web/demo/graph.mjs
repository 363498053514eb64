// Draws who is connected to whom. Lines are one stretched SVG, words are HTML laid over it by
// percentages, so that the letters keep their size on a phone.
import { label } from "../shared/names.mjs";

const SVG = "http://www.w3.org/2000/svg";
const [WIDE, HIGH] = [38, 44]; // half axes of the ellipse on which the participants stand, in percent
const CROWD = 6; // with more participants only one's numbers are shown at a time
const FAR = 0.6; // of the line from that one, where its numbers stand
const STEADY = matchMedia("(prefers-reduced-motion: reduce)");

/** Draw participants and links into `root`, and the links as rows into a table's `body`. */
export function createGraph(root, body) {
  const lines = document.createElementNS(SVG, "svg");
  lines.setAttribute("viewBox", "0 0 100 100");
  lines.setAttribute("preserveAspectRatio", "none");
  lines.setAttribute("aria-hidden", "true");
  root.replaceChildren(lines);

  const nodes = new Map(); // by name, in the order in which they stand
  const links = new Map(); // by number
  let chosen = null; // whose links are shown alone
  let direct = 0; // messages between frames

  function put(made, className) {
    made.className = className;
    root.append(made);
    return made;
  }

  /** Set everything in its place; the first participant stands on top. */
  function arrange() {
    [...nodes.values()].forEach((node, i) => {
      const angle = (2 * Math.PI * i) / nodes.size;
      node.place = [50 + WIDE * Math.sin(angle), 50 - HIGH * Math.cos(angle)];
      move(node.element, node.place);
    });
    for (const { ends, line } of links.values()) {
      const [[x1, y1], [x2, y2]] = ends.map((name) => nodes.get(name).place);
      Object.entries({ x1, y1, x2, y2 }).forEach(([key, value]) => line.setAttribute(key, value));
    }
    emphasize();
  }

  function emphasize() {
    const only = chosen ?? (nodes.size > CROWD ? "host" : null);
    for (const [name, { element }] of nodes)
      element.setAttribute("aria-pressed", String(name === chosen));
    for (const { ends, line, pill, ms } of links.values()) {
      const shown = only === null || ends.includes(only);
      line.classList.toggle("dim", !shown);
      pill.hidden = !shown || ms === Infinity;
      move(pill, placeOfNumbers(ends, only));
    }
  }

  /** Beside no other's: all numbers are shown, or those of one participant only. */
  function placeOfNumbers(ends, only) {
    const names = [...nodes.keys()];
    let [from, to] = ends.map((name) => names.indexOf(name)).sort((a, b) => a - b);
    if (2 * (to - from) > names.length) [from, to] = [to, from]; // the shorter way round
    // Lines between neighbours are crossed by no other, the rest cross in the middle.
    if ((to - from + names.length) % names.length === 1) return along(0.5, ends);
    if (only === null) return along(0.32, [names[from], names[to]]);
    return along(FAR, only === ends[0] ? ends : [...ends].reverse());
  }

  function along(share, ends) {
    const [[x1, y1], [x2, y2]] = ends.map((name) => nodes.get(name).place);
    return [x1 + share * (x2 - x1), y1 + share * (y2 - y1)];
  }

  function unlink(number) {
    const link = links.get(number);
    if (!link) return;
    for (const part of [link.line, link.pill, link.row]) part.remove();
    links.delete(number);
  }

  return {
    add(name) {
      const element = put(document.createElement("button"), "node");
      element.type = "button";
      element.dataset.name = name;
      element.dataset.state = "loading";
      element.textContent = label(name);
      element.addEventListener("click", () => {
        chosen = chosen === name ? null : name;
        emphasize();
      });
      nodes.set(name, { element });
      arrange();
    },

    state(name, state) {
      nodes.get(name).element.dataset.state = state;
    },

    remove(name) {
      for (const [number, { ends }] of [...links]) if (ends.includes(name)) unlink(number);
      nodes.get(name)?.element.remove();
      nodes.delete(name);
      if (chosen === name) chosen = null;
      arrange();
    },

    link(number, ...ends) {
      // It takes the place of one whose end nobody could tell.
      for (const [old, link] of [...links])
        if (ends.every((name) => link.ends.includes(name))) unlink(old);
      const line = document.createElementNS(SVG, "line");
      line.dataset.ends = ends.join(" ");
      lines.append(line);
      const pill = put(document.createElement("span"), "edge");
      pill.setAttribute("aria-hidden", "true"); // the table says the same
      const row = body.insertRow();
      row.dataset.ends = ends.join(" ");
      const cells = [...ends.map(label), "–", "–"].map((words, i) => {
        const cell = row.insertCell();
        cell.textContent = words;
        if (i > 1) cell.className = "number";
        return cell;
      });
      const link = { ends, line, pill, row, cells, count: 0, ms: Infinity };
      links.set(number, Object.assign(link, { before: 0, since: performance.now() }));
      arrange();
    },

    unlink,

    /** Note how many messages a link has carried. */
    count(number, count) {
      const link = links.get(number);
      if (!link || count <= link.count) return; // both ends tell, one may be behind
      if (!link.ends.includes("host")) direct += count - link.count;
      link.count = count;
    },

    /** Note how long a message and its answer took; Infinity: no answer came. */
    measured(number, ms) {
      const link = links.get(number);
      if (!link) return;
      const now = performance.now();
      const rate = (1000 * (link.count - link.before)) / (now - link.since);
      Object.assign(link, { ms, before: link.count, since: now });
      const known = ms !== Infinity;
      link.line.dataset.state = known ? "connected" : "silent";
      const time = ms < 10 ? ms.toFixed(1) : Math.round(ms).toString();
      const words = known ? [`${time} ms`, `${Math.round(rate)}/s`] : ["no answer", "–"];
      link.pill.replaceChildren(...words.map(part));
      link.cells.slice(2).forEach((cell, i) => (cell.textContent = words[i]));
      emphasize();
    },

    /** How many links have answered so far. */
    answering: () => [...links.values()].filter(({ ms }) => ms !== Infinity).length,

    countBetweenFrames: () => direct,

    /** Let a spark run along the line: a person's message went that way. */
    spark(number, from) {
      const link = links.get(number);
      if (!link || STEADY.matches) return;
      const ends = from === link.ends[0] ? link.ends : [...link.ends].reverse();
      const dot = put(document.createElement("span"), "spark");
      dot.dataset.name = from;
      const path = ends.map((name) => {
        const [x, y] = nodes.get(name).place;
        return { left: `${x}%`, top: `${y}%` };
      });
      dot.animate(path, { duration: 650, easing: "ease-in-out" }).onfinish = () => dot.remove();
    },
  };
}

function move(element, /** @type {any} */ [x, y]) {
  Object.assign(element.style, { left: `${x}%`, top: `${y}%` });
}

function part(words) {
  return Object.assign(document.createElement("span"), { textContent: words });
}

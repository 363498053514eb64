// Draws who is connected to whom. Lines are one stretched SVG, words are HTML laid over it by
// percentages, so that the letters keep their size on a phone.
import { label } from "./names.mjs";

const SVG = "http://www.w3.org/2000/svg";
// In percent of the drawing: a pentagon with the host on top.
const PLACES = [
  [50, 10],
  [15, 42],
  [85, 42],
  [24, 90],
  [76, 90],
];
// How far along each line its number stands, so that none lies on another.
const LABEL_AT = [0.5, 0.5, 0.3, 0.3, 0.5, 0.5, 0.33, 0.33, 0.5, 0.5];
const STEADY = matchMedia("(prefers-reduced-motion: reduce)");

/** Draw the participants into `root`, and the same as rows into a table's `body`. */
export function createGraph(root, body, names) {
  const places = new Map(names.map((name, i) => [name, PLACES[i]]));
  const lines = document.createElementNS(SVG, "svg");
  lines.setAttribute("viewBox", "0 0 100 100");
  lines.setAttribute("preserveAspectRatio", "none");
  root.replaceChildren(lines);

  const edges = new Map();
  names.forEach((first, i) => {
    for (const second of names.slice(i + 1)) {
      edges.set(`${first} ${second}`, drawEdge(first, second, LABEL_AT[edges.size]));
    }
  });
  const nodes = new Map(names.map((name) => [name, drawNode(name)]));
  function lose(edge, words) {
    edge.known = false;
    delete edge.line.dataset.state;
    edge.pill.hidden = true;
    edge.cell.textContent = words;
  }
  const edgeOf = (a, b) => edges.get(`${a} ${b}`) ?? edges.get(`${b} ${a}`);

  function drawEdge(first, second, at) {
    const [[x1, y1], [x2, y2]] = [places.get(first), places.get(second)];
    const line = document.createElementNS(SVG, "line");
    Object.entries({ x1, y1, x2, y2 }).forEach(([key, value]) => line.setAttribute(key, value));
    lines.append(line);
    const pill = put("span", "edge", x1 + at * (x2 - x1), y1 + at * (y2 - y1));
    pill.hidden = true;
    const row = body.insertRow();
    row.insertCell().textContent = label(first);
    row.insertCell().textContent = label(second);
    const cell = row.insertCell();
    cell.className = "number";
    cell.textContent = "–";
    return { line, pill, cell, known: false };
  }

  function drawNode(name) {
    const node = put("span", "node", ...places.get(name));
    node.dataset.name = name;
    node.dataset.state = "loading";
    node.textContent = label(name);
    return node;
  }

  function put(kind, className, x, y) {
    const made = document.createElement(kind);
    made.className = className;
    Object.assign(made.style, { left: `${x}%`, top: `${y}%` });
    root.append(made);
    return made;
  }

  return {
    state(name, state) {
      nodes.get(name).dataset.state = state;
    },

    /** Note how long a message and its answer took (Infinity: none came); says whether every channel has answered. */
    roundTrip(a, b, ms) {
      const edge = edgeOf(a, b);
      if (!edge) return false;
      if (ms === Infinity) {
        lose(edge, "no answer");
        return false;
      }
      edge.known = true;
      edge.line.dataset.state = "connected";
      edge.pill.hidden = false;
      const digits = ms < 10 ? ms.toFixed(2) : Math.round(ms).toString();
      edge.pill.replaceChildren(
        digits,
        Object.assign(document.createElement("i"), { textContent: " ms" }),
      );
      edge.cell.textContent = `${digits} ms`;
      return [...edges.values()].every((each) => each.known);
    },

    /** The channels of a participant are gone, perhaps to be made anew. */
    forget(name) {
      for (const [pair, edge] of edges) {
        if (!pair.split(" ").includes(name)) continue;
        lose(edge, "–");
      }
    },

    /** Let a spark run along the line: a person's message went that way. */
    spark(from, to) {
      const ends = [places.get(from), places.get(to)];
      if (!ends.every(Boolean) || STEADY.matches) return;
      const dot = put("span", "spark", ...ends[0]);
      dot.dataset.name = from;
      const path = ends.map(([x, y]) => ({ left: `${x}%`, top: `${y}%` }));
      dot.animate(path, { duration: 650, easing: "ease-in-out" }).onfinish = () => dot.remove();
    },
  };
}

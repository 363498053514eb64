// The picture that the frames compute: shows tiles as they come and who computed them, and takes
// clicks and keys. It knows nothing of ports; py/painter.py has the tiles computed.
import { label } from "../shared/names.mjs";

const [WIDTH, HEIGHT, TILE] = [720, 480, 48];
const WHOLE = { x: -0.7, y: 0, width: 3.6 }; // centre and width of the view that shows everything
const NARROWEST = 1e-11; // then the pixels are hardly further apart than numbers are
const ZOOM = 3;
const STEP = 0.25; // of the picture, by an arrow key
const KEYS = {
  ArrowLeft: (board) => board.move(-STEP, 0),
  ArrowRight: (board) => board.move(STEP, 0),
  ArrowUp: (board) => board.move(0, -STEP),
  ArrowDown: (board) => board.move(0, STEP),
  "+": (board) => board.zoom(ZOOM),
  "=": (board) => board.zoom(ZOOM),
  "-": (board) => board.zoom(1 / ZOOM),
  0: (board) => board.show(WHOLE),
  Home: (board) => board.show(WHOLE),
};

/**
 * Fill the part of the page that shows the picture; its elements are in index.html.
 *
 * The owner reads `view` and `places`, sets `onview`, which is called for every new view, and then
 * reports how it fares. What is reported after `onview` was called is of the new view.
 */
export function createBoard(root) {
  const find = (selector) => root.querySelector(selector);
  const [canvas, stage, lens] = [find("canvas"), find(".view"), find(".lens")];
  const [progress, status] = [find("progress"), find(".status")];
  const context = canvas.getContext("2d");
  const tiles = cover(find(".tiles"));
  const shares = new Map(); // by name, of all who have computed tiles of this view, or may
  let centre = WHOLE;
  let since = 0; // when the first tile was begun
  let done = 0;
  Object.assign(canvas, { width: WIDTH, height: HEIGHT });
  progress.max = tiles.length;

  const board = {
    view: null,
    places: tiles.map(({ x, y }) => [x, y]),
    onview: null,

    /** A frame can compute from now on. */
    joined(name) {
      const share = shares.get(name) ?? add(name);
      share.here = true;
      tell();
    },

    left(name) {
      shares.get(name).here = false;
      tell();
    },

    claimed(name, numbers) {
      since ||= performance.now();
      for (const number of numbers) mark(tiles[number], "claimed", name);
      tell();
    },

    /** Nobody has these in hand any more. */
    returned(numbers) {
      for (const number of numbers) mark(tiles[number], "open", "");
      tell();
    },

    draw(name, number, pixels) {
      const { x, y } = tiles[number];
      const bytes = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length);
      context.putImageData(new ImageData(bytes, TILE, TILE), x, y);
      mark(tiles[number], "done", name);
      shares.get(name).count++;
      done++;
      tell();
    },

    show({ x, y, width }) {
      const before = board.view;
      centre = { x, y, width: Math.min(Math.max(width, NARROWEST), WHOLE.width) };
      const step = centre.width / WIDTH;
      board.view = {
        left: x - (WIDTH / 2) * step,
        top: y + (HEIGHT / 2) * step,
        step,
        depth: Math.round(200 + 40 * Math.log2(WHOLE.width / centre.width)),
        size: TILE,
      };
      if (before) keep(before, board.view);
      for (const tile of tiles) mark(tile, "open", "");
      for (const [name, share] of shares) {
        share.count = 0;
        if (!share.here) drop(name);
      }
      [since, done] = [0, 0];
      describe();
      tell();
      board.onview?.();
    },

    /** Go nearer to a point of the picture, or further away; it becomes the middle. */
    zoom(factor, right = 0, down = 0) {
      const { x, y, width } = centre;
      const height = (width * HEIGHT) / WIDTH;
      board.show({ x: x + right * width, y: y - down * height, width: width / factor });
    },

    move: (right, down) => board.zoom(1, right, down),
  };

  /** Move what is there to where it belongs in the new view, until the tiles come. */
  function keep(before, after) {
    const scale = before.step / after.step;
    const [x, y] = [(before.left - after.left) / after.step, (after.top - before.top) / after.step];
    context.globalCompositeOperation = "copy";
    context.drawImage(canvas, x, y, WIDTH * scale, HEIGHT * scale);
    context.globalCompositeOperation = "source-over";
  }

  function describe() {
    const { x, y, width } = centre;
    const digits = Math.max(2, Math.ceil(2 - Math.log10(width)));
    const times = Math.round(WHOLE.width / width).toLocaleString("en");
    const words = `${x.toFixed(digits)} ${y < 0 ? "−" : "+"} ${Math.abs(y).toFixed(digits)} i`;
    find(".place").textContent = `${times} × around ${words.replace(/^-/, "−")}`;
    canvas.setAttribute("aria-label", `The Mandelbrot set, ${find(".place").textContent}`);
    find("[name=out]").disabled = width >= WHOLE.width;
    find("[name=in]").disabled = width <= NARROWEST;
  }

  function add(name) {
    const row = document.createElement("li");
    row.dataset.name = name;
    const [words, bar, number] = ["span", "i", "b"].map((kind) => document.createElement(kind));
    row.append(words, bar, number);
    find(".shares").append(row);
    const share = { row, words, bar, number, count: 0, here: true };
    shares.set(name, share);
    return share;
  }

  function drop(name) {
    shares.get(name).row.remove();
    shares.delete(name);
  }

  function tell() {
    const atWork = new Set(tiles.filter(({ state }) => state === "claimed").map(({ by }) => by));
    const most = Math.max(1, ...[...shares.values()].map(({ count }) => count));
    for (const [name, { row, words, bar, number, count, here }] of shares) {
      row.dataset.state = atWork.has(name) ? "computing" : here ? "idle" : "gone";
      words.textContent = label(name) + (here ? "" : ", gone");
      bar.style.inlineSize = `${(100 * count) / most}%`;
      number.textContent = count;
    }
    progress.value = done;
    find(".count").textContent = `${done} of ${tiles.length} tiles`;
    const here = [...shares.values()].filter((share) => share.here).length;
    const frames = (count) => `${count} ${count === 1 ? "frame" : "frames"}`;
    if (done === tiles.length) {
      if (root.dataset.state === "done") return;
      const seconds = ((performance.now() - since) / 1000).toFixed(1);
      const hands = [...shares.values()].filter(({ count }) => count > 0).length;
      say("done", `Computed by ${frames(hands)} in ${seconds} s`);
    } else if (here) say("computing", `${frames(here)} computing`);
    else if (shares.size) say("waiting", "No Python frame is left: the picture waits for one");
    else say("waiting", "The picture begins with the first Python frame");
  }

  function say(state, words) {
    root.dataset.state = status.dataset.state = state;
    if (status.textContent !== words) status.textContent = words; // or it would be read out again
  }

  /** Give where the pointer is, as shares of the picture's size from its middle. */
  function pointed(event) {
    const { left, top, width, height } = canvas.getBoundingClientRect();
    return [(event.clientX - left) / width - 0.5, (event.clientY - top) / height - 0.5];
  }

  stage.addEventListener("click", (event) => board.zoom(ZOOM, ...pointed(event)));
  stage.addEventListener("pointermove", (event) => {
    const [right, down] = pointed(event);
    lens.hidden = event.pointerType !== "mouse";
    Object.assign(lens.style, { left: `${100 * (right + 0.5)}%`, top: `${100 * (down + 0.5)}%` });
  });
  stage.addEventListener("pointerleave", () => (lens.hidden = true));
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault(); // the page would scroll
    KEYS[event.key](board);
  });
  lens.style.inlineSize = lens.style.blockSize = `${100 / ZOOM}%`;
  find("[name=in]").addEventListener("click", () => board.zoom(ZOOM));
  find("[name=out]").addEventListener("click", () => board.zoom(1 / ZOOM));
  find("[name=whole]").addEventListener("click", () => board.show(WHOLE));
  const marks = find("[name=marks]");
  const showMarks = () => (root.dataset.marks = marks.checked);
  marks.addEventListener("change", showMarks);
  showMarks();
  board.show(WHOLE);
  return board;
}

/** Lay a grid of tiles over the picture; gives them from the middle to the rim. */
function cover(grid) {
  const tiles = [];
  for (let y = 0; y < HEIGHT; y += TILE) {
    for (let x = 0; x < WIDTH; x += TILE) {
      const element = document.createElement("span");
      grid.append(element);
      tiles.push({ x, y, element, state: "", by: "" });
    }
  }
  grid.style.gridTemplate = `repeat(${HEIGHT / TILE}, 1fr) / repeat(${WIDTH / TILE}, 1fr)`;
  const distance = ({ x, y }) => Math.hypot(x + (TILE - WIDTH) / 2, y + (TILE - HEIGHT) / 2);
  return tiles.sort((a, b) => distance(a) - distance(b));
}

function mark(tile, state, name) {
  Object.assign(tile, { state, by: name });
  Object.assign(tile.element.dataset, { state, name });
}

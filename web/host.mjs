// The page that holds the frames: puts them up, shows how they fare, and starts py/host.py.
import { boot } from "./boot.mjs";
import { createGraph } from "./graph.mjs";
import { label } from "./names.mjs";
import { createPanel } from "./panel.mjs";

const PATIENCE = 90_000; // ms after which a frame that said nothing is reported

const other = otherBase();
const plan = [
  { name: "same", how: "another page of this origin" },
  other
    ? { name: "cross", how: "a page of another site", base: other }
    : { name: "second", how: 'sandbox="allow-scripts"', sandbox: "allow-scripts" },
  { name: "sandbox", how: 'sandbox="allow-scripts"', sandbox: "allow-scripts" },
  { name: "script", how: "no Python, plain JavaScript", file: "frame-javascript.html" },
];
const status = document.getElementById("status");
const notice = document.getElementById("notice");
if (!other) {
  notice.hidden = false;
  notice.textContent =
    "This site is served on one origin only, so a second sandboxed frame stands in for the " +
    "cross-site one. ./build.sh serve gives it two, or add ?other= and the second origin.";
}

const panel = createPanel(document.getElementById("panel"), "host");
const graph = createGraph(
  document.getElementById("graph"),
  document.getElementById("round-trips"),
  ["host", ...plan.map(({ name }) => name)],
);
const frames = plan.map(putUp);
const states = new Map(plan.map(({ name }) => [name, "loading"]));
let whole = false; // whether every channel has answered

const page = {
  panel,
  frames,
  connected(name) {
    graph.forget(name);
    whole = false;
    note(name, "connected");
  },
  lost(name) {
    graph.forget(name);
    whole = false;
    note(name, "loading");
  },
  failed(name, words) {
    note(name, "failed");
    console.warn(`${name}: ${words}`);
  },
  round_trip(a, b, ms) {
    whole = graph.roundTrip(a, b, ms);
    show();
  },
  sent: (from, to) => graph.spark(from, to),
};

void boot({
  panel,
  modules: ["host", "mesh", "pictures"],
  page,
  onfail(words) {
    graph.state("host", "failed");
    finish("failed", `Host: ${words}`);
  },
});
setTimeout(() => {
  for (const [name, state] of states) if (state === "loading") page.failed(name, "said nothing");
}, PATIENCE);
for (const source of document.querySelectorAll("details[data-source]")) {
  source.addEventListener("toggle", () => showSource(source), { once: true });
}

/** The folder of this page on the other origin, if the address names one that differs. */
function otherBase() {
  const given = new URLSearchParams(location.search).get("other");
  if (!given || !/^https?:/.test(given) || !URL.canParse(given)) return null;
  const { origin, pathname } = new URL(given);
  if (origin === location.origin) return null;
  return new URL(pathname === "/" ? new URL(".", location.href).pathname : pathname, origin);
}

function putUp({ name, how, base = location.href, sandbox, file = "frame-python.html" }) {
  const address = new URL(file, base);
  address.search = new URLSearchParams({ name, host: location.origin });
  const element = document.createElement("iframe");
  element.title = label(name);
  element.id = name;
  if (sandbox) element.setAttribute("sandbox", sandbox);
  element.src = address;
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.innerHTML = '<span></span><button type="button" class="quiet small">Reload</button>';
  caption.firstChild.textContent = how;
  caption.lastChild.setAttribute("aria-label", `Reload the frame ${label(name)}`);
  caption.lastChild.addEventListener("click", () => {
    page.lost(name);
    element.src = address;
  });
  figure.append(caption, element);
  document.getElementById("frames").append(figure);
  return { name, element, origin: sandbox ? null : address.origin };
}

function note(name, state) {
  states.set(name, state);
  graph.state(name, state);
  if (state === "connected") graph.state("host", "connected");
  show();
}

function show() {
  const named = (wanted) =>
    [...states].filter(([, state]) => state === wanted).map(([name]) => label(name));
  const [failed, connected] = [named("failed"), named("connected")];
  if (failed.length) return finish("failed", `Not connected: ${failed.join(", ")}`);
  if (whole) return finish("ready", "Four frames connected, ten channels open");
  finish("loading", `${connected.length} of ${states.size} frames connected`);
}

function finish(state, words) {
  document.body.dataset.state = state;
  status.dataset.state = state;
  if (status.textContent !== words) status.textContent = words; // or it would be read out again
}

async function showSource(details) {
  const code = document.createElement("code");
  const block = document.createElement("pre");
  block.tabIndex = 0;
  block.append(code);
  details.append(block);
  try {
    const response = await fetch(new URL(details.dataset.source, import.meta.url));
    if (!response.ok) throw new Error(`${response.status}`);
    code.textContent = await response.text();
  } catch (error) {
    code.textContent = `It could not be fetched: ${error.message}`;
  }
}

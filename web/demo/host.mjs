// The page that holds the frames: shows how they fare, and starts py/host.py, which connects to them.
import { boot } from "../shared/boot.mjs";
import { createFrames } from "./frames.mjs";
import { createGraph } from "./graph.mjs";
import { createBoard } from "./mandelbrot.mjs";
import { label } from "../shared/names.mjs";
import { otherBase } from "../shared/other.mjs";
import { createPanel } from "./panel.mjs";
import { showSources } from "./sources.mjs";

/** @type {(id: string) => any} */
const byId = (id) => document.getElementById(id);
const other = otherBase();
if (!other) {
  say(
    "This site is served on one origin only, so a second sandboxed frame stands in for the " +
      "cross-site one. ./build.sh serve gives it two, or add ?other= and the second origin.",
  );
}

const states = new Map(); // of the frames and popups, by name
let hostFailure = "";
const panel = createPanel(byId("panel"), "host");
const graph = createGraph(byId("graph"), byId("links"));
graph.add("host");

// What Python imports as the module `page`.
const page = {
  panel,
  board: createBoard(byId("mandelbrot")),
  participants: [],
  onadded: null, // Python's: called with every participant that is put up later

  connected(name, words) {
    panel.note(name, `connected: ${words}`);
    note(name, "connected");
  },
  /** The connection has ended: the participant is loaded anew, or gone. */
  lost: (name) => note(name, "loading"),
  gone: remove,
  failed(name, words) {
    console.warn(`${name}: ${words}`);
    note(name, "failed");
    if (states.has(name)) panel.trouble(name, words);
  },
  linked(number, a, b) {
    graph.link(number, a, b);
    show();
  },
  reported(what, number, sender, count, ms) {
    graph.count(number, count);
    if (what === "sent") graph.spark(number, sender);
    if (what === "measured") graph.measured(number, ms);
    if (what === "ended") graph.unlink(number);
    byId("direct").textContent = graph.countBetweenFrames().toLocaleString("en");
    show();
  },
  /** A message came here that was meant for somebody else. */
  relayed() {
    byId("relayed").textContent = Number(byId("relayed").textContent) + 1;
  },
};

const frames = createFrames(byId("stand"), {
  other,
  onadded(participant) {
    states.set(participant.name, "loading");
    graph.add(participant.name);
    page.participants.push(participant);
    page.onadded?.(participant);
    show();
  },
  onremoved(participant) {
    // Where there was a connection its end shows that the participant is gone.
    if (states.get(participant.name) !== "connected") remove(participant.name);
  },
  onblocked: () => say("The browser has blocked the popup: allow it for this page, and try again."),
});

void boot({
  panel,
  code: new URL("py/", import.meta.url),
  modules: ["host", "mesh", "pictures", "painter", "mandelbrot"],
  page,
  onfail(words) {
    hostFailure = words;
    graph.state("host", "failed");
    show();
  },
}).then(() => {
  if (!hostFailure) graph.state("host", "connected");
});
for (const id of ["check", "bench"]) byId(id).href = `${id}.html${location.search}`; // with the second origin
showSources(document.querySelectorAll("details[data-source]"));

function note(name, state) {
  if (!states.has(name)) return; // it was removed meanwhile
  states.set(name, state);
  graph.state(name, state);
  show();
}

function remove(name) {
  if (!states.delete(name)) return;
  page.participants = page.participants.filter((one) => one.name !== name);
  frames.takeDown(name);
  graph.remove(name);
  show();
}

function show() {
  const named = (wanted) =>
    [...states].filter(([, state]) => state === wanted).map(([name]) => label(name));
  const [failed, connected] = [named("failed"), named("connected")];
  const channels = (states.size * (states.size + 1)) / 2;
  if (hostFailure) finish("failed", `Host: ${hostFailure}`);
  else if (failed.length) finish("failed", `Not connected: ${failed.join(", ")}`);
  else if (connected.length < states.size)
    finish("loading", `${connected.length} of ${states.size} connected`);
  else if (graph.answering() < channels)
    finish("loading", `${graph.answering()} of ${channels} channels have answered`);
  else if (states.size === 0) finish("ready", "Nobody is left: add a frame");
  else finish("ready", `${states.size} connected, ${channels} channels open`);
}

function finish(state, words) {
  const status = byId("status");
  document.body.dataset.state = state;
  status.dataset.state = state;
  if (status.textContent !== words) status.textContent = words; // or it would be read out again
}

function say(words) {
  byId("notice").hidden = false;
  byId("notice").textContent = words;
}

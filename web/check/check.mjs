// The check page: starts py/run.py, shows what its rows report, and puts up the other pages.
import { boot } from "../shared/boot.mjs";
import { setup } from "./modules.mjs";
import { createTables } from "./table.mjs";
import { browser } from "../shared/browser.mjs";
import { describe, values } from "./values.mjs";
import { label } from "../shared/names.mjs";
import { otherBase } from "../shared/other.mjs";

/** @type {(id: string) => any} */
const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const report = { ...browser(), pyodide: "", package: "", rows: [] };
const rows = new Map(); // of the report, by id
const tables = createTables(byId("tables"), byId("groups"));
const POPUP = "popup,width=420,height=320";
let spare = null; // a window that a click has opened, for the next row that needs one
const chosen = { group: query.getAll("group"), only: query.getAll("only") };

// What Python imports as the module `page`.
const page = {
  other: otherBase()?.href ?? null,
  host: location.origin,
  onblocked: null, // Python's: runs the rows again that found no popup

  wanted: (group, id) =>
    chosen.group.length + chosen.only.length === 0 ||
    chosen.group.includes(group) ||
    chosen.only.includes(id),

  begin(json) {
    const { pyodide, package: version, groups, rows: all } = JSON.parse(json);
    Object.assign(report, { pyodide, package: version });
    for (const { id, group, title, expected, source } of all) {
      rows.set(id, { id, group, title, expected, got: "", ok: null, ms: 0, source });
    }
    report.rows = [...rows.values()];
    tables.draw(groups, report.rows);
    facts();
    show();
  },
  started(id) {
    document.body.dataset.state = "running";
    rows.get(id).running = true;
    tables.started(id);
    byId("now").textContent = rows.get(id).title;
  },
  finished(id, ok, got, ms, note) {
    const row = rows.get(id);
    delete row.running;
    // Python's None comes as undefined.
    Object.assign(row, { ok: ok ?? null, got, ms: Math.round(10 * ms) / 10, ran: true });
    if (note) row.note = note;
    tables.finished(row);
    show();
  },
  done() {
    spare?.close(); // nobody needed it
    byId("now").textContent = "";
    finish();
  },
  blocked: (id) => rows.get(id).ok === null,

  /** The query of another page's address. */
  query(kind) {
    const its = new URLSearchParams({ kind });
    if (kind !== "worker") its.set("host", location.origin);
    if (query.has("pyodide")) its.set("pyodide", query.get("pyodide"));
    return its.toString();
  },
  makeFrame(address, kind, opaque, shared) {
    const element = document.createElement("iframe");
    element.title = label(kind);
    if (opaque) element.setAttribute("sandbox", "allow-scripts");
    element.src = address;
    element.dataset.name = kind;
    byId(shared ? "helpers" : "light").append(element);
    return element;
  },
  describe,
  value: (name) => values[name](),
  post: async (port, name) => port.postMessage(await values[name]()),
  /** What comes next on a native port, in words. */
  next: (port) => new Promise((said) => (port.onmessage = ({ data }) => said(describe(data)))),
  makeWorker: (address) => new Worker(address, { type: "module" }),
  openPopup(address) {
    if (spare && !spare.closed) {
      const opened = spare;
      spare = null;
      opened.location.replace(address);
      return Promise.resolve(opened);
    }
    // In a later turn: Firefox goes on with other tasks while it opens a window, and Python can't.
    return new Promise((opened) => setTimeout(() => opened(open(address, "", POPUP) ?? undefined)));
  },
  booting(kind, words) {
    byId("now").textContent = `Starting another Python: ${words}`;
    if (kind === "worker" || kind === "popup") helper(kind, words).textContent = "Starting Python";
  },
  booted(kind, { fine, words }) {
    if (kind === "worker" || kind === "popup") helper(kind).textContent = words;
    else if (!fine) say(`${label(kind)}: ${words}`);
  },
};

let failure = "";
const panel = {
  progress(share, words) {
    byId("progress").value = share;
    byId("status").textContent = words;
  },
  ready: () => (byId("status").textContent = "Running"),
  fail(words, detail) {
    failure = `${words} ${detail}`.trim();
    byId("status").textContent = words;
    if (detail) say(detail);
    finish();
  },
};
byId("failures").addEventListener("change", ({ target }) => {
  document.body.classList.toggle("failures-only", target.checked);
  nothing();
});
byId("again").addEventListener("click", () => {
  byId("again").hidden = true;
  document.body.dataset.state = "running";
  spare = open("about:blank", "", POPUP); // now, while it is in answer to a click
  page.onblocked();
});
byId("demo").href = `./${location.search}`;
byId("bench").href = `bench.html${location.search}`;
if (!page.other) {
  say(
    "This site is served on one origin only, so sandboxed frames stand in for those of another " +
      "site. ./build.sh serve gives it two, or add ?other= and the second origin.",
  );
}
facts();
void boot({ panel, ...setup("run", page) });

function counts() {
  const all = report.rows;
  const ran = all.filter(({ ran }) => ran);
  const blocked = ran.filter(({ ok }) => ok === null).length;
  const failed = ran.filter(({ ok }) => ok === false).length;
  return { all: all.length, ran: ran.length, failed, blocked };
}

function show() {
  const { all, ran, failed } = counts();
  byId("progress").max = all || 1;
  byId("progress").value = ran;
  const words = failed ? `${failed} failed` : "all hold so far";
  byId("status").textContent = `${ran} of ${all}, ${words}`;
  document.title = `${ran}/${all} ${failed ? "✗" : ""} Checks`;
}

function finish() {
  const { all, failed, blocked } = counts();
  const good = !failed && !failure;
  const state = good ? "done" : "failed";
  const held = all - failed - blocked;
  const words = [`${held} of ${all} hold`];
  if (failed) words.unshift(`${failed} failed`);
  if (blocked) words.push(`${blocked} not run`);
  if (!failure) byId("status").textContent = words.join(", ");
  document.title = `${good ? "✓" : "✗"} ${failure || words.join(", ")}: checks`;
  byId("progress").hidden = true;
  byId("again").hidden = !blocked || Boolean(failure);
  const text = JSON.stringify(
    { ...report, rows: report.rows.map((row) => ({ ...row, ran: undefined, running: undefined })) },
    null,
    1,
  );
  const download = byId("download");
  URL.revokeObjectURL(download.href);
  download.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  download.download = `check-${report.browser.toLowerCase().replaceAll(/\W+/g, "-")}.json`;
  download.hidden = false;
  nothing();
  document.body.dataset.state = state; // last: whoever waits for it reads the rest
}

function nothing() {
  const { failed } = counts();
  byId("nothing").hidden = !(byId("failures").checked && failed === 0);
}

function facts() {
  const all = {
    Browser: `${report.browser} ${report.version}`,
    Pyodide: report.pyodide || "…",
    Package: report.package || "…",
    Origins: page.other ? `${location.origin} and ${new URL(page.other).origin}` : location.origin,
  };
  byId("facts").replaceChildren(
    ...Object.entries(all).map(([name, value]) => {
      const pair = document.createElement("div");
      const [term, what] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, what.textContent] = [name, value];
      pair.append(term, what);
      return pair;
    }),
  );
}

/** The line about a worker or popup, which can't be seen in the page itself. */
function helper(kind, words = label(kind)) {
  let line = byId("helpers").querySelector(`[data-name=${kind}] .phase`);
  if (!line) {
    const card = document.createElement("div");
    card.className = "helper card";
    card.dataset.name = kind;
    const heading = document.createElement("h3");
    heading.textContent = words;
    line = document.createElement("p");
    line.className = "phase";
    card.append(heading, line);
    byId("helpers").append(card);
  }
  return line;
}

function say(words) {
  byId("notice").hidden = false;
  byId("notice").textContent = words;
}

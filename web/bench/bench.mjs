// The page of results: what the benchmarks last wrote, browser by browser.
import { createChart } from "./chart.mjs";
import { keysTable } from "./keys.mjs";
import { browser } from "../shared/browser.mjs";

/** @type {(id: string) => any} */
const byId = (id) => document.getElementById(id);
let charts = [];

/** What a command wrote, by browser; null if it did not run yet. */
async function results(name) {
  const response = await fetch(new URL(`../${name}`, import.meta.url), { cache: "no-cache" });
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`${name} could not be fetched (${response.status})`);
  try {
    return await response.json();
  } catch (error) {
    throw new Error(`${name} could not be read: ${error.message}`, { cause: error });
  }
}

function show(name, keys, curves) {
  for (const chart of charts) chart.end();
  charts = [];
  const entries = keys?.[name];
  byId("keys").replaceChildren(entries ? keysTable(entries) : missing("keys", name, keys));
  const all = Object.values(entries ?? {});
  const good = all.filter(({ ok }) => ok).length;
  byId("verdict").textContent = all.length ? `${good} of ${all.length} within budget` : "";
  byId("verdict").dataset.ok = good === all.length;

  byId("curves").replaceChildren();
  if (!curves?.[name]) return byId("curves").append(missing("curves", name, curves));
  for (const [of, curve] of Object.entries(curves[name])) {
    if (curve.error) {
      byId("curves").append(notice(`${curve.title} could not be measured: ${curve.error}`, "bad"));
      continue;
    }
    const chart = createChart(of, curve);
    byId("curves").append(chart.figure);
    chart.draw();
    charts.push(chart);
  }
}

function missing(id, name, results) {
  const { command } = byId(id).dataset;
  const made = notice(`Not measured ${results ? `in ${title(name)}` : "here"} yet. `);
  const code = document.createElement("code");
  code.textContent = command;
  const serve = document.createElement("code");
  serve.textContent = "./build.sh serve";
  made.append(code, " does that, and ", serve, " shows it here.");
  return made;
}

function notice(text, ...classes) {
  const made = document.createElement("p");
  made.className = ["notice", ...classes].join(" ");
  made.textContent = text;
  return made;
}

const title = (name) => ({ chrome: "Chrome", firefox: "Firefox", webkit: "WebKit" })[name] ?? name;

function offer(names, chosen, change) {
  for (const name of names) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "browser", value: name, checked: name === chosen });
    input.addEventListener("change", () => change(name));
    label.append(input, title(name));
    byId("browsers").append(label);
  }
  byId("browsers").hidden = names.length === 0;
}

byId("demo").href = `./${location.search}`; // with the second origin
byId("check").href = `check.html${location.search}`;
try {
  const [keys, curves] = await Promise.all(["bench.json", "curves.json"].map(results));
  const names = [...new Set([keys, curves].flatMap((all) => Object.keys(all ?? {})))];
  const own = browser().browser.toLowerCase();
  const chosen = names.includes(own) ? own : names[0];
  offer(names, chosen, (name) => show(name, keys, curves));
  show(chosen, keys, curves);
  document.body.dataset.state = names.length ? "done" : "empty";
} catch (error) {
  byId("keys").replaceChildren(notice(error.message, "bad"));
  document.body.dataset.state = "failed";
}

// Draws what one browser did against others: a table with a row for each key.
import { amount } from "./words.mjs";

/** The table for the entries, by key, of bench.json. */
export function keysTable(entries) {
  const table = document.createElement("table");
  table.className = "keys";
  table.innerHTML = `
    <caption class="hidden">Each piece of work, ours and others, and its budget</caption>
    <thead>
      <tr>
        <th scope="col">Work</th>
        <th scope="col">Ours, and others</th>
        <th scope="col">Ratio</th>
        <th scope="col">Budget</th>
        <th scope="col"><span class="hidden">Within budget</span></th>
      </tr>
    </thead>
    <tbody></tbody>`;
  const rows = Object.entries(entries).map(([key, entry]) => row(key, entry));
  table.tBodies[0].append(...rows);
  return table;
}

function row(key, entry) {
  const made = document.createElement("tr");
  made.dataset.key = key;
  made.dataset.ok = entry.ok;
  const work = element("th", "work", entry.title ?? key);
  work.scope = "row";
  work.append(element("code", "", key));
  const mark = element("span", "mark", entry.ok ? "✓" : "✗");
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", entry.ok ? "within budget" : "over budget");
  made.append(
    work,
    cell("Ours, and others", entry.error ? [element("p", "bad", entry.error)] : bars(entry)),
    cell("Ratio", ratios(entry)),
    cell("Budget", lines(entry.budget.split("; "))),
    cell("", [mark]),
  );
  return made;
}

function bars({ ours, rivals, unit, spread = {} }) {
  const all = Object.entries({ ours, ...rivals });
  const most = Math.max(...all.map(([, number]) => number));
  const list = element("ul", "bars");
  for (const [name, number] of all) {
    const line = element("li", name === "ours" ? "ours" : "");
    const bar = element("span", "bar");
    bar.style.setProperty("--share", all.length > 1 && most > 0 ? number / most : 0);
    const value = element("span", "value", `${amount(number)} ${unit}`);
    if (spread[name]) value.title = `${spread[name].map(amount).join(" to ")} ${unit}`;
    line.append(element("span", "name", name), value, bar);
    list.append(line);
  }
  if (/\/s$/.test(unit)) list.append(element("li", "note", "more is better"));
  return [list];
}

function ratios({ ratio, ratios: all = {} }) {
  if (ratio === null) return [];
  const several = Object.entries(all).map(([name, number]) => `${number.toFixed(2)} × ${name}`);
  return lines(several.length ? several : [`${ratio.toFixed(2)} of the budget`]);
}

const lines = (texts) => texts.map((text) => element("p", "", text));

function cell(label, content) {
  const made = element("td");
  made.dataset.label = label;
  made.append(...content);
  return made;
}

function element(kind, className = "", text = "") {
  const made = document.createElement(kind);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

// Draws one curve of curves.json with uPlot, and beside it what can be read without seeing it.
import uPlot from "../vendor/uplot.mjs";
import { amount, duration, short } from "./words.mjs";

// Lines differ in colour and in how they are dashed; those of others are dotted.
const OURS = [
  ["--host", []],
  ["--cross", [9, 4]],
  ["--sandbox", [14, 4, 5, 4]],
];
const RIVALS = [
  ["--same", [2, 4]],
  ["--script", [2, 4, 2, 8]],
];
const NUMBER = 52; // pixels that a number at the horizontal axis needs
const FONT = "12px system-ui, sans-serif";
const WIDE = 3; // decades, from which on an axis has no numbers between powers of ten

/** The looks of each line, by name. */
function looks({ lines, rivals }) {
  const own = [...OURS];
  const others = [...RIVALS];
  const next = (line) => (rivals.includes(line) ? others : own).shift() ?? ["--soft", [1, 3]];
  return Object.fromEntries(Object.keys(lines).map((line) => [line, next(line)]));
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

/**
 * A figure with the chart and its numbers. `draw` puts the chart in, once the figure has its width;
 * `end` takes it down.
 */
export function createChart(name, curve) {
  const figure = document.createElement("figure");
  figure.className = "card curve";
  figure.dataset.curve = name;
  figure.innerHTML = `
    <h3></h3>
    <p class="about"></p>
    <div class="chart" tabindex="0" role="group"></div>
    <table class="legend">
      <caption class="hidden">Lines of the chart</caption>
      <thead>
        <tr>
          <th scope="col">Line</th>
          <th scope="col" class="number"></th>
          <th scope="col" class="number">Growth</th>
        </tr>
      </thead>
      <tbody></tbody>
    </table>
    <p class="hidden" aria-live="polite"></p>
    <details>
      <summary>All of it as a table</summary>
      <div class="scroll" tabindex="0" role="group"></div>
    </details>`;
  const find = (selector) => figure.querySelector(selector);
  find("h3").textContent = curve.title;
  find(".about").textContent = curve.about;
  const place = find(".chart");
  place.setAttribute(
    "aria-label",
    `Chart: ${curve.title}, time by ${curve.x}. The arrow keys go from point to point.`,
  );
  find(".scroll").setAttribute("aria-label", `Table: ${curve.title}`);
  find(".scroll").append(numbers(curve));
  const names = Object.keys(curve.lines);
  const drawn = looks(curve);
  find(".legend tbody").append(...names.map((line) => legendRow(line, drawn[line], curve)));

  let chosen = -1;
  const choose = (i) => {
    if (i === null || i === undefined) return;
    chosen = i;
    find(".legend th.number").textContent = `at ${short(curve.points[i])}`;
    for (const [k, line] of names.entries()) {
      find(`.legend tbody tr:nth-child(${k + 1}) td`).textContent = duration(curve.lines[line][i]);
    }
  };
  choose(curve.points.length - 1);

  let chart, watch;
  place.addEventListener("keydown", ({ key }) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (!(key in steps)) return;
    const i = Math.min(Math.max(chosen + steps[key], 0), curve.points.length - 1);
    chart.setCursor({ left: chart.valToPos(curve.points[i], "x"), top: 0 });
    choose(i);
    const told = names.map((line) => `${line} ${duration(curve.lines[line][i])}`);
    find("[aria-live]").textContent = `${amount(curve.points[i])} ${curve.x}: ${told.join(", ")}`;
  });

  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => chart.redraw();
  return {
    figure,
    draw() {
      const size = () => ({
        width: place.clientWidth,
        height: Math.round(Math.min(300, Math.max(210, place.clientWidth * 0.55))),
      });
      chart = new uPlot(
        { ...options(curve, drawn, choose), ...size() },
        [curve.points, ...names.map((line) => curve.lines[line])],
        place,
      );
      watch = new ResizeObserver(() => chart.setSize(size()));
      watch.observe(place);
      scheme.addEventListener("change", repaint);
    },
    end() {
      watch.disconnect();
      scheme.removeEventListener("change", repaint);
      chart.destroy();
      figure.remove();
    },
  };
}

function options(curve, drawn, choose) {
  const axis = (words) => ({
    stroke: () => colour("--soft"),
    font: FONT,
    labelFont: FONT,
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { stroke: () => colour("--line"), width: 1 },
    splits: (chart, i, least, most) =>
      splits(least, most, i === 0 ? chart.width / NUMBER : Infinity),
    filter: (_chart, values) => values,
    values: (_chart, values) => values.map(words),
  });
  const line = ([label, [name, dash]]) => ({
    label,
    stroke: () => colour(name),
    dash,
    width: 2,
    points: { show: true, size: 7, fill: () => colour(name) },
  });
  const around = (_chart, least, most) => [least / 1.4, most * 1.4];
  return {
    scales: {
      x: { time: false, distr: 3, range: around },
      y: { distr: 3, range: around },
    },
    axes: [
      { ...axis(short), label: curve.x, labelSize: 20 },
      { ...axis(duration), size: 64 },
    ],
    series: [{}, ...Object.entries(drawn).map(line)],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    hooks: { setCursor: [(chart) => choose(chart.cursor.idx)] },
  };
}

/**
 * Where a logarithmic axis has numbers, of which it has room for so many: at powers of ten, or every
 * second one; on a short axis at 2 and 5 of them too.
 */
function splits(least, most, room) {
  const decades = Math.log10(most / least);
  const steps = decades > WIDE ? [1] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++) {
    if (decades > room && power % 2) continue;
    found.push(...steps.map((step) => step * 10 ** power));
  }
  return found.filter((value) => value >= least && value <= most);
}

function legendRow(line, /** @type {any} */ [name, dash], { growth }) {
  const row = document.createElement("tr");
  row.innerHTML = `
    <th scope="row">
      <svg viewBox="0 0 34 10" width="34" height="10" aria-hidden="true">
        <line x1="1" x2="33" y1="5" y2="5" /><circle cx="17" cy="5" r="3.5" />
      </svg>
    </th>
    <td class="number"></td>
    <td class="number"></td>`;
  row.querySelector("svg").style.color = `var(${name})`;
  row.querySelector("line").setAttribute("stroke-dasharray", dash.join(" "));
  row.cells[0].append(line);
  row.cells[2].textContent = growth[line].toFixed(2);
  return row;
}

function numbers({ points, lines, spread, x }) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const text of [x, ...Object.keys(lines)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const [i, point] of points.entries()) {
    const row = body.insertRow();
    const own = document.createElement("th");
    own.scope = "row";
    own.textContent = amount(point);
    row.append(own);
    for (const [line, medians] of Object.entries(lines)) {
      const cell = row.insertCell();
      cell.textContent = duration(medians[i]);
      const between = document.createElement("small");
      between.textContent = spread[line][i].map(duration).join(" to ");
      cell.append(between);
    }
  }
  return table;
}

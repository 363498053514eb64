// Draws the rows: a table for each group, and the groups' counts above them.

/**
 * tables: the element for the tables.
 * nav: the element for a link to each group.
 */
export function createTables(tables, nav) {
  const drawn = new Map(); // table rows by id
  const groups = new Map(); // sections and their links, by the group's name

  const element = (kind, className, text = "") => {
    const made = document.createElement(kind);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  };

  function draw(titles, rows) {
    for (const [name, title] of Object.entries(titles)) {
      const own = rows.filter(({ group }) => group === name);
      if (!own.length) continue;
      const section = element("section", "group");
      section.id = name;
      section.innerHTML = `
        <h2><span></span> <small></small></h2>
        <table>
          <thead>
            <tr>
              <th scope="col">Behaviour</th>
              <th scope="col">Expected</th>
              <th scope="col">Got</th>
              <th scope="col" class="number">ms</th>
            </tr>
          </thead>
          <tbody></tbody>
        </table>`;
      section.querySelector("h2 span").textContent = title;
      section.querySelector("tbody").append(...own.map(line));
      tables.append(section);
      const link = element("a", "", title);
      link.href = `#${name}`;
      link.append(element("small"));
      nav.append(link);
      groups.set(name, { section, link, rows: own });
      count(name);
    }
  }

  function line({ id, title, expected, source }) {
    const row = element("tr");
    row.dataset.id = id;
    row.dataset.state = "waiting";
    const words = element("th", "words");
    words.scope = "row";
    words.append(
      element("span", "mark"),
      element("span", "title", title),
      element("span", "about", `${id} · ${source}`),
    );
    const cell = (label, text, className) => {
      const made = element("td", className);
      made.dataset.label = label;
      made.append(element("code", "", text));
      return made;
    };
    row.append(
      words,
      cell("Expected", expected, "expected"),
      cell("Got", "", "got"),
      element("td", "ms number"),
    );
    drawn.set(id, row);
    mark(row, "waiting");
    return row;
  }

  function mark(row, state) {
    const MARKS = {
      waiting: ["·", "waiting"],
      running: ["▸", "running"],
      passed: ["✓", "holds"],
      failed: ["✗", "failed"],
      blocked: ["–", "not run"],
    };
    row.dataset.state = state;
    const [sign, words] = MARKS[state];
    const shown = row.querySelector(".mark");
    shown.textContent = sign;
    shown.setAttribute("role", "img");
    shown.setAttribute("aria-label", words);
  }

  function started(id) {
    mark(drawn.get(id), "running");
  }

  function finished({ id, group, ok, got, ms, note }) {
    const row = drawn.get(id);
    mark(row, ok === null ? "blocked" : ok ? "passed" : "failed");
    row.querySelector(".got code").textContent = got;
    row.querySelector(".ms").textContent =
      ok === null ? "" : ms < 10 ? ms.toFixed(1) : Math.round(ms);
    row.querySelector(".note")?.remove();
    if (note) row.querySelector(".words").append(element("span", "about note", note));
    count(group);
  }

  function count(name) {
    const { section, link, rows } = groups.get(name);
    const ran = rows.filter((row) => row.ran);
    const good = ran.filter(({ ok }) => ok).length;
    const failed = ran.filter(({ ok }) => ok === false).length;
    const state = failed ? "failed" : good === rows.length ? "passed" : "running";
    for (const place of [section, link]) {
      place.dataset.state = state;
      place.querySelector("small").textContent = `${good} of ${rows.length}`;
    }
  }

  return { draw, started, finished };
}

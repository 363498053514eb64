// Which files of py/ make the check page, and what its address says; for the page and its peers.

/** Modules with rows, in the order of the page. */
const GROUPS = [
  "creation",
  "starting",
  "order",
  "closing",
  "transfer",
  "events",
  "errors",
  "values",
  "values_received",
  "values_back",
  "values_refused",
  "windows",
  "connections",
  "connection_uses",
  "lanes",
  "calls",
  "comlink",
  "lifecycle",
  "leaks",
];

/**
 * What `boot` needs to run Python here.
 *
 * main: the module whose `main` runs.
 * page: what Python imports as the module `page`, to which the names of the groups are added.
 */
export function setup(main, page) {
  const version = new URLSearchParams(location.search).get("pyodide");
  const others = ["__init__", "compare", "rows", "scene", "there"].filter((name) => name !== main);
  return {
    code: new URL("py/", import.meta.url),
    folder: "check",
    modules: [main, ...others, ...GROUPS],
    page: Object.assign(page, { groups: GROUPS }),
    // Only a version, so that no address can make this page load something else.
    distribution: /^(\d+\.\d+|next)$/.test(version ?? "") ? `pyodide-${version}` : "pyodide",
  };
}

// Starts Python for a page: loads Pyodide with a progress bar, gives Python the page, runs its code.
const PACKAGE = "pyodide-msgchan";
const BYTES = 12.1e6; // what Pyodide fetches, about: only the bar's pace hangs on it
const LOADED = 0.85; // share of the bar for what is fetched, the rest is for Python's start

/**
 * Start Python and run the `main` of its first module.
 *
 * panel: shows progress and failure.
 * code: address of the folder with the Python files.
 * modules: names of these files, the one with `main` first.
 * folder: the package that they make; none if it is empty.
 * page: what Python imports as the module `page`.
 * distribution: the folder from which Pyodide comes.
 * onfail: called with the words that the panel shows, after it shows them.
 */
export async function boot({
  panel,
  code,
  modules,
  folder = "",
  page,
  onfail = undefined,
  distribution = "pyodide",
}) {
  let step = "";
  const begin = (share, words) => panel.progress(share, (step = words));
  try {
    if (typeof WebAssembly !== "object") {
      throw new Failure("This browser has no WebAssembly, or it is switched off. Python needs it.");
    }
    begin(0, "Fetching Python");
    const sources = Promise.all(modules.map((name) => fetchSource(name, code)));
    sources.catch(() => {}); // it is awaited below, perhaps after something else has failed
    const { loadPyodide } = await import(
      new URL(`../${distribution}/pyodide.mjs`, import.meta.url).href
    );
    const pyodide = await counting(
      (bytes) => {
        const share = Math.min(bytes / BYTES, 1);
        if (share < 1)
          panel.progress(share * LOADED, `Fetching Python, ${Math.round(100 * share)} %`);
        else begin(LOADED, "Starting Python");
      },
      () => loadPyodide({ packages: [PACKAGE] }),
    );
    // Pyodide only logs a package that it could not load.
    if (!(PACKAGE in pyodide.loadedPackages))
      throw new Failure(`The package ${PACKAGE} did not load.`);

    begin(0.95, "Importing the code");
    const place = folder && `${folder}/`;
    if (folder) pyodide.FS.mkdirTree(folder);
    (await sources).forEach((text, i) => {
      pyodide.FS.writeFile(`${place}${modules[i]}.py`, text);
    });
    pyodide.registerJsModule("page", page);
    pyodide.pyimport("importlib").invalidate_caches();
    const { main } = pyodide.pyimport(`${place}${modules[0]}`.replaceAll("/", "."));
    panel.progress(1, "Ready");
    panel.ready(`Python ${pyodide.runPython("import platform; platform.python_version()")}`);
    await main();
  } catch (error) {
    console.error(error);
    const words = error instanceof Failure ? error.message : explain(step);
    panel.fail(words, error instanceof Failure ? "" : String(error.message ?? error));
    onfail?.(words);
  }
}

class Failure extends Error {}

function explain(step) {
  if (step.startsWith("Fetching")) {
    return "Python could not be fetched. Check the connection and load the page again.";
  }
  if (step.startsWith("Starting")) {
    return "Python was fetched, but could not start here. A newer browser, or more memory, may help.";
  }
  return "Python started, but the code of this page failed.";
}

async function fetchSource(name, code) {
  const response = await fetch(new URL(`${name}.py`, code));
  if (!response.ok)
    throw new Failure(`The file ${name}.py could not be fetched (${response.status}).`);
  return response.text();
}

/** Run `work` and tell how many bytes it has fetched so far; Pyodide itself reports no progress. */
async function counting(report, work) {
  const { fetch } = globalThis;
  let bytes = 0;
  globalThis.fetch = async (...request) => {
    const response = await fetch(...request);
    // A copy is read for counting, so that Pyodide gets the browser's own response: only from
    // such a one can WebAssembly be compiled while it arrives.
    if (response.ok && response.body) void count(response.clone().body).catch(() => {});
    return response;
  };
  async function count(body) {
    const reader = body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes += part.value.length;
      report(bytes);
    }
  }
  try {
    return await work();
  } finally {
    globalThis.fetch = fetch;
    report = () => {};
  }
}

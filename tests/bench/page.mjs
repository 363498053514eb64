// Boots Pyodide with the wheel unpacked but not imported, and offers `bench` to who drives the page.
import * as rivals from "./rivals.mjs";

const say = (state, words) => {
  document.body.append(words);
  document.body.dataset.state = state;
};

try {
  const { loadPyodide } = await import("/pyodide/pyodide.mjs");
  const pyodide = await loadPyodide({ packages: ["pyodide-msgchan"] });
  pyodide.registerJsModule("bench_rivals", rivals);
  const home = pyodide.runPython("import os, sys; sys.path.insert(0, os.getcwd()); os.getcwd()");
  pyodide.FS.mkdir(`${home}/workloads`);
  const names = new URLSearchParams(location.search).get("workloads").split(",");
  await Promise.all(
    names.map(async (name) => {
      const text = await (await fetch(`workloads/${name}`)).text();
      pyodide.FS.writeFile(`${home}/workloads/${name}`, text);
    }),
  );

  /** Runs one function of one file in workloads/; gives JSON, for drivers put keys in an order of theirs. */
  globalThis.bench = async (file, name, options) => {
    const module = pyodide.pyimport(`workloads.${file}`);
    const work = module[name];
    const given = pyodide.toPy(options);
    const running = work(given);
    try {
      return await running;
    } finally {
      for (const proxy of [module, work, given, running]) proxy.destroy?.();
    }
  };
  say("done", `Pyodide ${pyodide.version}`);
} catch (error) {
  say("failed", `${error}\n${error.stack}`);
}

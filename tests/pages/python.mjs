// Runs the Python file that `run` names, which stands beside this page, and says how it went;
// before anything else is loaded, the module `first`.
const query = new URLSearchParams(location.search);
try {
  if (query.has("first")) await import(query.get("first"));
  const { loadPyodide } = await import("/test-pyodide/pyodide.mjs");
  const pyodide = (globalThis.python = await loadPyodide({ packages: ["pyodide-msgchan"] }));
  // Here a page whose policy is strict registers the bridge.
  const source = await (await fetch(query.get("run"))).text();
  pyodide.globals.set("query", pyodide.toPy(Object.fromEntries(query)));
  await pyodide.runPythonAsync(source);
  document.body.dataset.state = "done";
} catch (error) {
  document.body.textContent = String(error);
  document.body.dataset.state = "failed";
}

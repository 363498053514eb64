// Runs the Python file that `run` names, which stands beside this page, and says how it went.
import { loadPyodide } from "/test-pyodide/pyodide.mjs";

const query = new URLSearchParams(location.search);
try {
  const pyodide = await loadPyodide({ packages: ["pyodide-msgchan"] });
  // Here a page whose policy is strict registers the bridge.
  const source = await (await fetch(query.get("run"))).text();
  pyodide.globals.set("query", pyodide.toPy(Object.fromEntries(query)));
  await pyodide.runPythonAsync(source);
  document.body.dataset.state = "done";
} catch (error) {
  document.body.textContent = String(error);
  document.body.dataset.state = "failed";
}

// A worker that runs the Python file that `run` names, which stands beside it; python.html for workers.
import { loadPyodide } from "/test-pyodide/pyodide.mjs";

const query = new URLSearchParams(location.search);
const python = await loadPyodide({ packages: ["pyodide-msgchan"] });
const source = await (await fetch(query.get("run"))).text();
python.globals.set("query", python.toPy(Object.fromEntries(query)));
await python.runPythonAsync(source);

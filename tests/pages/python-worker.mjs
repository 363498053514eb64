// A worker in Python: what its owner sent before Python was there is lost, and does no harm.
import { loadPyodide } from "/test-pyodide/pyodide.mjs";

const python = await loadPyodide({ packages: ["pyodide-msgchan"] });
const running = python.runPythonAsync(`
import js
from pyodide_msgchan import accept
js.postMessage("booted")
connection = await accept()
async for message in connection:
    connection.post_message(message["question"] + 1)
`);
await running;

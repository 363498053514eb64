// The relay in a worker: the ports come in plain messages, since a worker has no origin to check.
import { loadPyodide } from "/test-pyodide/pyodide.mjs";

const early = [];
self.onmessage = (event) => early.push(event);
const python = await loadPyodide({ packages: ["pyodide-msgchan"] });
python.runPython(await (await fetch(new URL("contract_relay.py", import.meta.url))).text());
const serve = python.runPython(`
from pyodide_msgchan import MessagePort
tasks.append(asyncio.ensure_future(relay_connections()))
def take(ports):
    tasks.extend(serve([MessagePort(port) for port in ports]))
take
`);
self.onmessage = (event) => serve(event.data);
early.forEach(self.onmessage);
self.postMessage("relay ready");

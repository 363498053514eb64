"""Every way in which the other side of a connection ends: which error it gives here, how soon."""

import json
import sys
from pathlib import Path
from time import perf_counter

import js
from pyodide.http import pyfetch

from pyodide_msgchan import PortStateError, connect

Path("peers.py").write_text(await (await pyfetch("peers.py")).string())
sys.path.append(".")
from peers import open_peer  # noqa: E402

FRAMES = ("same-origin", "cross-site", "sandboxed")
WAYS = [(kind, way) for kind in FRAMES for way in ("close", "remove", "reload", "navigate")]
WAYS += [("worker", "close"), ("worker", "terminate")]
ADDRESSES = {
    "same-origin": "msgchan-peer.html",
    "cross-site": f"{query['far']}/pages/msgchan-peer.html",  # noqa: F821
    "sandboxed": "msgchan-peer.html",
    "worker": "msgchan-peer.mjs",
}


async def end(kind, way):
    """Give the messages that came, the error's name, and the milliseconds it took."""
    peer = await open_peer(kind, ADDRESSES[kind])
    await peer.take()
    connection = await connect(peer.target, **peer.options)
    await peer.run("await taking; for (let i = 0; i < 20; i++) connection.port.postMessage(i)")
    received = [await connection.receive() for _ in range(10)]
    start = perf_counter()
    if way == "close":
        await peer.run("connection.close()")
    elif way == "reload":
        await peer.run("setTimeout(() => location.reload())")
    elif way == "navigate":
        await peer.run("setTimeout(() => { location.href = 'about:blank' })")
    else:
        peer.close()
    await connection.wait_closed()
    took = (perf_counter() - start) * 1000
    try:
        while True:
            received.append(await connection.receive())
    except PortStateError as error:
        name = type(error).__name__
    connection.close()
    if way in ("close", "reload", "navigate"):
        peer.close()
    return received == list(range(20)), name, round(took)


results = {}
for kind, way in WAYS:
    results[f"{kind} {way}"] = await end(kind, way)
js.window.results = json.dumps(results)

"""A page that connects to its frame again whenever a connection has ended, and tells of it."""

import asyncio

import js

from pyodide_msgchan import PeerLostError, PortClosedError, connect

frame = js.document.createElement("iframe")
frame.src = "always-accepting.html"
js.document.body.append(frame)
first = asyncio.Event()


async def stay():
    """Note each turn and each end in the page."""
    async for connection in connect(frame):
        connection.post_message("echo")
        assert await connection.receive() == "echo"
        js.document.body.dataset.turns = str(int(js.document.body.dataset.turns or 0) + 1)
        first.set()
        try:
            await connection.receive()
        except (PeerLostError, PortClosedError) as error:
            js.document.body.dataset.end = str(error)


js.document.body.dataset.turns = "0"
tasks = [asyncio.ensure_future(stay())]
await first.wait()

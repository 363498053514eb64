"""Every way in which another page or a worker ends amid calls at each step: who learns what."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import js
from pyodide.ffi import to_js

from pyodide_msgchan import OPAQUE_ORIGIN, RemoteError, connect, expose, wrap
from pyodide_msgchan._bridge.callbacks import waiting_sinks

running = []
now = SimpleNamespace()


@contextlib.contextmanager
def noted():
    running.append(1)
    try:
        yield
    finally:
        running.pop()


async def idle(connection, remote, here):
    assert await remote.add(1, 2) == 3
    here.set()
    await connection.wait_closed()
    await remote.add(1, 2)


async def called(connection, remote, here):
    here.set()
    await now.going.wait()
    await remote.wait()


async def ran(connection, remote, here):
    await remote.wait(here.set)


async def stream(connection, remote, here):
    async for _ in remote.count():
        here.set()


async def thing(connection, remote, here):
    held = await remote.thing()
    assert await held.add(1, 2) == 3
    here.set()
    await connection.wait_closed()
    await held.add(1, 2)


async def thing_called(connection, remote, here):
    held = await remote.thing()
    await held.wait(here.set)


async def callback(connection, remote, here):
    async def stuck():
        with noted():
            here.set()
            await asyncio.Event().wait()

    await remote.wait(stuck)


async def source(connection, remote, here):
    async def items():
        with noted():
            yield 0
            here.set()
            await asyncio.Event().wait()

    await remote.consume(items())


async def asked(connection, remote, here):
    async def wait():
        with noted():
            here.set()
            await asyncio.Event().wait()

    expose({"wait": wait}, connection)
    await now.control.ask()
    await connection.wait_closed()
    await remote.add(1, 2)


STORIES = (idle, called, ran, stream, thing, thing_called, callback, source, asked)


async def outcome(story):
    try:
        await story
    except Exception as error:
        return type(error).__name__
    return "no error"


NAMES = [story.__name__ for story in STORIES]
MODULE = to_js({"type": "module"}, dict_converter=js.Object.fromEntries)


class Peer:
    """A frame, popup or worker that serves round after round, until it is taken away."""

    def __init__(self, page, where):
        self.where, self.round = where, 0
        base = query["far"] if where == "cross-site" else str(js.location.origin)  # noqa: F821
        address = f"{base}/pages/{page}&stories={'+'.join(NAMES)}"
        self.options = {} if where == "worker" else {"origin": base}
        if where == "worker":
            self.target = js.Worker.new(address, MODULE)
        elif where == "popup":
            self.target = js.open(address)
        else:
            self.target = js.document.createElement("iframe")
            if where == "sandboxed":
                self.target.sandbox, self.options["origin"] = "allow-scripts", OPAQUE_ORIGIN
            self.target.src = address
            js.document.body.append(self.target)

    def remove(self):
        if self.where == "worker":
            self.target.terminate()
        elif self.where == "popup":
            self.target.close()
        else:
            self.target.remove()

    def navigate(self):
        if self.where == "popup":
            self.target.location = "about:blank"
        else:
            self.target.src = "about:blank"


async def told():
    """Give what an error tells of where it was raised, if the other side is Python."""
    try:
        await now.control.fail()
    except RemoteError as error:
        noted = any("Remote traceback" in note for note in getattr(error, "__notes__", ()))
        return [bool(error.stack), noted]


async def end(peer, way):
    """Bring calls to each step, let the peer or its connections end, and give what came of it."""
    before = len(waiting_sinks)
    connections = await asyncio.gather(
        *(
            connect(peer.target, name=f"{name} {peer.round}", timeout=200, **peer.options)
            for name in [*NAMES, "control"]
        )
    )
    peer.round = 0 if way == "reload" else peer.round + 1
    now.control = wrap(connections[-1])
    now.going = asyncio.Event()
    steps = [asyncio.Event() for _ in STORIES]
    tasks = [
        asyncio.ensure_future(outcome(story(connection, wrap(connection), here)))
        for story, connection, here in zip(STORIES, connections, steps, strict=False)
    ]
    async with asyncio.timeout(20):
        await asyncio.gather(*(here.wait() for here in steps))
        traces = await told()
    now.going.set()
    await asyncio.sleep(0)  # so that the last call is on its way
    last = None
    match way:
        case "remove":
            peer.remove()
        case "navigate":
            peer.navigate()
        case "reload":
            last = now.control.reload()
        case "close":
            last = now.control.close()
        case "ours":
            for connection in connections[:-1]:
                connection.close()
            last = now.control.left()
    await asyncio.wait(tasks, timeout=10)
    outcomes = {
        name: task.result() if task.done() else "hangs"
        for name, task in zip(NAMES, tasks, strict=True)
    }
    outcomes["traces"] = traces
    if last is not None:
        async with asyncio.timeout(10):
            with contextlib.suppress(*([Exception] if way == "reload" else [])):
                outcomes["last"] = await last
    async with asyncio.timeout(10):
        while running:  # noqa: ASYNC110 - nothing tells of a task's end
            await asyncio.sleep(0)
    for connection in connections:
        connection.close()
    outcomes["more"] = len(waiting_sinks) - before
    return outcomes


results = {}
wanted = json.loads(query["peers"])  # noqa: F821
peers = [Peer(page, where) for page, where, _ in wanted]  # they load at the same time
for peer, (_, where, ways) in zip(peers, wanted, strict=True):
    for way in ways.split():
        js.document.title = f"{where}, {way}"
        results[f"{where} {way}"] = await end(peer, way)
    peer.remove()
js.window.results = json.dumps(results)

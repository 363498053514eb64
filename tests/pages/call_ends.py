"""Every way in which a page ends while calls to and from it are at each step: who learns what."""

import asyncio
import contextlib
import json
from types import SimpleNamespace

import js

from pyodide_msgchan import OPAQUE_ORIGIN, connect, expose, wrap
from pyodide_msgchan._browser import holding

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


async def end(way):
    """Bring calls to each step, let the page or its connections end, and give what came of it."""
    before = len(holding)
    frame = js.document.createElement("iframe")
    names = [story.__name__ for story in STORIES]
    origin = query["base"]  # noqa: F821
    if "sandboxed" in query:  # noqa: F821
        frame.sandbox, origin = "allow-scripts", OPAQUE_ORIGIN
    frame.src = f"{query['base']}/pages/{query['page']}&stories={'+'.join(names)}"  # noqa: F821
    js.document.body.append(frame)
    connections = await asyncio.gather(
        *(connect(frame, origin=origin, name=name, timeout=60) for name in [*names, "control"])
    )
    now.control = wrap(connections[-1])
    now.going = asyncio.Event()
    steps = [asyncio.Event() for _ in STORIES]
    tasks = [
        asyncio.ensure_future(outcome(story(connection, wrap(connection), here)))
        for story, connection, here in zip(STORIES, connections, steps, strict=False)
    ]
    async with asyncio.timeout(20):
        await asyncio.gather(*(here.wait() for here in steps))
    now.going.set()
    await asyncio.sleep(0)  # so that the last call is on its way
    last = None
    match way:
        case "remove":
            frame.remove()
        case "navigate":
            frame.src = "about:blank"
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
        for name, task in zip(names, tasks, strict=True)
    }
    if last is not None:
        async with asyncio.timeout(10):
            with contextlib.suppress(*([Exception] if way == "reload" else [])):
                outcomes["last"] = await last
    async with asyncio.timeout(10):
        while running:  # noqa: ASYNC110 - nothing tells of a task's end
            await asyncio.sleep(0)
    for connection in connections:
        connection.close()
    frame.remove()
    outcomes["more"] = len(holding) - before
    return outcomes


results = {}
for way in query["ways"].split():  # noqa: F821
    results[way] = await end(way)
js.window.results = json.dumps(results)

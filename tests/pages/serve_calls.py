"""A page or worker in Python, called by its owner on a connection for each story and round."""

import asyncio
import contextlib
from itertools import count

import js

from pyodide_msgchan import ANY_ORIGIN, accept, expose, proxy, wrap

stories = query["stories"].split()  # noqa: F821
connections = {}
running = []
asked = []
anybody = {"origin": ANY_ORIGIN} if hasattr(js, "document") else {}  # a worker has no origins


@contextlib.contextmanager
def noted():
    running.append(1)
    try:
        yield
    finally:
        running.pop()


class Thing:
    async def wait(self, started=None):
        with noted():
            if started is not None:
                await started()
            await asyncio.Event().wait()

    def add(self, a, b):
        return a + b


class Served(Thing):
    def thing(self):
        return proxy(Thing())

    async def count(self):
        with noted():
            yield 0
            await asyncio.Event().wait()

    async def consume(self, items):
        async for _ in items:
            pass

    def ask(self):
        """Call the other side, on a connection where it exposes something."""
        asked[:] = [wrap(connections["asked"]).wait()]

    def fail(self):
        raise ValueError("on purpose")

    def close(self):
        for name in stories:
            connections[name].close()

    def reload(self):
        asyncio.get_running_loop().call_soon(js.location.reload)

    async def left(self):
        """Give what became of the call to the other side, once all that ran here has ended."""
        while running:  # noqa: ASYNC110 - nothing tells of a task's end
            await asyncio.sleep(0)
        try:
            return await asked[0]
        except Exception as error:
            return type(error).__name__


async def serve(name):
    for number in count():
        connections[name] = await accept(name=f"{name} {number}", **anybody)
        expose(Served(), connections[name])
        await connections[name].wait_closed()


await asyncio.gather(*(serve(name) for name in (*stories, "control")))

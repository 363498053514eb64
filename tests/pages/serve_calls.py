"""A frame in Python that is called by the page that holds it, on a connection for each story."""

import asyncio
import contextlib

import js

from pyodide_msgchan import ANY_ORIGIN, accept, expose, proxy, wrap

stories = query["stories"].split()  # noqa: F821
connections = {}
running = []
asked = []


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
        asked.append(wrap(connections["asked"]).wait())

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
    connections[name] = await accept(origin=ANY_ORIGIN, name=name)
    expose(Served(), connections[name])


await asyncio.gather(*(serve(name) for name in (*stories, "control")))

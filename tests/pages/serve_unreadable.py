"""A frame of another site: what it sends, and gets, can't all be read on the other side."""

import asyncio

import js
from pyodide.ffi import to_js

from pyodide_msgchan import ANY_ORIGIN, accept, expose, register_type


class Here:
    """Registered in this frame alone."""


register_type(Here, lambda _: None, lambda _: Here(), name="registered in the frame alone")


def make(what):
    """Give what the other side can't read: a module belongs to the agent cluster of its maker."""
    if what == "module":
        return js.WebAssembly.Module.new(to_js(bytes([0, 97, 115, 109, 1, 0, 0, 0])))
    return Here()


taken = []


class Api:
    def get(self, what):
        return make(what)

    async def later(self, what):
        await asyncio.sleep(0)
        return {"rows": [1, make(what)]}

    async def items(self, what):
        yield 1
        yield [make(what)]
        yield 3

    async def items_and_error(self, what):
        yield 1
        raise ValueError("details", make(what))

    def take(self, *arguments, **keywords):
        taken.append((arguments, keywords))

    def taken(self):
        return len(taken)

    async def call(self, callback, what):
        return await callback(make(what))

    async def each(self, rows, callback):
        return [await callback(row) for row in rows]

    def add(self, one, two):
        return one + two


async def serve_calls(lane):
    expose(Api(), await accept(origin=ANY_ORIGIN, name=f"calls {lane}", lane=lane))


async def answer_requests(lane):
    def answer(event):
        event.reply(make(event.data) if event.data in ("module", "type") else event.data)

    requests = await accept(origin=ANY_ORIGIN, name=f"asks {lane}", lane=lane)
    requests.on_message(answer)
    requests.on_message_error(lambda _: None)
    await requests.wait_closed()


tasks = {
    asyncio.ensure_future(serve(lane))
    for lane in ("clone", "packed")
    for serve in (serve_calls, answer_requests)
}

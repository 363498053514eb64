"""Two ports of this page, by lane: those of a channel, or the ends of a connection with itself."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import js

from pyodide_msgchan import MessageChannel, accept, connect

LANES = ("clone", "packed")
_names = itertools.count()


@asynccontextmanager
async def pair(lane, *, stack_switching=True):
    if lane == "clone":
        here, there = MessageChannel(stack_switching=stack_switching)
    else:
        name = f"pair {next(_names)}"
        options = {"name": name, "stack_switching": stack_switching}
        accepting = asyncio.ensure_future(accept(source=js.window, **options))
        here = await connect(js.window, **options)
        there = await accepting
        assert here.lane == there.lane == "packed"
    async with here, there:
        yield here, there

"""Both ends of a connection in one page: it calls itself, and so speaks the packed lane."""

import asyncio
import itertools

import js

from pyodide_msgchan import accept, connect

_numbers = itertools.count()


async def connected():
    """Give both ends."""
    name = f"pair {next(_numbers)}"
    accepting = asyncio.ensure_future(accept(source=js.window, name=name, timeout=10))
    near = await connect(js.window, name=name, timeout=10)
    far = await accepting
    assert near.lane == far.lane == "packed"
    return near, far

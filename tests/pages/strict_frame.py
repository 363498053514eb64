"""A frame for strict_policy.py: it echoes, and is called."""

import asyncio

import js

from pyodide_msgchan import accept, expose, post_to_window, window_messages, wrap


async def each(items, callback):
    for item in items:
        await callback(item)
    return len(items)


async def count(stop):
    for number in range(stop):
        yield number


def fail(text):
    raise ValueError(text)


async def be_called():
    """Expose and wrap on one connection."""
    connection = await accept(name="calls")
    remote = wrap(connection)

    async def ask_back(number):
        return await remote.double(number)

    expose({"each": each, "count": count, "fail": fail, "ask_back": ask_back}, connection)


async def echo_windows():
    """Send back what the other page posts to this window."""
    async for event in window_messages(origin=js.location.origin, source=js.parent):
        if event.data == "window":
            post_to_window(js.parent, event.data, origin=js.location.origin)


async def echo():
    """Send back what comes on a connection."""
    connection = await accept(name="messages")
    async for event in connection.events():
        if event.ports:
            event.reply(event.data)
        elif event.data == "close":
            connection.close()
        else:
            connection.post_message(event.data)


tasks = {asyncio.ensure_future(task()) for task in (be_called, echo_windows, echo)}

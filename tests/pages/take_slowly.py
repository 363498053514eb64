"""A frame that takes what comes slowly, or not at all, or as remote calls."""

import asyncio

from pyodide_msgchan import ANY_ORIGIN, PortStateError, accept, expose


async def take_slowly(connection):
    """Take a message in each turn of the loop; answers a request with what was seen."""
    seen, longest = 0, 0
    try:
        async for event in connection.events():
            if event.ports:
                event.reply({"seen": seen, "longest": longest})
                seen = longest = 0
            else:
                seen += 1
                longest = max(longest, connection.buffered)  # this one is taken, and acknowledged
                await asyncio.sleep(0)
    except PortStateError:
        pass


slow, held, called = await asyncio.gather(
    *(accept(origin=ANY_ORIGIN, name=name) for name in ("slow", "held", "called"))
)
taken = []
expose({"note": taken.append, "taken": lambda: len(taken)}, called)
tasks = {asyncio.ensure_future(take_slowly(slow))}
held.start()

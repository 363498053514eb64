"""A frame that takes every connection, and does on it what it is told."""

import asyncio

import js

from pyodide_msgchan import ANY_ORIGIN, PortStateError, listen


async def serve(connection):
    """Answer requests and obey orders until the other side is gone."""
    try:
        async for event in connection.events():
            match event.data:
                case {"do": "close", "after": count}:
                    for i in range(count):
                        connection.post_message(i)
                    connection.close()
                case {"do": "go", "to": address, "after": count}:
                    for i in range(count):
                        connection.post_message(i)
                    js.location.href = address
                case {"do": "compute", "seconds": seconds}:
                    until = js.performance.now() + seconds * 1000
                    event.reply("computing")
                    await asyncio.sleep(0)
                    while js.performance.now() < until:
                        pass
                case _:
                    event.reply([str(js.self.origin), event.data])
    except PortStateError:
        pass


tasks = set()
async for connection in listen(origin=ANY_ORIGIN, name=query.get("name", "")):  # noqa: F821
    tasks.add(asyncio.ensure_future(serve(connection)))

"""Pass everything that comes on one port on to the other, ports included."""

import asyncio

from pyodide_msgchan import listen

tasks = []


async def relay(near, far):
    """Pass on until either side is closed."""
    async for event in near.events():
        far.post_message(event.data, transfer=event.ports)


async def relay_connections():
    """Relay between every two connections under the name "packed"."""
    async with listen(name="packed") as connections:
        async for one in connections:
            tasks.extend(serve((one, await anext(connections))))


def serve(ports):
    """Relay between two ports, both ways."""
    one, other = ports
    return [asyncio.ensure_future(relay(one, other)), asyncio.ensure_future(relay(other, one))]

"""Pass everything that comes on one port on to the other, ports included."""

import asyncio


async def relay(near, far):
    """Pass on until either side is closed."""
    async for event in near.events():
        far.post_message(event.data, transfer=event.ports)


def serve(ports):
    """Relay between two ports, both ways."""
    one, other = ports
    return [asyncio.ensure_future(relay(one, other)), asyncio.ensure_future(relay(other, one))]

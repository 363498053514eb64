"""A frame of the demo, or a popup: accepts the host's connection, and those that it arranges."""

from collections.abc import AsyncIterator
from contextlib import suppress

from js import document
from mandelbrot import paint
from mesh import CHANNEL, Link, Mesh
from page import host_origin, name, panel

from pyodide_msgchan import (
    Connection,
    HandshakeError,
    PortStateError,
    accept,
    expose,
    introduced,
    listen,
)

HEARTBEAT = 8
"""Seconds: a frame that is removed can't always say goodbye, and only the host sees its element."""


async def main() -> None:
    """Talk to the host and to everybody whom it introduces, until the host goes away."""
    mesh.start(offer())
    await meet_host()
    with suppress(HandshakeError):  # a popup's opener was closed
        while True:  # the host is back, or was busy for so long that it was taken for lost
            await meet_host()


async def meet_host() -> None:
    """Talk to the host until that connection ends."""
    host = await accept(origin=host_origin, name=CHANNEL, heartbeat=HEARTBEAT)
    document.body.dataset.state = "ready"

    mesh.start(meet_others(host))
    await mesh.talk(Link("host", host, 0))


async def meet_others(host: Connection) -> None:
    """Talk to everybody whom the host introduces, as long as it is there."""
    with suppress(PortStateError):  # the host is gone, which whoever talks to it shows
        async for connection in introduced(host):
            match connection.introduction:
                case {"number": int(number), "names": [str(first), str(second)]}:
                    link = Link(second if name == first else first, connection, number)
                    mesh.start(mesh.talk(link, measure=name == first))
                case _:
                    connection.close()


def report(what: str, link: Link) -> None:
    """Let the host draw what passes between this frame and another, which it does not see."""
    host = mesh.links.get("host")
    if host and link.peer != "host" and not host.connection.closed:
        host.connection.post_message(
            {"type": what, "number": link.number, "count": link.count, "ms": link.ms}
        )


async def offer() -> None:
    """Let the host call `render`, on a connection beside the one for messages."""
    async for connection in listen(origin=host_origin, name="mandelbrot"):
        expose({"render": render}, connection)


async def render(
    tiles: list[tuple[int, int, int]],
    *,
    picture: int,
    left: float,
    top: float,
    step: float,
    depth: int,
    size: int,
) -> AsyncIterator[tuple[int, bytes]]:
    """Compute square tiles one by one, as far as the caller has use for them.

    Args:
        tiles: number and place in the picture, in pixels, of each.
        picture: which of the host's pictures they belong to.
        left: real part of the picture's corner.
        top: imaginary part of the picture's corner.
        step: from one pixel to the next.
        depth: see `paint`.
        size: of a tile, in pixels.

    Yields:
        The number of a tile, and its pixels.
    """
    panel.began(picture)
    try:
        for number, x, y in tiles:
            yield number, await paint(left + x * step, top - y * step, step, depth, size, size)
    finally:  # all are done; or the caller has left, or is gone
        panel.ended(picture)


mesh = Mesh(name, panel, report)

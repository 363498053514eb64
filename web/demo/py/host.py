"""The page that holds the frames: connects to each, and introduces them to each other."""

import asyncio
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import page
from mesh import CHANNEL, Link, Mesh
from painter import Painter
from pyodide.ffi import create_proxy

from pyodide_msgchan import (
    OPAQUE_ORIGIN,
    HandshakeError,
    MessageEvent,
    PortStateError,
    connect,
    introduce,
)

PATIENCE = 90
"""Seconds for a frame to fetch and start Python."""

PAUSE = 2
"""Seconds until two that lost each other are introduced anew: by then an end is known here."""

numbers = count(1)
introductions: dict[int, tuple[Link, Link]] = {}
"""Who was introduced, by the number of the link between them."""


async def main() -> None:
    """Look after every participant that there is, and that is added later."""
    for participant in page.participants:
        add(participant)
    page.onadded = create_proxy(add)


def add(participant: Any) -> None:
    """Look after a frame or a popup."""
    # A sandboxed frame has no origin that could be named. All the others are named exactly, so
    # that no port ever reaches a page that has taken the frame's place.
    origin = participant.origin or OPAQUE_ORIGIN
    mesh.start(hold(participant, origin))
    if participant.python:
        mesh.start(employ(participant, origin))


async def hold(participant: Any, origin: Any) -> None:
    """Stay connected: anew whenever the page over there is loaded anew, until it is removed."""
    while participant.exists():
        try:
            async for connection in connect(
                participant.window, origin=origin, name=CHANNEL, timeout=PATIENCE
            ):
                link = Link(participant.name, connection, next(numbers))
                welcome(link)
                await mesh.talk(link, measure=True, other=partial(reported, link.peer))
                page.lost(link.peer)
        except HandshakeError as error:
            if participant.exists():
                page.failed(participant.name, str(error))
    page.gone(participant.name)


async def employ(participant: Any, origin: Any) -> None:
    """Have tiles computed there, on a connection of their own: calls share it with no messages."""
    with suppress(HandshakeError):  # it was removed before it was ready
        async for connection in connect(
            participant.window, origin=origin, name="mandelbrot", timeout=None
        ):
            await painter.employ(participant.name, connection)


def welcome(newcomer: Link) -> None:
    """Show who is there, and introduce it to all who were there before."""
    peer = newcomer.connection.peer
    page.connected(newcomer.peer, f"{peer.runtime}, origin {peer.origin}")
    page.linked(newcomer.number, "host", newcomer.peer)
    for link in mesh.links.values():
        acquaint(newcomer, link)


def acquaint(first: Link, second: Link) -> None:
    """Introduce two participants to each other."""
    number, names = next(numbers), [first.peer, second.peer]
    with suppress(PortStateError):  # one of the two went away in this very moment
        introduce(first.connection, second.connection, {"number": number, "names": names})
        introductions[number] = first, second
        page.linked(number, *names)


def acquaint_again(first: Link, second: Link) -> None:
    """Do it once more if both are still there: one was only busy when the other gave it up."""
    if all(mesh.links.get(link.peer) is link for link in (first, second)):
        acquaint(first, second)


def reported(sender: str, event: MessageEvent) -> None:
    """Draw what a frame says of its links to others."""
    match event.data:
        case {"to": str()}:  # for somebody else, to whom this page would have to pass it on
            page.relayed()
        case {"type": "failed", "words": str(words)}:
            page.failed(sender, words)
        case {"type": str(what), "number": int(number), "count": int(count), "ms": ms}:
            page.reported(what, number, sender, count, ms)
            if what == "ended" and number in introductions:  # both tell
                pair = introductions.pop(number)
                asyncio.get_event_loop().call_later(PAUSE, acquaint_again, *pair)


def report(what: str, link: Link) -> None:
    """Draw what this page itself sends and measures."""
    page.reported(what, link.number, "host", link.count, link.ms)


mesh = Mesh("host", page.panel, report)
painter = Painter(page.board, mesh.start)

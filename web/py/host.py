"""The page that holds the frames: meets each of them, and introduces them to each other."""

import asyncio
from typing import Any

from mesh import Mesh
from page import connected, failed, frames, panel, round_trip, sent

from pyodide_msgchan import (
    OPAQUE_ORIGIN,
    MessageChannel,
    MessageEvent,
    post_to_window,
    window_messages,
)


async def main() -> None:
    """Meet every frame, and again each time one is loaded anew."""
    mesh = Mesh(panel, other=reported, report=report)
    await asyncio.gather(*(meet(mesh, frame) for frame in frames))


async def meet(mesh: Mesh, frame: Any) -> None:
    """Hand the frame one end of a channel as soon as it is heard from."""
    # A sandboxed frame has no origin that could be named. All the others are named exactly, so
    # that no port ever reaches a page that has taken the frame's place.
    origin = frame.origin or OPAQUE_ORIGIN
    page = None
    async with window_messages(origin=origin, source=frame.element) as messages:
        # A frame that was quicker said its hello to nobody: it is asked to say it again.
        post_to_window(frame.element, {"type": "call"}, origin=origin)
        async for event in messages:
            match event.data:
                case {"type": "hello", "page": str(token)} if token != page:
                    page = token
                    welcome(mesh, frame, origin)
                case {"type": "failed", "words": str(words)}:
                    failed(frame.name, words)


def welcome(mesh: Mesh, frame: Any, origin: Any) -> None:
    """Connect a frame to this page and to the frames that are here already."""
    others = [name for name in mesh.ports if name != frame.name]
    ours, theirs = MessageChannel()
    post_to_window(
        frame.element, {"type": "welcome", "port": theirs}, origin=origin, transfer=[theirs]
    )
    connected(frame.name)
    mesh.join(frame.name, ours, measure=True)
    for other in others:
        introduce(mesh, frame.name, other)


def introduce(mesh: Mesh, first: str, second: str) -> None:
    """Give two frames the ends of a channel; from here on this page has no part in it."""
    # One of the two measures. It is a Python one, since they begin with letters before "script".
    first, second = sorted((first, second), key=lambda name: name == "script")
    one, two = MessageChannel()
    mesh.ports[first].post_message(
        {"type": "introduce", "peer": second, "port": one, "measure": True}, transfer=[one]
    )
    mesh.ports[second].post_message(
        {"type": "introduce", "peer": first, "port": two, "measure": False}, transfer=[two]
    )


def reported(mesh: Mesh, sender: str, event: MessageEvent) -> None:  # noqa: ARG001 - Mesh gives it
    """Draw what a frame says of its own channels."""
    match event.data:
        case {"type": "measured", "peer": str(peer), "ms": int() | float() as ms}:
            round_trip(sender, peer, ms)
        case {"type": "sent", "peer": str(peer)}:
            sent(sender, peer)
        case _:
            pass


def report(mesh: Mesh, peer: str, ms: float | None) -> None:  # noqa: ARG001 - Mesh gives it
    """Draw what this page itself sends and measures."""
    if ms is None:
        sent("host", peer)
    else:
        round_trip("host", peer, ms)

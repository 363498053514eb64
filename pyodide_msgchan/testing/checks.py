"""What the checks of the contract have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pyodide_msgchan._port.port import MessagePort, entangle
from pyodide_msgchan._printing import short_repr

__all__ = ["MakePair", "is_connection", "is_packed", "make_movable", "raises", "refused"]


type MakePair = Callable[[], Awaitable[tuple[MessagePort, MessagePort]]]
"""Makes the two ends of a channel, whatever lies between them."""


def is_connection(port: MessagePort) -> bool:
    """Return True if a port is a connection, which can't be transferred."""
    return hasattr(port, "peer")


def is_packed(port: MessagePort) -> bool:
    """Return True if a port speaks the packed lane."""
    return getattr(port, "lane", "clone") == "packed"


async def make_movable(make: MakePair) -> tuple[MessagePort, MessagePort]:
    """Make a pair of which an end can be transferred, which a connection can't."""
    near, far = await make()
    if not is_connection(near):
        return near, far
    first, second = (MessagePort._from_endpoint(endpoint) for endpoint in near._endpoint.pair())
    entangle(first, second)
    near.close()
    far.close()
    return first, second


def refused[E: Exception](kind: type[E], port: MessagePort, message: Any, **options: Any) -> E:
    """See that a message is refused by an error of that kind, and give it."""
    try:
        port.post_message(message, **options)
    except kind as error:
        return error
    raise AssertionError(f"{short_repr(message, 60)} was sent, where {kind.__name__} was due")


async def raises(kind: type[Exception], awaitable: Awaitable[Any]) -> None:
    """See that waiting ends with an error of just that kind."""
    try:
        await awaitable
    except kind as error:
        if type(error) is not kind:
            text = f"{type(error).__name__} where {kind.__name__} was due"
            raise AssertionError(text) from error
        return
    raise AssertionError(f"no {kind.__name__}")

"""Helpers of the contract's checks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pyodide_msgchan._connection.connection import Connection
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort, entangle, wrap_endpoint
from pyodide_msgchan._printing import short_repr

__all__ = [
    "MakePair",
    "assert_raises",
    "assert_refused",
    "is_connection",
    "is_packed",
    "make_transferable",
]


type MakePair = Callable[[], Awaitable[tuple[MessagePort, MessagePort]]]
"""A coroutine function that returns the two ends of a new channel."""


def is_connection(port: MessagePort) -> bool:
    """Return True if a port is a connection, which can't be transferred."""
    return isinstance(port, Connection)


def is_packed(port: MessagePort) -> bool:
    """Return True if a port uses the packed lane."""
    return getattr(port, "lane", "clone") == "packed"


async def make_transferable(make: MakePair) -> tuple[MessagePort, MessagePort]:
    """Return the two ends of a channel that can be transferred, which a connection can't."""
    near, far = await make()
    if not is_connection(near):
        return near, far
    first, second = map(wrap_endpoint, core_of(near).endpoint.pair())
    entangle(first, second)
    near.close()
    far.close()
    return first, second


def assert_refused[E: Exception](
    kind: type[E], port: MessagePort, message: Any, **options: Any
) -> E:
    """Check that posting a message raises an error of this class; return the error."""
    try:
        port.post_message(message, **options)
    except kind as error:
        return error
    raise AssertionError(
        f"{short_repr(message, 60)} was sent, but should have raised {kind.__name__}"
    )


async def assert_raises(kind: type[Exception], awaitable: Awaitable[Any]) -> None:
    """Check that awaiting raises an error of exactly this class."""
    try:
        await awaitable
    except kind as error:
        if type(error) is not kind:
            text = f"{type(error).__name__} was raised instead of {kind.__name__}"
            raise AssertionError(text) from error
        return
    raise AssertionError(f"{kind.__name__} was not raised")

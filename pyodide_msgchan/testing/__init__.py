"""Channels and windows in memory, and the checks that every channel must pass.

They need no browser. The ports are the real ones above an endpoint that is written in Python: they
have the same methods, errors and order, carry the same values (`register_converter` included), and
deliver messages in a later turn of the event loop.

    from pyodide_msgchan.testing import MessageChannel

    async def test_greeting():
        ours, theirs = MessageChannel()
        ours.post_message({"name": "Ada"})
        assert await theirs.receive() == {"name": "Ada"}

`CONTRACT` and `LINKED` map the names of the checks to coroutine functions. Each takes a coroutine
function that makes a pair of ports, so that you can run them over a channel of your own.

Only what needs JavaScript is missing: JsProxy values, and dicts or sets whose keys would be
JavaScript objects, such as tuples (DataCloneError says so).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyodide_msgchan._connection.connection import Connection
from pyodide_msgchan._connection.opening import Connecting, ConnectionFactory
from pyodide_msgchan._origins import parse
from pyodide_msgchan._port.port import MessagePort, entangle, wrap_endpoint
from pyodide_msgchan.testing.contract import CONTRACT, LINKED
from pyodide_msgchan.testing.endpoint import memory_pair
from pyodide_msgchan.testing.environment import MemoryEnvironment

__all__ = ["CONTRACT", "LINKED", "MessageChannel", "Window"]


class MessageChannel:
    """Two entangled ports in memory, like `pyodide_msgchan.MessageChannel`.

    In a browser this is a native channel (HTML standard, 9.4.2 Message channels).

    Attributes:
        port1: one end.
        port2: the other end.
    """

    def __init__(self, *, stack_switching: bool = True) -> None:
        """Make the ports. `stack_switching` is accepted for compatibility and has no effect."""
        del stack_switching
        first, second = memory_pair()
        self.port1: MessagePort = wrap_endpoint(first)
        self.port2: MessagePort = wrap_endpoint(second)
        entangle(self.port1, self.port2)

    def __iter__(self) -> Iterator[MessagePort]:
        """Iterate over the two ports, `port1` first."""
        return iter((self.port1, self.port2))


class Window(ConnectionFactory):
    """A page in memory whose `connect`, `accept` and `listen` work like those of `pyodide_msgchan`.

        host = Window("https://host.example")
        frame = Window("https://app.example", parent=host)
        accepted = asyncio.create_task(frame.accept(origin="https://host.example"))
        async with host.connect(frame, origin="https://app.example") as connection:
            ...

    Args:
        origin: the origin of the page; "null" for an opaque one.
        parent: the page that contains or opened this one.

    Raises:
        ValueError: `origin` is malformed.
    """

    def __init__(self, origin: str, *, parent: Window | None = None) -> None:
        page = None if parent is None else parent._environment
        self._environment: MemoryEnvironment = MemoryEnvironment(
            origin if origin == "null" else parse(origin), page
        )
        super().__init__(lambda: self._environment)

    def connect(self, target: Any, **options: Any) -> Connecting:
        """Connect from this page to another one, as `pyodide_msgchan.connect` does."""
        return super().connect(
            target._environment if isinstance(target, Window) else target, **options
        )

    async def accept(self, *, source: Window | None = None, **options: Any) -> Connection:
        """Accept a connection in this page, as `pyodide_msgchan.accept` does."""
        return await super().accept(
            source=None if source is None else source._environment, **options
        )

    def leave(self) -> None:
        """Unload the page, as a reload does.

        Its connections end, and their peers raise PeerLostError.
        """
        self._environment.leave()

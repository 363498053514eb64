"""A channel in memory for tests without a browser, and the checks that every channel has to pass.

The ports are the real ones, on an end made of Python: same methods, same errors, same order, the
same values (`register_converter` included), and delivery in a later turn of the event loop.

    from pyodide_msgchan.testing import MessageChannel

    async def test_greeting():
        ours, theirs = MessageChannel()
        ours.post_message({"name": "Ada"})
        assert await theirs.receive() == {"name": "Ada"}

`CONTRACT` and `LINKED` are the checks, by name: coroutine functions that take a coroutine function
which makes a pair of ports. Run them over a channel of your own.

Only what JavaScript alone can hold is missing: JsProxy values, and dicts or sets with keys that
are objects there, like tuples (a DataCloneError says so).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyodide_msgchan._connection.connection import Connection
from pyodide_msgchan._connection.opening import Connecting, ConnectionFactory
from pyodide_msgchan._origins import parse
from pyodide_msgchan._port.port import MessagePort, entangle
from pyodide_msgchan.testing.contract import CONTRACT, LINKED
from pyodide_msgchan.testing.endpoint import memory_pair
from pyodide_msgchan.testing.environment import MemoryEnvironment

__all__ = ["CONTRACT", "LINKED", "MessageChannel", "Window"]


class MessageChannel:
    """Two entangled ports in memory; like `pyodide_msgchan.MessageChannel`.

    Attributes:
        port1: one end.
        port2: the other.
    """

    def __init__(self, *, stack_switching: bool = True) -> None:
        """Make the ports. `stack_switching` has no meaning here and is taken for likeness."""
        del stack_switching
        first, second = memory_pair()
        self.port1 = MessagePort._from_endpoint(first)
        self.port2 = MessagePort._from_endpoint(second)
        entangle(self.port1, self.port2)

    def __iter__(self) -> Iterator[MessagePort]:
        """Return both ports, `port1` first."""
        return iter((self.port1, self.port2))


class Window(ConnectionFactory):
    """A page in memory, with `connect`, `accept` and `listen` that work like the real ones.

        host = Window("https://host.example")
        frame = Window("https://app.example", parent=host)
        accepted = asyncio.create_task(frame.accept(origin="https://host.example"))
        async with host.connect(frame, origin="https://app.example") as connection:
            ...

    Args:
        origin: of the page; "null" for an opaque one.
        parent: the page that holds it, or opened it.
    """

    def __init__(self, origin: str, *, parent: Window | None = None) -> None:
        page = None if parent is None else parent._environment
        self._environment: MemoryEnvironment = MemoryEnvironment(
            origin if origin == "null" else parse(origin), page
        )
        super().__init__(lambda: self._environment)

    def connect(self, target: Any, **options: Any) -> Connecting:
        """Do what `pyodide_msgchan.connect` does, from this page to another one."""
        return super().connect(
            target._environment if isinstance(target, Window) else target, **options
        )

    async def accept(self, *, source: Window | None = None, **options: Any) -> Connection:
        """Do what `pyodide_msgchan.accept` does, in this page."""
        return await super().accept(
            source=None if source is None else source._environment, **options
        )

    def leave(self) -> None:
        """Let the page go, as by a reload: its connections end, the others get PeerLostError."""
        self._environment.leave()

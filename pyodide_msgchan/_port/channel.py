"""The channel: two entangled ports, made together."""

from __future__ import annotations

from collections.abc import Iterator

from pyodide_msgchan._port.endpoint import browser_pair
from pyodide_msgchan._port.port import MessagePort, entangle

__all__ = ["MessageChannel"]


class MessageChannel:
    """Two entangled ports: what is posted on one arrives at the other (HTML standard, 9.4.2).

    ``port1, port2 = MessageChannel()`` unpacks it. While both ends live in this interpreter they
    end together.

    Args:
        stack_switching: as for `MessagePort`.

    Attributes:
        port1: one end.
        port2: the other.

    Raises:
        NotInBrowserError: there is no JavaScript here; `pyodide_msgchan.testing` has a channel
            in memory.
    """

    def __init__(self, *, stack_switching: bool = True) -> None:
        first, second = browser_pair(stack_switching=stack_switching)
        self.port1 = MessagePort._from_endpoint(first)
        self.port2 = MessagePort._from_endpoint(second)
        entangle(self.port1, self.port2)

    def __iter__(self) -> Iterator[MessagePort]:
        """Return both ports, `port1` first."""
        return iter((self.port1, self.port2))

"""`MessageChannel`: a pair of entangled ports."""

from __future__ import annotations

from collections.abc import Iterator

from pyodide_msgchan._port.endpoint import browser_pair
from pyodide_msgchan._port.port import MessagePort, entangle, wrap_endpoint

__all__ = ["MessageChannel"]


class MessageChannel:
    """Two entangled ports: a message posted on one arrives at the other.

    (HTML standard, 9.4.2 "Message channels".) Unpack it as ``port1, port2 = MessageChannel()``.
    While both ports are in this interpreter, closing one closes the other.

    Args:
        stack_switching: as for `MessagePort`.

    Attributes:
        port1: the first port.
        port2: the second port.

    Raises:
        NotInBrowserError: this Python has no JavaScript; `pyodide_msgchan.testing` has a channel
            in memory.
    """

    def __init__(self, *, stack_switching: bool = True) -> None:
        first, second = browser_pair(stack_switching=stack_switching)
        self.port1: MessagePort = wrap_endpoint(first)
        self.port2: MessagePort = wrap_endpoint(second)
        entangle(self.port1, self.port2)

    def __iter__(self) -> Iterator[MessagePort]:
        """Return both ports, `port1` first."""
        return iter((self.port1, self.port2))

"""The requests of one port that wait for their answers, and how many answers may still come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, final

from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.unreadable import message_error
from pyodide_msgchan._port.waiter import wake_together

if TYPE_CHECKING:
    from pyodide_msgchan._port.core import PortCore

__all__ = ["OpenRequests"]


ANSWER_GRACE: Final = 1.0
"""Seconds without an answer after which the port stops waiting for those that the peer had sent."""


REPLY_GRACE: Final = 0.25
"""Seconds that an answer may still take after the peer closed the port, if it can't be counted."""


@final
class OpenRequests:
    """The requests that wait for their answers, each on a port of its own.

    Attributes:
        expected: the number of answers that the peer had sent when it ended; None if unknown.
        uncertain: True if that number may include answers that never arrive here.
    """

    def __init__(self) -> None:
        self.expected: int | None = None
        self.uncertain: bool = False
        self._ports: dict[PortCore, int] = {}
        self._answered = 0
        self._reason: Callable[[], Exception] | None = None

    def add(self, port: PortCore, number: int) -> None:
        """Add the request whose answer comes to a port.

        Args:
            port: the port of the answer.
            number: the number of the request among all messages sent.
        """
        port.queue.on_notices = partial(_fail_unreadable, port)
        self._ports[port] = number

    def remove(self, port: PortCore) -> None:
        """Remove a request that was answered, or whose wait has ended."""
        self._ports.pop(port, None)
        if port.queue.received:
            self._answered += 1
        else:
            self.uncertain = True
        if self._reason is not None and self._all_answered():
            self._give_up(self._reason)

    def fail(self, number: object, error: Exception) -> None:
        """End the wait of the request of a number by an error."""
        for port, own in tuple(self._ports.items()):
            if own == number:
                port.end(lambda: error, drop=False)

    def end(self, reason: Callable[[], Exception]) -> None:
        """End the wait of every request whose answer has not arrived."""
        self._reason = reason
        for port in tuple(self._ports):
            port.end(reason, drop=False)

    def await_answers(self, reason: Callable[[], Exception]) -> None:
        """End the requests once all answers were received, or none arrived for a while."""
        self._reason = reason
        if self._ports:
            self._check(-1)

    def _check(self, previous: int) -> None:
        if self._reason is None:
            return
        if self._all_answered() or self._answered == previous:
            self._give_up(self._reason)
            return
        certain = self.expected is not None and not self.uncertain
        grace = ANSWER_GRACE if certain else REPLY_GRACE
        asyncio.get_event_loop().call_later(grace, self._check, self._answered)

    def _all_answered(self) -> bool:
        """Return True if all answers that the peer had sent were received."""
        return self.expected is not None and self._answered >= self.expected

    def _give_up(self, reason: Callable[[], Exception]) -> None:
        ports = [port for port in self._ports if not port.ended]
        queues = [port.queue for port in ports]
        wake_together([waiter for queue in queues if not queue.buffer for waiter in queue.waiters])
        for port in ports:
            port.end(reason, drop=False)


def _fail_unreadable(port: PortCore, notices: Sequence[Notice]) -> None:
    """End the wait of the request whose answer on this port can't be read."""
    for notice in notices:
        if notice.kind == "messageerror":
            error = message_error(notice)
            port.end(lambda error=error: error, drop=False)  # type: ignore[misc]

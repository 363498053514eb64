"""Credit: what was sent on a connection and not taken at the other end, as far as is known.

The sender counts nothing for a message; its endpoint does. Now and then it sets a *mark*: the
other side says so once its user has taken n messages. A mark is due with every quarter of the
high-water mark, so that the answers come before the sender has to stop. Both halves are bounded
whatever the other side says: the sender heeds only answers to marks that it set, the receiver
only marks that go up.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple, final

__all__ = [
    "HIGH_WATER_BYTES",
    "HIGH_WATER_MESSAGES",
    "MAX_ACK_REQUESTS",
    "AckRequests",
    "Outstanding",
    "SendWindow",
]


HIGH_WATER_MESSAGES: Final = 10_000
"""Messages outstanding from which on a sender waits."""


HIGH_WATER_BYTES: Final = 16 * 2**20
"""Bytes outstanding from which on a sender waits."""


MAX_ACK_REQUESTS: Final = 16
"""Marks without an answer, at the most."""


MAX_COUNT: Final = 2**53
"""More messages than anybody counts."""


ACK_REQUESTS_PER_WINDOW: Final = 4
"""Marks for each filling of the credit."""


class Outstanding(NamedTuple):
    """What was sent and is not known to be taken by the other side.

    Attributes:
        messages: how many.
        bytes: their size, about: that of their buffers and strings, and a little for the rest.
    """

    messages: int
    bytes: int


@final
class SendWindow:
    """The sender's half. What it is given is all that was sent so far, which never goes down.

    Attributes:
        high: from where on it is used up.
    """

    def __init__(self) -> None:
        self.high = Outstanding(HIGH_WATER_MESSAGES, HIGH_WATER_BYTES)
        self._consumed = Outstanding(0, 0)
        self._requests: deque[Outstanding] = deque()

    def outstanding(self, sent: Outstanding) -> Outstanding:
        """Return what is not known to be taken."""
        return _between(self._consumed, sent)

    def is_used_up(self, sent: Outstanding) -> bool:
        """Return True if a sender should wait."""
        messages, size = self.outstanding(sent)
        return messages >= self.high.messages or size >= self.high.bytes

    def mark(self, sent: Outstanding) -> int | None:
        """Set a mark at all that was sent, if one is due; to be posted to the other side."""
        messages, size = _between(self._requests[-1] if self._requests else self._consumed, sent)
        if not messages or len(self._requests) == MAX_ACK_REQUESTS:
            return None
        if (
            messages * ACK_REQUESTS_PER_WINDOW < self.high.messages
            and size * ACK_REQUESTS_PER_WINDOW < self.high.bytes
        ):
            return None
        self._requests.append(sent)
        return sent.messages

    def on_consumed(self, number: object) -> bool:
        """Note that the other side took so many; False if that answers no mark."""
        if type(number) is not int or all(mark.messages != number for mark in self._requests):
            return False
        while self._consumed.messages != number:
            self._consumed = self._requests.popleft()
        return True


@final
class AckRequests:
    """The receiver's half: what the other side wants to hear of.

    Attributes:
        next: how many are to be taken for the next answer; None where none is wanted.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        self._last = 0
        self._pending: deque[int] = deque()

    def set(self, number: object) -> None:
        """Note a mark of the other side."""
        if type(number) is not int or not self._last < number < MAX_COUNT:
            return
        if len(self._pending) < MAX_ACK_REQUESTS:
            self._last = number
            self._pending.append(number)
            self.next = self._pending[0]

    def reached(self, taken: int) -> int | None:
        """Return the last mark that so many reach, which is to be told; None if they reach none."""
        number = None
        while self._pending and self._pending[0] <= taken:
            number = self._pending.popleft()
        self.next = self._pending[0] if self._pending else None
        return number


def _between(before: Outstanding, after: Outstanding) -> Outstanding:
    return Outstanding(after.messages - before.messages, after.bytes - before.bytes)

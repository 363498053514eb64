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

__all__ = ["HIGH_BYTES", "HIGH_MESSAGES", "MOST_MARKS", "Credit", "Marks", "Outstanding"]

HIGH_MESSAGES: Final = 10_000
"""Messages outstanding from which on a sender waits."""

HIGH_BYTES: Final = 16 * 2**20
"""Bytes outstanding from which on a sender waits."""

MOST_MARKS: Final = 16
"""Marks without an answer, at the most."""

UNLIKELY: Final = 2**53
"""More messages than anybody counts."""

PARTS: Final = 4
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
class Credit:
    """The sender's half. What it is given is all that was sent so far, which never goes down.

    Attributes:
        high: from where on it is used up.
    """

    def __init__(self) -> None:
        self.high = Outstanding(HIGH_MESSAGES, HIGH_BYTES)
        self._taken = Outstanding(0, 0)
        self._marks: deque[Outstanding] = deque()

    def outstanding(self, sent: Outstanding) -> Outstanding:
        """Give what is not known to be taken."""
        return _between(self._taken, sent)

    def is_used_up(self, sent: Outstanding) -> bool:
        """Say whether a sender should wait."""
        messages, size = self.outstanding(sent)
        return messages >= self.high.messages or size >= self.high.bytes

    def mark(self, sent: Outstanding) -> int | None:
        """Set a mark at all that was sent, if one is due; to be posted to the other side."""
        messages, size = _between(self._marks[-1] if self._marks else self._taken, sent)
        if not messages or len(self._marks) == MOST_MARKS:
            return None
        if messages * PARTS < self.high.messages and size * PARTS < self.high.bytes:
            return None
        self._marks.append(sent)
        return sent.messages

    def taken(self, number: object) -> bool:
        """Note that the other side took so many; False if that answers no mark."""
        if type(number) is not int or all(mark.messages != number for mark in self._marks):
            return False
        while self._taken.messages != number:
            self._taken = self._marks.popleft()
        return True


@final
class Marks:
    """The receiver's half: what the other side wants to hear of.

    Attributes:
        next: how many are to be taken for the next answer; None where none is wanted.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        self._last = 0
        self._open: deque[int] = deque()

    def set(self, number: object) -> None:
        """Note a mark of the other side."""
        if type(number) is not int or not self._last < number < UNLIKELY:
            return
        if len(self._open) < MOST_MARKS:
            self._last = number
            self._open.append(number)
            self.next = self._open[0]

    def reached(self, taken: int) -> int | None:
        """Give the last mark that so many reach, which is to be told; None if they reach none."""
        number = None
        while self._open and self._open[0] <= taken:
            number = self._open.popleft()
        self.next = self._open[0] if self._open else None
        return number


def _between(before: Outstanding, after: Outstanding) -> Outstanding:
    return Outstanding(after.messages - before.messages, after.bytes - before.bytes)

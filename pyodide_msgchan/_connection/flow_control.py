"""Flow control: how much was sent on a connection and not consumed, as far as the sender knows.

The sender counts nothing per message; its endpoint does. From time to time it requests an
acknowledgement (a "mark" on the wire): the other side answers ("taken") once its user has consumed
n messages. A request is due at every quarter of the high-water mark, so that the answers arrive
before the sender has to wait. Both halves stay bounded whatever the other side sends: the sender
accepts only answers to its own requests, and the receiver only requests with rising numbers.
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
"""The number of outstanding messages at which a sender waits."""


HIGH_WATER_BYTES: Final = 16 * 2**20
"""The number of outstanding bytes at which a sender waits."""


MAX_ACK_REQUESTS: Final = 16
"""The limit of requests without an answer."""


MAX_COUNT: Final = 2**53
"""A bound for message numbers: larger integers are not exact in JavaScript."""


ACK_REQUESTS_PER_WINDOW: Final = 4
"""Requests for each high-water mark."""


class Outstanding(NamedTuple):
    """Messages that were sent and that the other side is not known to have consumed.

    Attributes:
        messages: the number of messages.
        bytes: their approximate size: their buffers and strings, and a little for the rest.
    """

    messages: int
    bytes: int


@final
class SendWindow:
    """The sender's half of flow control. Each `sent` argument is everything sent so far.

    Attributes:
        high: the high-water mark, at which a sender waits.
    """

    def __init__(self) -> None:
        self.high = Outstanding(HIGH_WATER_MESSAGES, HIGH_WATER_BYTES)
        self._consumed = Outstanding(0, 0)
        self._requests: deque[Outstanding] = deque()

    def outstanding(self, sent: Outstanding) -> Outstanding:
        """Return what is not known to be consumed."""
        return _between(self._consumed, sent)

    def is_used_up(self, sent: Outstanding) -> bool:
        """Return True if a sender should wait."""
        messages, size = self.outstanding(sent)
        return messages >= self.high.messages or size >= self.high.bytes

    def request_ack(self, sent: Outstanding) -> int | None:
        """Return the number of messages to request an acknowledgement for, or None if none is due.

        The caller sends the request to the other side.
        """
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
        """Note the number of consumed messages; return False if that answers no request."""
        if type(number) is not int or all(sent.messages != number for sent in self._requests):
            return False
        while self._consumed.messages != number:
            self._consumed = self._requests.popleft()
        return True


@final
class AckRequests:
    """The receiver's half of flow control: the other side's requests without an answer.

    Attributes:
        next: the number of consumed messages at which the next answer is due, or None.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        self._last = 0
        self._pending: deque[int] = deque()

    def add(self, number: object) -> None:
        """Note a request of the other side; ignore it if its number is not valid."""
        if type(number) is not int or not self._last < number < MAX_COUNT:
            return
        if len(self._pending) < MAX_ACK_REQUESTS:
            self._last = number
            self._pending.append(number)
            self.next = self._pending[0]

    def take_reached(self, consumed: int) -> int | None:
        """Remove the requests that are reached; return the number of the last one, or None."""
        number = None
        while self._pending and self._pending[0] <= consumed:
            number = self._pending.popleft()
        self.next = self._pending[0] if self._pending else None
        return number


def _between(before: Outstanding, after: Outstanding) -> Outstanding:
    return Outstanding(after.messages - before.messages, after.bytes - before.bytes)

"""`PortCore`: the state of one port, and what other packages may do with it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final, final

from pyodide_msgchan._interfaces import Endpoint, Notice
from pyodide_msgchan._port.queue import MessageQueue
from pyodide_msgchan._port.requests import OpenRequests
from pyodide_msgchan._port.waiter import Waiter, wake_all
from pyodide_msgchan.errors import (
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    PortDetachedError,
)

if TYPE_CHECKING:
    from pyodide_msgchan._port.port import MessagePort

__all__ = ["PortCore", "PortState", "core_of"]


_awaited: Final[set[PortCore]] = set()
"""The ports whose end a task waits for; nothing else may keep such a task alive."""


class PortState(Enum):
    """The states of a port, in their order: a port never returns to an earlier one."""

    OPEN = "open"
    """Both sides can send."""
    DRAINING = "peer gone"
    """The peer has ended, and messages that it had sent are still to arrive."""
    CLOSED = "closed"
    """No message arrives any more; those in the buffer can be consumed."""
    DETACHED = "transferred"
    """The native port was transferred."""


@final
class PortCore:
    """One port below its public object: its state, its queue, its endpoint and its requests.

    `peer_ended`, `check_drained`, `close`, `end`, `detach` and `mark_detached` are the only
    transitions between states. Each has no effect in a later state.

    Attributes:
        endpoint: the native end of the channel, or one in memory.
        queue: the messages that arrived.
        requests: the requests that wait for their answers.
        state: the state.
        transferable: True if the port can be sent to others.
        close_channel: closes the channel of a connection; its keyword `goodbye` tells whether this
            side ends it. None for a bare port, of which only the endpoint is closed.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.queue: MessageQueue = MessageQueue(endpoint)
        self.queue.on_notices = self.handle_notices
        self.requests: OpenRequests = OpenRequests()
        self.state: PortState = PortState.OPEN
        self.transferable = True
        self.close_channel: Callable[..., None] | None = None
        self._reason: Callable[[], Exception] = PortClosedError
        self._expected = 0
        self._partner: weakref.ref[PortCore] | None = None
        self._close_waiters: dict[Waiter, None] = {}

    # State

    @property
    def ended(self) -> bool:
        """True if nothing arrives any more."""
        return self.state is PortState.CLOSED or self.state is PortState.DETACHED

    def closed_error(self) -> Exception:
        """Return the error that using this port raises, unless it is open."""
        return self._reason()

    def check_open(self) -> None:
        """Raise the error of this port unless both sides can send."""
        if self.state is not PortState.OPEN:
            raise self._reason()

    def partner(self) -> PortCore | None:
        """Return the other end if it is in this interpreter, else None."""
        return None if self._partner is None else self._partner()

    def entangle(self, other: PortCore) -> None:
        """Record that two ports are the ends of one channel in this interpreter."""
        self._partner, other._partner = weakref.ref(other), weakref.ref(self)

    def describe(self) -> str:
        """Return the state and the number of buffered messages, for a `repr`."""
        state = self.state.value
        if self.state is PortState.CLOSED and self._reason is not PortClosedError:
            state = "ended"
        count = len(self.queue.buffer)
        return f"{state}, {count} buffered" if count else state

    def disentangle(self) -> None:
        """Record that the other end has left this interpreter."""
        self._partner = None

    # Transitions

    def close(self, *, lost: bool = False) -> None:
        """Close this side, and discard what was not consumed.

        Args:
            lost: True if the user has dropped the port without closing it.
        """
        if self.ended:
            return
        goodbye = self.state is PortState.OPEN
        partner, sent = self.partner(), self.endpoint.sent()
        answers = None if partner is None else self.endpoint.answers()
        self._set_ended(PortState.CLOSED, PortClosedError, drop=True)
        self.requests.end(PortClosedError)
        self._close_channel(goodbye=goodbye)
        if partner is not None:
            reason = PeerLostError if lost else PeerClosedError
            partner.peer_ended(sent, reason, answers=answers)

    def peer_ended(
        self, sent: int, reason: Callable[[], Exception], *, answers: int | None = None
    ) -> None:
        """Record that the peer has ended; the messages that it had sent are delivered first.

        Args:
            sent: the number of messages that the peer had sent.
            reason: returns the error that tells how it ended.
            answers: the number of requests that it has answered, if that is known.
        """
        if self.state is not PortState.OPEN:
            return
        self.state, self._reason, self._expected = PortState.DRAINING, reason, sent
        self.requests.expected = answers
        self.queue.on_received = self.check_drained
        wake_all(self._close_waiters)
        self.check_drained()

    def expect(self, sent: int, reason: Callable[[], Exception]) -> None:
        """Correct what `peer_ended` has recorded: other messages will not arrive any more."""
        if self.state is PortState.DRAINING:
            self._expected, self._reason = sent, reason
            self.check_drained()

    def check_drained(self) -> None:
        """End this port once every message that the peer had sent was received."""
        if self.state is not PortState.DRAINING or self.queue.received < self._expected:
            return
        self.queue.keep_events()
        self._set_ended(PortState.CLOSED, self._reason, drop=False)
        self._close_channel(goodbye=False)
        # An answer may have been sent before the end, on its own channel.
        self.requests.await_answers(self._reason)

    def end(self, reason: Callable[[], Exception], *, drop: bool) -> None:
        """End this port without a goodbye to the peer.

        Args:
            reason: returns the error that using the port raises from now on.
            drop: True to discard what was not consumed.
        """
        if not self.ended:
            self._set_ended(PortState.CLOSED, reason, drop=drop)
            self.requests.end(reason)
            self._close_channel(goodbye=False)

    def detach(self) -> None:
        """Record that this port was transferred: its native port lives on elsewhere."""
        if not self.ended:
            self.mark_detached()
            self.endpoint.detach()

    def mark_detached(self) -> None:
        """Record that another object has taken over the endpoint of this port."""
        partner = self.partner()
        if partner is not None:
            partner.disentangle()
        self._set_ended(PortState.DETACHED, PortDetachedError, drop=True)
        self.requests.end(PortDetachedError)

    def dispose(self) -> None:
        """Close the channel of a port that was dropped, or release a port that JavaScript has."""
        if self.close_channel is None and not self.endpoint.private:
            self.endpoint.release()
            self.queue.on_notices = None  # see `MessageQueue.end`
        else:
            self.close(lost=True)

    def _set_ended(self, state: PortState, reason: Callable[[], Exception], *, drop: bool) -> None:
        self.state, self._reason = state, reason
        self.queue.end(reason, drop=drop)
        self.tell_reader()
        wake_all(self._close_waiters)

    def tell_reader(self) -> None:
        """Tell the remote calls of the end, once they have got every message."""
        queue = self.queue
        if self.ended and queue.reader is not None and not queue.buffer:
            reader, queue.reader = queue.reader, None
            reader.on_end(self._reason)

    def _close_channel(self, *, goodbye: bool) -> None:
        if self.close_channel is None:
            self.endpoint.close()
        else:
            self.queue.on_consumed = None
            close, self.close_channel = self.close_channel, None
            close(goodbye=goodbye)

    # Waiting for the end

    async def wait_or_closed(self, waiter: Waiter) -> None:
        """Wait until the waiter is woken, or the port is no longer open."""
        self._close_waiters[waiter] = None
        _awaited.add(self)
        try:
            await waiter
        finally:
            self._close_waiters.pop(waiter, None)
            if not self._close_waiters:
                _awaited.discard(self)

    # Arrival

    def handle_notices(self, notices: Sequence[Notice]) -> None:
        """Report messages that can't be read, and note the browser's own `close` event."""
        self.queue.report_unreadable(notices)
        if any(notice.kind == "close" for notice in notices):
            asyncio.get_event_loop().call_soon(self._on_native_close)

    def _on_native_close(self) -> None:
        """End this port on the browser's own `close` event, which comes after all messages."""
        self.peer_ended(self.queue.received, PeerClosedError)

    def count_received(self) -> None:
        """Count a message that was received without passing through the buffer."""
        self.queue.received += 1
        if self.queue.on_consumed is not None:
            self.queue.on_consumed()
        if self.state is PortState.DRAINING:
            self.check_drained()


def core_of(port: MessagePort) -> PortCore:
    """Return the core of a port."""
    return port._core  # noqa: SLF001 - the only place that reads it from outside

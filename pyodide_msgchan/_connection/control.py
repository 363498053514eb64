"""The control channel of a connection: goodbyes, heartbeats, liveness checks, acknowledgements."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, final

from pyodide_msgchan._connection.environment import ChannelPair
from pyodide_msgchan._connection.flow_control import AckRequests, Outstanding, SendWindow
from pyodide_msgchan._connection.wire import PeerInfo, peer_info
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._origins import parse
from pyodide_msgchan._port.core import PortCore
from pyodide_msgchan._port.unreadable import MAX_REASON_LENGTH, message_error
from pyodide_msgchan._port.waiter import Waiter, wake_all
from pyodide_msgchan.errors import MessageError, PeerClosedError, PeerLostError, PortClosedError

if TYPE_CHECKING:
    from pyodide_msgchan._connection.connection import Connection

__all__ = ["ControlChannel", "Introduction"]


GOODBYE_GRACE: Final = 0.04
"""Seconds to wait for a goodbye after another sign of the peer's end."""


LIVENESS_TIMEOUT: Final = 2.0
"""Seconds in which a peer must answer a liveness check."""


MESSAGE_GRACE: Final = 1.0
"""Seconds without a message after which the messages that a goodbye counted are missing."""


UNKNOWN_COUNT: Final = 2**53
"""The number of messages of a peer that does not count them."""


MAX_INTRODUCTIONS: Final = 256
"""The limit of introductions that wait for `introduced`; further ones are refused."""


MAX_MISSED_HEARTBEATS: Final = 2
"""Heartbeats without an answer after which the peer is lost."""


def _do_nothing() -> None:
    """Ignore the end of the peer."""


@final
class Introduction:
    """A connection to another page, made by the peer and not taken by `introduced` yet.

    Attributes:
        info: the introducing page's description of the new peer.
        lane: "clone" if the introducing page forbids the packed lane.
        message: the message that the introducing page sent along.
        opened: the connection, while `introduced` waits for its lane.
    """

    def __init__(
        self, channels: ChannelPair, message: dict[str, Any], ports: Sequence[Any]
    ) -> None:
        self._channels = channels
        self._ports: Sequence[Any] | None = ports
        self.info: PeerInfo = peer_info(message.get("origin"), message)
        self.lane = message.get("lane")
        self.message = message.get("message")
        self.opened: Connection | None = None

    def adopt(self) -> ChannelPair | None:
        """Return the channels of its ports; None if this page already uses them."""
        ports, self._ports = self._ports, None
        return None if ports is None else self._channels.adopt(ports)

    def refuse(self) -> None:
        """Send a goodbye to the new peer and close the ports."""
        ports, self._ports = self._ports, None
        if ports is not None:
            self._channels.discard(ports)
        if self.opened is not None:
            self.opened.close()

    def __del__(self) -> None:
        """Refuse the introduction if it was not taken."""
        with contextlib.suppress(Exception):  # The interpreter may be shutting down.
            self.refuse()


def _is_origin(origin: Any) -> bool:
    """Return True for None and for an origin as ``event.origin`` writes it."""
    try:
        return origin is None or origin == "null" or parse(origin) == origin
    except (TypeError, ValueError):
        return False


def _peer_end(*, lost: bool, missing: int | None) -> Callable[[], Exception]:
    """Return the function that returns the error of a peer that has ended."""
    return partial(PeerLostError, missing=missing) if lost else PeerClosedError


def _page_hidden_error() -> PortClosedError:
    return PortClosedError("this page went into the back/forward cache, which ended the connection")


def _unreadable_error(reason: object) -> MessageError:
    """Return the error of a request that the other side could not read."""
    if type(reason) is not str:
        return MessageError("the other side could not read it")
    return MessageError(f"on the other side {reason:.{MAX_REASON_LENGTH}}")


@final
class ControlChannel:
    """The control channel of a connection: its end, its liveness and its flow control."""

    def __init__(
        self,
        channels: ChannelPair,
        heartbeat: float | None,
        on_ended: Callable[[], None],
        on_peer_left: Callable[[], None] = _do_nothing,
        lock_name: str = "",
    ) -> None:
        self.channels = channels
        self.lock_name = lock_name
        self._on_peer_left = on_peer_left
        self._core: PortCore | None = None
        self._on_ended: Callable[[], None] | None = on_ended
        self._loop = asyncio.get_running_loop()
        self.heartbeat = heartbeat
        self._last_heard = self._heartbeat_due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._liveness_timer: asyncio.TimerHandle | None = None
        self._goodbye_received = False
        self._peer_lost = False
        self._drain_waiters: dict[Waiter, None] = {}
        self.send_window = SendWindow()
        self._ack_requests = AckRequests()
        self.introductions: deque[Introduction] = deque()
        self.introduction_waiters: list[Waiter] = []
        """The calls that wait for an introduction, or for the lane of one."""
        self.lane: str | None = None
        """The lane that the peer of an introduction asks for, once it has taken its end."""

    def start(self, core: PortCore) -> None:
        """Serve the port of a connection."""
        self._core = core
        core.transferable = False
        core.close_channel = self.close
        core.queue.on_notices = self._on_data_notices
        if self.heartbeat is not None:
            self._schedule_heartbeat(self.heartbeat)

    def on_message(self, message: Any, ports: Sequence[Any] = ()) -> None:
        """Handle a control message or a notice."""
        core = self._core
        if core is None:
            return
        self._last_heard = self._loop.time()
        if isinstance(message, Notice):
            self._on_notice(core, message)
            return
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "ping":
            number = message.get("n")
            if isinstance(number, (int, float)):  # Other values might not be sendable.
                self.channels.send({"type": "pong", "n": number})
        elif kind == "pong" and self._liveness_timer is not None:
            self._liveness_timer.cancel()
            self._liveness_timer = None
        elif kind == "mark":
            self._ack_requests.add(message.get("n"))
            self._acknowledge()
        elif kind == "taken" and self.send_window.on_consumed(message.get("n")):
            wake_all(self._drain_waiters)
        elif kind == "unreadable":
            core.requests.fail(message.get("n"), _unreadable_error(message.get("reason")))
        elif kind == "goodbye" and not self._goodbye_received:
            self._on_goodbye(core, message)
        elif kind in ("introduction", "lane"):
            self._on_introduction(message, ports)

    def _on_notice(self, core: PortCore, notice: Notice) -> None:
        """Handle a sign of the peer's end or of this page's, or a message that can't be read."""
        if notice.kind == "gone":
            self._presume_lost()
        elif notice.kind == "maybe-gone":
            self.verify_alive()
        elif notice.kind == "hidden":
            core.end(_page_hidden_error, drop=False)  # JavaScript has sent the goodbye already.
        elif notice.kind == "messageerror":
            # It was an introduction: no other control message carries users' values.
            core.handle_notices([notice])

    def _on_introduction(self, message: dict[str, Any], ports: Sequence[Any]) -> None:
        """Store an introduction, or the lane that an introduced peer asks for."""
        if message["type"] == "lane":
            self.lane = self.lane or ("packed" if message.get("lane") == "packed" else "clone")
            self.wake_introduction_waiters()
            return
        full = len(self.introductions) >= MAX_INTRODUCTIONS
        if full or len(ports) != len(("data", "control")) or not _is_origin(message.get("origin")):
            self.channels.discard(ports)
            return
        self.introductions.append(Introduction(self.channels, message, ports))
        self.wake_introduction_waiters()

    def wake_introduction_waiters(self) -> None:
        """Wake every call that waits for an introduction; it checks again."""
        wake_all(self.introduction_waiters)

    def _acknowledge(self) -> None:
        """Acknowledge the consumed messages if that is due, and watch for the next request."""
        core = self._core
        if core is None:
            return
        consumed = core.queue.received - len(core.queue.buffer)
        due = self._ack_requests.next
        if due is not None and consumed >= due:
            self.channels.send({"type": "taken", "n": self._ack_requests.take_reached(consumed)})
        core.queue.on_consumed = None if self._ack_requests.next is None else self._acknowledge

    def _on_data_notices(self, notices: Sequence[Notice]) -> None:
        """Handle the notices of the data channel.

        The peer is told which of its messages could not be read, since it may be a request.
        """
        core = self._core
        if core is None:
            return
        core.handle_notices(notices)
        for notice in notices:
            told = self._on_ended is not None and not self._goodbye_received
            if notice.kind == "messageerror" and told:
                reason = str(message_error(notice))
                self.channels.send({"type": "unreadable", "n": notice.number, "reason": reason})

    # Flow control

    def request_ack(self) -> Outstanding:
        """Return what was sent so far, and request an acknowledgement if one is due."""
        data = self.channels.data
        sent = Outstanding(data.sent(), data.sent_bytes())
        requested = self.send_window.request_ack(sent)
        if requested is not None:
            self.channels.send({"type": "mark", "n": requested})
        return sent

    def set_high_water(self, high: Outstanding) -> None:
        """Set how much may be outstanding before a sender waits."""
        self.send_window.high = high
        wake_all(self._drain_waiters)  # each waiting `drain` checks again

    async def wait_for_credit(self) -> None:
        """Wait for the next acknowledgement, or the end of the connection."""
        if self._core is None:
            return
        waiter = Waiter(self._loop)
        self._drain_waiters[waiter] = None
        try:
            await self._core.wait_or_closed(waiter)
        finally:
            del self._drain_waiters[waiter]

    # The end

    def verify_alive(self) -> None:
        """Start a liveness check of the peer, whose window may show another page."""
        if not self._goodbye_received and self._liveness_timer is None:
            self.channels.send({"type": "ping", "n": 0})
            self._liveness_timer = self._loop.call_later(LIVENESS_TIMEOUT, self._presume_lost)

    def _presume_lost(self) -> None:
        """Mark the peer as lost once its last messages have left the browser's queue."""
        if not self._goodbye_received:
            self.channels.expect(-1)
            self._start_timer(GOODBYE_GRACE, self._mark_peer_lost)

    def _on_goodbye(self, core: PortCore, message: dict[str, Any]) -> None:
        self._goodbye_received = True
        self._on_peer_left()
        sent: Any = message.get("sent")
        answers: Any = message.get("answers")
        sent_known = type(sent) is int and 0 <= sent < UNKNOWN_COUNT
        answers_known = type(answers) is int and 0 <= answers < UNKNOWN_COUNT
        expected: int = sent if sent_known else UNKNOWN_COUNT
        self.channels.expect(expected if sent_known else 0)
        self._peer_lost = message.get("reason") != "close"
        reason = _peer_end(lost=self._peer_lost, missing=0)
        core.peer_ended(expected, reason, answers=answers if answers_known else None)
        if self._on_ended is not None:  # The connection has not ended yet: messages are missing.
            self._await_missing(-1, sent if sent_known else None)

    def _await_missing(self, before: int, sent: int | None) -> None:
        """Wait for the messages that the goodbye counted, until no more arrive in the grace."""
        core, arrived = self._core, self.channels.data.received()
        if core is None or (sent is not None and arrived >= sent):
            return
        if arrived > before:
            self._start_timer(MESSAGE_GRACE, lambda: self._await_missing(arrived, sent))
        else:
            missing = None if sent is None else sent - arrived
            lost = self._peer_lost or bool(missing)
            core.expect(arrived, _peer_end(lost=lost, missing=missing))

    def _mark_peer_lost(self) -> None:
        core = self._core
        if core is None or self._goodbye_received:
            return
        self._on_peer_left()
        # The peer may only have been busy. It must learn that nobody will answer it any more.
        counts = {"sent": self.channels.data.sent(), "answers": self.channels.data.answers()}
        self.channels.send({"type": "goodbye", "reason": "lost", **counts})
        core.peer_ended(self.channels.data.received(), PeerLostError)

    def _start_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, callback)

    def _schedule_heartbeat(self, heartbeat: float) -> None:
        self._heartbeat_due = self._loop.time() + heartbeat
        self._heartbeat_timer = self._loop.call_later(heartbeat, self._send_heartbeat, heartbeat)

    def _send_heartbeat(self, heartbeat: float) -> None:
        """Send a ping; the peer is lost if it missed too many while this thread was on time."""
        now = self._loop.time()
        if now - self._heartbeat_due > heartbeat / 2:
            self._last_heard = now
        if now - self._last_heard > MAX_MISSED_HEARTBEATS * heartbeat:
            self._presume_lost()
            return
        self.channels.send({"type": "ping", "n": math.floor(now * 1000)})
        self._schedule_heartbeat(heartbeat)

    def close(self, *, goodbye: bool) -> None:
        """Close both channels. Calling it again has no effect."""
        on_ended, self._on_ended = self._on_ended, None
        if on_ended is None:
            return
        for timer in (self._timer, self._heartbeat_timer, self._liveness_timer):
            if timer is not None:
                timer.cancel()
        if goodbye:  # Else the peer has ended, and introductions that came before can be taken.
            while self.introductions:
                self.introductions.popleft().refuse()
        self.channels.close(goodbye=goodbye)
        on_ended()

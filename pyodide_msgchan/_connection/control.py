"""The control channel of a connection: goodbyes, heartbeats, liveness checks, acknowledgements."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from pyodide_msgchan._connection.environment import ChannelPair
from pyodide_msgchan._connection.flow_control import AckRequests, SendWindow
from pyodide_msgchan._connection.wire import PeerInfo, peer_info
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._origins import parse
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.waiter import Waiter

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


def _no_connection() -> None:
    """Return None: the connection does not exist yet."""


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


@final
class ControlChannel:
    """The control channel of a connection: its end, its liveness and its flow control."""

    def __init__(
        self,
        channels: ChannelPair,
        heartbeat: float | None,
        on_ended: Callable[[], None],
        on_peer_left: Callable[[], None] = _do_nothing,
    ) -> None:
        self.channels = channels
        self._on_peer_left = on_peer_left
        self.connection: Callable[[], Connection | None] = _no_connection
        self._on_ended: Callable[[], None] | None = on_ended
        self._loop = asyncio.get_running_loop()
        self.heartbeat = heartbeat
        self._last_heard = self._heartbeat_due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._liveness_timer: asyncio.TimerHandle | None = None
        self._goodbye_received = False
        self.send_window = SendWindow()
        self._ack_requests = AckRequests()
        self.introductions: deque[Introduction] = deque()
        self.introduction_waiters: list[Waiter] = []
        """The calls that wait for an introduction, or for the lane of one."""
        self.lane: str | None = None
        """The lane that the peer of an introduction asks for, once it has taken its end."""

    def start(self, connection: Callable[[], Connection | None]) -> None:
        """Serve a connection, given as a weak reference."""
        self.connection = connection
        if self.heartbeat is not None:
            self._schedule_heartbeat(self.heartbeat)

    def on_message(self, message: Any, ports: Sequence[Any] = ()) -> None:
        """Handle a control message or a notice."""
        connection = self.connection()
        if connection is None:
            return
        self._last_heard = self._loop.time()
        if isinstance(message, Notice):
            self._on_notice(connection, message)
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
            connection._wake_drains()
        elif kind == "unreadable":
            connection._fail_request(message.get("n"), message.get("reason"))
        elif kind == "goodbye" and not self._goodbye_received:
            self._on_goodbye(connection, message)
        elif kind in ("introduction", "lane"):
            self._on_introduction(message, ports)

    def _on_notice(self, connection: Connection, notice: Notice) -> None:
        """Handle a sign of the peer's end or of this page's, or a message that can't be read."""
        if notice.kind == "gone":
            self._presume_lost()
        elif notice.kind == "maybe-gone":
            self.verify_alive()
        elif notice.kind == "hidden":
            connection._on_pagehide()
        elif notice.kind == "messageerror":
            # It was an introduction: no other control message carries users' values.
            MessagePort._handle_notices(connection, [notice])

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
        """Let every call that waits for an introduction check again."""
        for waiter in self.introduction_waiters:
            if not waiter.done():
                waiter.wake_soon()

    def _acknowledge(self) -> None:
        """Acknowledge the consumed messages if that is due, and watch for the next request."""
        connection = self.connection()
        if connection is None:
            return
        consumed = connection._received_count - len(connection._buffer)
        due = self._ack_requests.next
        if due is not None and consumed >= due:
            self.channels.send({"type": "taken", "n": self._ack_requests.take_reached(consumed)})
        connection._on_consumed = None if self._ack_requests.next is None else self._acknowledge

    def tell_unreadable(self, number: int, reason: str) -> None:
        """Tell the peer which of its messages could not be read, since it may be a request."""
        if self._on_ended is not None and not self._goodbye_received:
            self.channels.send({"type": "unreadable", "n": number, "reason": reason})

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

    def _on_goodbye(self, connection: Connection, message: dict[str, Any]) -> None:
        self._goodbye_received = True
        self._on_peer_left()
        sent: Any = message.get("sent")
        answers: Any = message.get("answers")
        sent_known = type(sent) is int and 0 <= sent < UNKNOWN_COUNT
        answers_known = type(answers) is int and 0 <= answers < UNKNOWN_COUNT
        expected: int = sent if sent_known else UNKNOWN_COUNT
        self.channels.expect(expected if sent_known else 0)
        connection._missing = 0
        lost = message.get("reason") != "close"
        connection._peer_ended(expected, lost=lost, answers=answers if answers_known else None)
        if self._on_ended is not None:  # The connection has not ended yet: messages are missing.
            self._await_missing(-1, sent if sent_known else None)

    def _await_missing(self, before: int, sent: int | None) -> None:
        """Wait for the messages that the goodbye counted, until no more arrive in the grace."""
        connection, arrived = self.connection(), self.channels.data.received()
        if connection is None or (sent is not None and arrived >= sent):
            return
        if arrived > before:
            self._start_timer(MESSAGE_GRACE, lambda: self._await_missing(arrived, sent))
        else:
            connection._give_up_missing(arrived, None if sent is None else sent - arrived)

    def _mark_peer_lost(self) -> None:
        connection = self.connection()
        if connection is None or self._goodbye_received:
            return
        self._on_peer_left()
        # The peer may only have been busy. It must learn that nobody will answer it any more.
        counts = {"sent": self.channels.data.sent(), "answers": self.channels.data.answers()}
        self.channels.send({"type": "goodbye", "reason": "lost", **counts})
        connection._peer_ended(self.channels.data.received(), lost=True)

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
        if (
            goodbye
        ):  # Otherwise the peer has ended, and introductions that came before can be taken.
            while self.introductions:
                self.introductions.popleft().refuse()
        self.channels.close(goodbye=goodbye)
        on_ended()

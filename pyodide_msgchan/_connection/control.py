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
"""Seconds that a goodbye may still take after another sign of the peer's end."""


LIVENESS_TIMEOUT: Final = 2.0
"""Seconds to answer for a peer in whose window another page may be."""


MESSAGE_GRACE: Final = 1.0
"""Seconds without a message after which the rest of what a goodbye counted is given up."""


UNKNOWN_COUNT: Final = 2**53
"""Stands for the number of messages a peer sent, where it can't tell."""


MAX_INTRODUCTIONS: Final = 256
"""Introductions that wait for `introduced`; further ones are refused."""


MAX_MISSED_HEARTBEATS: Final = 2
"""Heartbeats without a sign of life after which the peer is lost."""


def _no_connection() -> None:
    """Stand for a connection that is not there yet."""


def _do_nothing() -> None:
    """Stand for whoever would be told that the other side has gone."""


@final
class Introduction:
    """A connection to another page, made by the one at a connection's other end; not yet taken.

    Attributes:
        info: who is there, in the introducing page's words.
        lane: "clone" if the introducing page wants that.
        message: what it sent along.
        opened: the connection, once somebody was to have it.
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
        """Return the link of its ports; None if somebody else in this page has them."""
        ports, self._ports = self._ports, None
        return None if ports is None else self._channels.adopt(ports)

    def refuse(self) -> None:
        """Say goodbye to who is there, for nobody here takes it."""
        ports, self._ports = self._ports, None
        if ports is not None:
            self._channels.discard(ports)
        if self.opened is not None:
            self.opened.close()

    def __del__(self) -> None:
        """Refuse it if nobody took it."""
        with contextlib.suppress(Exception):  # the interpreter may be on its way out
            self.refuse()


def _is_origin(origin: Any) -> bool:
    """Return True if it is None, or an origin in the form that events have it."""
    try:
        return origin is None or origin == "null" or parse(origin) == origin
    except (TypeError, ValueError):
        return False


@final
class ControlChannel:
    """The control channel of a connection: who says goodbye, is still there, took how much."""

    def __init__(
        self,
        channels: ChannelPair,
        heartbeat: float | None,
        ended: Callable[[], None],
        peer_left: Callable[[], None] = _do_nothing,
    ) -> None:
        self.channels = channels
        self._peer_left = peer_left
        self.connection: Callable[[], Connection | None] = _no_connection
        self._ended: Callable[[], None] | None = ended
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
        self.takers: list[Waiter] = []
        """Who waits for an introduction, or for the lane of one."""
        self.lane: str | None = None
        """What the other side of an introduction asks for, once it took it."""

    def start(self, connection: Callable[[], Connection | None]) -> None:
        """Serve a connection, which is asked for weakly."""
        self.connection = connection
        if self.heartbeat is not None:
            self._schedule_heartbeat(self.heartbeat)

    def heard(self, message: Any, ports: Sequence[Any] = ()) -> None:
        """Take a control message, or a sign of the other side's end."""
        connection = self.connection()
        if connection is None:
            return
        self._last_heard = self._loop.time()
        if isinstance(message, Notice):
            self._noticed(connection, message)
            return
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "ping":
            number = message.get("n")
            if isinstance(number, (int, float)):  # anything else might not even be sendable
                self.channels.send({"type": "pong", "n": number})
        elif kind == "pong" and self._liveness_timer is not None:
            self._liveness_timer.cancel()
            self._liveness_timer = None
        elif kind == "mark":
            self._ack_requests.set(message.get("n"))
            self._acknowledge()
        elif kind == "taken" and self.send_window.on_consumed(message.get("n")):
            connection._wake_drains()
        elif kind == "unreadable":
            connection._fail_request(message.get("n"), message.get("reason"))
        elif kind == "goodbye" and not self._goodbye_received:
            self._goodbye(connection, message)
        elif kind in ("introduction", "lane"):
            self._introduced(message, ports)

    def _noticed(self, connection: Connection, notice: Notice) -> None:
        """Take a sign of the other side's end, or of this page's."""
        if notice.kind == "gone":
            self._presume_lost()
        elif notice.kind == "doubt":
            self.verify_alive()
        elif notice.kind == "hidden":
            connection._on_pagehide()
        elif notice.kind == "messageerror":  # an introduction: nothing else carries users' values
            MessagePort._handle_notices(connection, [notice])

    def _introduced(self, message: dict[str, Any], ports: Sequence[Any]) -> None:
        """Keep an introduction, or the word of who was introduced, for whoever asks for it."""
        if message["type"] == "lane":
            self.lane = self.lane or ("packed" if message.get("lane") == "packed" else "clone")
            self.wake_takers()
            return
        full = len(self.introductions) >= MAX_INTRODUCTIONS
        if full or len(ports) != len(("data", "control")) or not _is_origin(message.get("origin")):
            self.channels.discard(ports)
            return
        self.introductions.append(Introduction(self.channels, message, ports))
        self.wake_takers()

    def wake_takers(self) -> None:
        """Let those who wait for an introduction look again."""
        for waiter in self.takers:
            if not waiter.done():
                waiter.wake_soon()

    def _acknowledge(self) -> None:
        """Say how many messages were taken, if that reaches a mark; and see to the next one."""
        connection = self.connection()
        if connection is None:
            return
        taken = connection._received_count - len(connection._buffer)
        wanted = self._ack_requests.next
        if wanted is not None and taken >= wanted:
            self.channels.send({"type": "taken", "n": self._ack_requests.reached(taken)})
        connection._on_consumed = None if self._ack_requests.next is None else self._acknowledge

    def tell_unreadable(self, number: int, reason: str) -> None:
        """Tell the other side which of its messages could not be read here; it may be a request."""
        if self._ended is not None and not self._goodbye_received:
            self.channels.send({"type": "unreadable", "n": number, "reason": reason})

    def verify_alive(self) -> None:
        """Ask whether the other side is still there: its window may show another page."""
        if not self._goodbye_received and self._liveness_timer is None:
            self.channels.send({"type": "ping", "n": 0})
            self._liveness_timer = self._loop.call_later(LIVENESS_TIMEOUT, self._presume_lost)

    def _presume_lost(self) -> None:
        """Take the other side for lost, once what it had sent is out of the browser's queue."""
        if not self._goodbye_received:
            self.channels.expect(-1)
            self._wait(GOODBYE_GRACE, self._peer_lost)

    def _goodbye(self, connection: Connection, message: dict[str, Any]) -> None:
        self._goodbye_received = True
        self._peer_left()
        sent: Any = message.get("sent")
        answers: Any = message.get("answers")
        known = type(sent) is int and 0 <= sent < UNKNOWN_COUNT
        counted = type(answers) is int and 0 <= answers < UNKNOWN_COUNT
        expected: int = sent if known else UNKNOWN_COUNT
        self.channels.expect(expected if known else 0)
        connection._missing = 0
        lost = message.get("reason") != "close"
        connection._peer_ended(expected, lost=lost, answers=answers if counted else None)
        if self._ended is not None:  # else that was the end
            self._await_missing(-1, sent if known else None)

    def _await_missing(self, before: int, sent: int | None) -> None:
        """Return up what was counted and does not come any more."""
        connection, arrived = self.connection(), self.channels.data.received()
        if connection is None or (sent is not None and arrived >= sent):
            return
        if arrived > before:
            self._wait(MESSAGE_GRACE, lambda: self._await_missing(arrived, sent))
        else:
            connection._give_up_missing(arrived, None if sent is None else sent - arrived)

    def _peer_lost(self) -> None:
        connection = self.connection()
        if connection is None or self._goodbye_received:
            return
        self._peer_left()
        # It may have been busy only: then it must not wait for ever for what nobody answers.
        counts = {"sent": self.channels.data.sent(), "answers": self.channels.data.answers()}
        self.channels.send({"type": "goodbye", "reason": "lost", **counts})
        connection._peer_ended(self.channels.data.received(), lost=True)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then)

    def _schedule_heartbeat(self, heartbeat: float) -> None:
        self._heartbeat_due = self._loop.time() + heartbeat
        self._heartbeat_timer = self._loop.call_later(heartbeat, self._send_heartbeat, heartbeat)

    def _send_heartbeat(self, heartbeat: float) -> None:
        """Ask whether the other side is alive; judge it only if this thread was not late itself."""
        now = self._loop.time()
        if now - self._heartbeat_due > heartbeat / 2:
            self._last_heard = now
        if now - self._last_heard > MAX_MISSED_HEARTBEATS * heartbeat:
            self._presume_lost()
            return
        self.channels.send({"type": "ping", "n": math.floor(now * 1000)})
        self._schedule_heartbeat(heartbeat)

    def close(self, *, goodbye: bool) -> None:
        """Release both channels; once."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        for timer in (self._timer, self._heartbeat_timer, self._liveness_timer):
            if timer is not None:
                timer.cancel()
        if goodbye:  # else what came before the other side's end can still be taken
            while self.introductions:
                self.introductions.popleft().refuse()
        self.channels.close(goodbye=goodbye)
        ended()

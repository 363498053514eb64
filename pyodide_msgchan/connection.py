"""The connection: a port that knows who is at its other end, and when that end is gone."""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Self, final

from ._credit import Credit, Marks, Outstanding
from ._origin import parse
from ._printing import short_repr
from ._types import Link, Notice
from ._unread import LONGEST_REASON, message_error
from ._waiter import Waiter
from ._wire import PeerInfo, peer_info
from .errors import MessageError, PeerLostError, PortClosedError, PortStateError
from .port import MessagePort

__all__ = ["Connection", "Control", "Outstanding", "Peer"]

SIGN_GRACE: Final = 0.04
"""Seconds that a goodbye may still take after another sign of the peer's end."""

DOUBT: Final = 2.0
"""Seconds to answer for a peer in whose window another page may be."""

MESSAGE_GRACE: Final = 1.0
"""Seconds without a message after which the rest of what a goodbye counted is given up."""

UNKNOWN: Final = 2**53
"""Stands for the number of messages a peer sent, where it can't tell."""

MOST_INTRODUCTIONS: Final = 256
"""Introductions that wait for `introduced`; further ones are refused."""

MISSED: Final = 2
"""Heartbeats without a sign of life after which the peer is lost."""


class Peer(NamedTuple):
    """The other side of a connection, as the browser and it itself say.

    Attributes:
        origin: of the page, checked by the browser; "null" where that is opaque, None for a worker.
            Of a peer met by introduction it is what the introducing page says.
        runtime: what it runs on: "pyodide 314.0.7", "javascript". Its own word, like the rest.
        version: of this package over there.
        capabilities: what it can do: "credit" if it says what was taken, for `drain`; "packed" if
            it would speak that lane with this side.
    """

    origin: str | None
    runtime: str
    version: str
    capabilities: frozenset[str]


class Connection(MessagePort):
    """A `MessagePort` to a page or worker that was checked when it was handed over.

    It comes from `connect`, `accept` or `listen`. All that a port does it does too, except that it
    can't be transferred: send a port through it.

    When the other side calls `close`, all it sent is delivered before this side ends, and
    `receive` raises PeerClosedError. When its page is removed, reloaded or navigated away, or its
    worker is terminated, PeerLostError tells, within 100 ms while this page's thread is free. That
    comes from the other page's last word, from its frame element and its window here, and for
    pages of one origin and workers from a Web Lock. Where nothing of that reaches, as with a
    foreign page that crashed, only ``heartbeat=`` sees it.

    Attributes:
        peer: who is there.
        source: its window as a JsProxy, or the worker; None for a peer met by introduction.
        origin_verified: whether the browser checked `peer.origin`; False for a peer met by
            introduction, whose origin is the introducing page's word.
        introduction: what the introducing page sent along; None for a peer met otherwise.
        lane: "packed" if values keep their Python types, "clone" if they become JavaScript's.
    """

    lane: str
    peer: Peer
    source: Any
    origin_verified: bool = True
    introduction: Any = None
    _control: Control
    _lock: str
    _missing: int | None = None
    _drains: dict[Waiter, None]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Refuse: there is nothing to make one of."""
        raise TypeError("a Connection comes from connect(), accept() or listen()")

    @classmethod
    def _open(cls, control: Control, peer: Peer, source: Any, lock: str, lane: str) -> Self:
        self = cls._of(control.link.data)
        self.lane = lane
        if lane == "packed":
            self._endpoint.pack()
        self.peer, self.source, self._lock, self._control = peer, source, lock, control
        self._drains = {}
        control.start(weakref.ref(self))
        return self

    @property
    def outstanding(self) -> Outstanding:
        """How many messages, and bytes, the other side's user has not taken, as far as is known.

        What came there and waits in its buffer counts too. It is known to a quarter of the
        high-water mark. Bytes are those of buffers and text, about; of messages that JavaScript
        posted past this connection only the number is known.

        Raises:
            PortStateError: the connection ended, or the other side can't tell, being no Python.
        """
        return self._control.credit.outstanding(self._look())

    async def drain(self) -> None:
        """Wait while as much is outstanding as the high-water mark says; like asyncio's streams do.

        Call it before or after each `post_message`, or every few of them. A message is taken when
        the other side's `receive` or iteration gave it, or when it went to a listener or to remote
        calls. A peer that takes nothing makes this wait until the connection ends. Cancelling
        loses nothing.

        Raises:
            PortStateError: the other side can't tell, being no Python; ``"credit" in
                connection.peer.capabilities`` says so beforehand.
            PortClosedError: this side closed the connection.
            PeerClosedError: the other side did.
            PeerLostError: the other side vanished.
        """
        while self._control.credit.is_used_up(self._look()):
            waiter = Waiter(asyncio.get_running_loop())
            self._drains[waiter] = None
            try:
                await self._wait_or_close(waiter)
            finally:
                del self._drains[waiter]

    def set_high_water(self, *, messages: int | None = None, bytes: int | None = None) -> None:  # noqa: A002 - the unit
        """Set how much may be outstanding before `drain` waits.

        Args:
            messages: how many; 10,000 at first.
            bytes: their size; 16 MB at first.

        Raises:
            ValueError: one of them is no whole number above 0.
        """
        high = self._control.credit.high
        wanted = [high.messages if messages is None else messages]
        wanted.append(high.bytes if bytes is None else bytes)
        for number in wanted:
            if type(number) is not int or number < 1:
                raise ValueError(
                    f"a high-water mark is a whole number above 0: {short_repr(number)}"
                )
        self._control.credit.high = Outstanding(*wanted)
        self._drain_again()

    def _look(self) -> Outstanding:
        """Give what was sent so far, and set a mark where one is due."""
        if self.closed:
            raise self._ending()
        if "credit" not in self.peer.capabilities:
            raise PortStateError(
                f"the other side ({self.peer.runtime}) does not tell what it took, so nobody can "
                "wait for that; pace it by requests that it answers"
            )
        sent = Outstanding(self._endpoint.sent(), self._endpoint.sent_bytes())
        mark = self._control.credit.mark(sent)
        if mark is not None:
            self._control.link.send({"type": "mark", "n": mark})
        return sent

    def _heed(self, notices: Sequence[Any]) -> None:
        super()._heed(notices)
        for notice in notices:
            if notice.kind == "messageerror":
                self._control.tell_unreadable(notice.number, str(message_error(notice)))

    def _fail_request(self, number: object, reason: object) -> None:
        """End the wait for the answer to a request that the other side could not read."""
        text = f"on the other side {reason:.{LONGEST_REASON}}" if type(reason) is str else ""
        for port in tuple(self._requests):
            if port._asked_as == number:
                port._fail_answer(MessageError(text or "the other side could not read it"))

    def _drain_again(self) -> None:
        """Let those who wait look again."""
        for waiter in self._drains:
            if not waiter.done():
                waiter.wake_soon()

    def _let_go(self) -> None:
        self._on_taken = None
        self._control.close(goodbye=self._expected is None)

    def _abandon(self) -> None:
        self._let_go()

    def _gone(self) -> PortStateError:
        if self._lost:
            return PeerLostError(missing=self._missing)
        return super()._gone()

    def _settle(self, arrived: int, missing: int | None) -> None:
        """Give up what did not come: nothing more is on its way."""
        if self._end is None:
            self._missing = missing
            self._lost = self._lost or bool(missing)
            self._expected = arrived
            self._check_end()

    def _hidden(self) -> None:
        """Be over, since this page was put away: for the other side it is gone."""
        if self._end is None:
            self._expected = 0  # the page said goodbye as it went
            self._conclude(_put_away, drop=False)
            self._let_go()

    def __repr__(self) -> str:
        """Say in which state it is, and with whom."""
        state = super().__repr__().removeprefix("<MessagePort ").removesuffix(">")
        return f"<Connection {state} with {self.peer.origin or 'a worker'}, {self.peer.runtime}>"


def _nobody() -> None:
    """Stand for a connection that is not there yet."""


def _do_nothing() -> None:
    """Stand for whoever would be told that the other side has gone."""


def _put_away() -> PortClosedError:
    return PortClosedError("this page went into the back/forward cache, which ended the connection")


@final
class Introduction:
    """A connection to another page, made by the one at a connection's other end; not yet taken.

    Attributes:
        info: who is there, in the introducing page's words.
        lane: "clone" if the introducing page wants that.
        message: what it sent along.
        opened: the connection, once somebody was to have it.
    """

    def __init__(self, link: Link, message: dict[str, Any], ports: Sequence[Any]) -> None:
        self._link = link
        self._ports: Sequence[Any] | None = ports
        self.info: PeerInfo = peer_info(message.get("origin"), message)
        self.lane = message.get("lane")
        self.message = message.get("message")
        self.opened: Connection | None = None

    def adopt(self) -> Link | None:
        """Return the link of its ports; None if somebody else in this page has them."""
        ports, self._ports = self._ports, None
        return None if ports is None else self._link.adopt(ports)

    def refuse(self) -> None:
        """Say goodbye to who is there, for nobody here takes it."""
        ports, self._ports = self._ports, None
        if ports is not None:
            self._link.discard(ports)
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
class Control:
    """The control channel of a connection: who says goodbye, is still there, took how much."""

    def __init__(
        self,
        link: Link,
        heartbeat: float | None,
        ended: Callable[[], None],
        peer_left: Callable[[], None] = _do_nothing,
    ) -> None:
        self.link = link
        self._peer_left = peer_left
        self.connection: Callable[[], Connection | None] = _nobody
        self._ended: Callable[[], None] | None = ended
        self._loop = asyncio.get_running_loop()
        self.heartbeat = heartbeat
        self._heard = self._due = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._doubt: asyncio.TimerHandle | None = None
        self._said_goodbye = False
        self.credit = Credit()
        self._marks = Marks()
        self.introductions: deque[Introduction] = deque()
        self.takers: list[Waiter] = []
        """Who waits for an introduction, or for the lane of one."""
        self.lane: str | None = None
        """What the other side of an introduction asks for, once it took it."""

    def start(self, connection: Callable[[], Connection | None]) -> None:
        """Serve a connection, which is asked for weakly."""
        self.connection = connection
        if self.heartbeat is not None:
            self._next_beat(self.heartbeat)

    def heard(self, message: Any, ports: Sequence[Any] = ()) -> None:
        """Take a control message, or a sign of the other side's end."""
        connection = self.connection()
        if connection is None:
            return
        self._heard = self._loop.time()
        if isinstance(message, Notice):
            self._noticed(connection, message)
            return
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "ping":
            number = message.get("n")
            if isinstance(number, (int, float)):  # anything else might not even be sendable
                self.link.send({"type": "pong", "n": number})
        elif kind == "pong" and self._doubt is not None:
            self._doubt.cancel()
            self._doubt = None
        elif kind == "mark":
            self._marks.set(message.get("n"))
            self._tell_taken()
        elif kind == "taken" and self.credit.taken(message.get("n")):
            connection._drain_again()
        elif kind == "unreadable":
            connection._fail_request(message.get("n"), message.get("reason"))
        elif kind == "goodbye" and not self._said_goodbye:
            self._goodbye(connection, message)
        elif kind in ("introduction", "lane"):
            self._introduced(message, ports)

    def _noticed(self, connection: Connection, notice: Notice) -> None:
        """Take a sign of the other side's end, or of this page's."""
        if notice.kind == "gone":
            self._suspect()
        elif notice.kind == "doubt":
            self.doubt()
        elif notice.kind == "hidden":
            connection._hidden()
        elif notice.kind == "messageerror":  # an introduction: nothing else carries users' values
            MessagePort._heed(connection, [notice])

    def _introduced(self, message: dict[str, Any], ports: Sequence[Any]) -> None:
        """Keep an introduction, or the word of who was introduced, for whoever asks for it."""
        if message["type"] == "lane":
            self.lane = self.lane or ("packed" if message.get("lane") == "packed" else "clone")
            self.wake_takers()
            return
        full = len(self.introductions) >= MOST_INTRODUCTIONS
        if full or len(ports) != len(("data", "control")) or not _is_origin(message.get("origin")):
            self.link.discard(ports)
            return
        self.introductions.append(Introduction(self.link, message, ports))
        self.wake_takers()

    def wake_takers(self) -> None:
        """Let those who wait for an introduction look again."""
        for waiter in self.takers:
            if not waiter.done():
                waiter.wake_soon()

    def _tell_taken(self) -> None:
        """Say how many messages were taken, if that reaches a mark; and see to the next one."""
        connection = self.connection()
        if connection is None:
            return
        taken = connection._taken - len(connection._buffer)
        wanted = self._marks.next
        if wanted is not None and taken >= wanted:
            self.link.send({"type": "taken", "n": self._marks.reached(taken)})
        connection._on_taken = None if self._marks.next is None else self._tell_taken

    def tell_unreadable(self, number: int, reason: str) -> None:
        """Tell the other side which of its messages could not be read here; it may be a request."""
        if self._ended is not None and not self._said_goodbye:
            self.link.send({"type": "unreadable", "n": number, "reason": reason})

    def doubt(self) -> None:
        """Ask whether the other side is still there: its window may show another page."""
        if not self._said_goodbye and self._doubt is None:
            self.link.send({"type": "ping", "n": 0})
            self._doubt = self._loop.call_later(DOUBT, self._suspect)

    def _suspect(self) -> None:
        """Take the other side for lost, once what it had sent is out of the browser's queue."""
        if not self._said_goodbye:
            self.link.expect(-1)
            self._wait(SIGN_GRACE, self._lost)

    def _goodbye(self, connection: Connection, message: dict[str, Any]) -> None:
        self._said_goodbye = True
        self._peer_left()
        sent: Any = message.get("sent")
        answers: Any = message.get("answers")
        known = type(sent) is int and 0 <= sent < UNKNOWN
        counted = type(answers) is int and 0 <= answers < UNKNOWN
        expected: int = sent if known else UNKNOWN
        self.link.expect(expected if known else 0)
        connection._missing = 0
        lost = message.get("reason") != "close"
        connection._peer_ended(expected, lost=lost, answers=answers if counted else None)
        if self._ended is not None:  # else that was the end
            self._await_rest(-1, sent if known else None)

    def _await_rest(self, before: int, sent: int | None) -> None:
        """Give up what was counted and does not come any more."""
        connection, arrived = self.connection(), self.link.data.received()
        if connection is None or (sent is not None and arrived >= sent):
            return
        if arrived > before:
            self._wait(MESSAGE_GRACE, lambda: self._await_rest(arrived, sent))
        else:
            connection._settle(arrived, None if sent is None else sent - arrived)

    def _lost(self) -> None:
        connection = self.connection()
        if connection is None or self._said_goodbye:
            return
        self._peer_left()
        # It may have been busy only: then it must not wait for ever for what nobody answers.
        counts = {"sent": self.link.data.sent(), "answers": self.link.data.answers()}
        self.link.send({"type": "goodbye", "reason": "lost", **counts})
        connection._peer_ended(self.link.data.received(), lost=True)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then)

    def _next_beat(self, heartbeat: float) -> None:
        self._due = self._loop.time() + heartbeat
        self._beat = self._loop.call_later(heartbeat, self._pulse, heartbeat)

    def _pulse(self, heartbeat: float) -> None:
        """Ask whether the other side is alive; judge it only if this thread was not late itself."""
        now = self._loop.time()
        if now - self._due > heartbeat / 2:
            self._heard = now
        if now - self._heard > MISSED * heartbeat:
            self._suspect()
            return
        self.link.send({"type": "ping", "n": math.floor(now * 1000)})
        self._next_beat(heartbeat)

    def close(self, *, goodbye: bool) -> None:
        """Be done with both channels; once."""
        ended, self._ended = self._ended, None
        if ended is None:
            return
        for timer in (self._timer, self._beat, self._doubt):
            if timer is not None:
                timer.cancel()
        if goodbye:  # else what came before the other side's end can still be taken
            while self.introductions:
                self.introductions.popleft().refuse()
        self.link.close(goodbye=goodbye)
        ended()

"""The connection: a port that knows who is at its other end, and when that end is gone."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from pyodide_msgchan._connection.control import ControlChannel
from pyodide_msgchan._connection.flow_control import Outstanding
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.unreadable import MAX_REASON_LENGTH, message_error
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import MessageError, PeerLostError, PortClosedError, PortStateError

__all__ = ["Connection", "Peer"]


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
    _control: ControlChannel
    _lock_name: str
    _missing: int | None = None
    _drain_waiters: dict[Waiter, None]

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Refuse: there is nothing to make one of."""
        raise TypeError("a Connection comes from connect(), accept() or listen()")

    @classmethod
    def _open(cls, control: ControlChannel, peer: Peer, source: Any, lock: str, lane: str) -> Self:
        self = cls._from_endpoint(control.channels.data)
        self.lane = lane
        if lane == "packed":
            self._endpoint.pack()
        self.peer, self.source, self._lock_name, self._control = peer, source, lock, control
        self._drain_waiters = {}
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
        return self._control.send_window.outstanding(self._refresh_flow_control())

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
        while self._control.send_window.is_used_up(self._refresh_flow_control()):
            waiter = Waiter(asyncio.get_running_loop())
            self._drain_waiters[waiter] = None
            try:
                await self._wait_or_closed(waiter)
            finally:
                del self._drain_waiters[waiter]

    def set_high_water(self, *, messages: int | None = None, bytes: int | None = None) -> None:  # noqa: A002 - the unit
        """Set how much may be outstanding before `drain` waits.

        Args:
            messages: how many; 10,000 at first.
            bytes: their size; 16 MB at first.

        Raises:
            ValueError: one of them is no whole number above 0.
        """
        high = self._control.send_window.high
        wanted = [high.messages if messages is None else messages]
        wanted.append(high.bytes if bytes is None else bytes)
        for number in wanted:
            if type(number) is not int or number < 1:
                raise ValueError(
                    f"a high-water mark is a whole number above 0: {short_repr(number)}"
                )
        self._control.send_window.high = Outstanding(*wanted)
        self._wake_drains()

    def _refresh_flow_control(self) -> Outstanding:
        """Return what was sent so far, and set a mark where one is due."""
        if self.closed:
            raise self._closed_error()
        if "credit" not in self.peer.capabilities:
            raise PortStateError(
                f"the other side ({self.peer.runtime}) does not tell what it took, so nobody can "
                "wait for that; pace it by requests that it answers"
            )
        sent = Outstanding(self._endpoint.sent(), self._endpoint.sent_bytes())
        mark = self._control.send_window.mark(sent)
        if mark is not None:
            self._control.channels.send({"type": "mark", "n": mark})
        return sent

    def _handle_notices(self, notices: Sequence[Any]) -> None:
        super()._handle_notices(notices)
        for notice in notices:
            if notice.kind == "messageerror":
                self._control.tell_unreadable(notice.number, str(message_error(notice)))

    def _fail_request(self, number: object, reason: object) -> None:
        """End the wait for the answer to a request that the other side could not read."""
        text = f"on the other side {reason:.{MAX_REASON_LENGTH}}" if type(reason) is str else ""
        for port in tuple(self._requests):
            if port._request_number == number:
                port._fail_answer(MessageError(text or "the other side could not read it"))

    def _wake_drains(self) -> None:
        """Let those who wait look again."""
        for waiter in self._drain_waiters:
            if not waiter.done():
                waiter.wake_soon()

    def _close_endpoint(self) -> None:
        self._on_consumed = None
        self._control.close(goodbye=self._expected_count is None)

    def _finalize(self) -> None:
        self._close_endpoint()

    def _peer_end_error(self) -> PortStateError:
        if self._peer_lost:
            return PeerLostError(missing=self._missing)
        return super()._peer_end_error()

    def _give_up_missing(self, arrived: int, missing: int | None) -> None:
        """Return up what did not come: nothing more is on its way."""
        if self._end_error is None:
            self._missing = missing
            self._peer_lost = self._peer_lost or bool(missing)
            self._expected_count = arrived
            self._check_end()

    def _on_pagehide(self) -> None:
        """Be over, since this page was put away: for the other side it is gone."""
        if self._end_error is None:
            self._expected_count = 0  # the page said goodbye as it went
            self._mark_closed(_page_hidden_error, drop=False)
            self._close_endpoint()

    def __repr__(self) -> str:
        """Say in which state it is, and with whom."""
        state = super().__repr__().removeprefix("<MessagePort ").removesuffix(">")
        return f"<Connection {state} with {self.peer.origin or 'a worker'}, {self.peer.runtime}>"


def _page_hidden_error() -> PortClosedError:
    return PortClosedError("this page went into the back/forward cache, which ended the connection")

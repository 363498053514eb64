"""`Connection`: a message port that knows its peer and notices the end of that peer."""

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
    """A description of the other side of a connection.

    The browser checks the origin. Everything else is what the peer says about itself.

    Attributes:
        origin: the origin of the peer's page; "null" if it is opaque, None for a worker. For a
            peer that was introduced it is what the introducing page says.
        runtime: what the peer runs on, as "pyodide 314.0.7" or "javascript".
        version: the version of this package that the peer runs.
        capabilities: what the peer can do. "credit": it acknowledges messages, which `drain`
            needs. "packed": it would use the packed lane with this side.
    """

    origin: str | None
    runtime: str
    version: str
    capabilities: frozenset[str]


class Connection(MessagePort):
    """A `MessagePort` to a page or worker whose identity was checked by a handshake.

    `connect`, `accept`, `listen` and `introduced` return connections. A connection does everything
    that a `MessagePort` does, except that it can't be transferred: send a port through it instead.

    When the other side calls `close`, every message that it sent before is delivered, and then
    `receive` raises PeerClosedError. When the other page is removed, reloaded or navigated away,
    or the worker is terminated, `receive` raises PeerLostError within 100 ms, provided that this
    page's thread is free. This side learns of that end from the other page's goodbye, from its
    frame element or window, and from a Web Lock if both pages have the same origin or one side
    is a worker. If none of these is available, as for a page of another origin that crashed, only
    ``heartbeat=`` detects the end.

    Attributes:
        peer: a description of the other side.
        source: the peer's window or frame element as a JsProxy, or the worker; None for a peer
            that was introduced.
        origin_verified: True if the browser checked `peer.origin`; False for a peer that was
            introduced.
        introduction: the message that the introducing page sent along, else None.
        lane: "packed" if values keep their Python types, "clone" if they become JavaScript values.
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
        """Raise TypeError: a connection needs a handshake."""
        raise TypeError("a Connection comes from connect(), accept() or listen()")

    @classmethod
    def _open(cls, control: ControlChannel, peer: Peer, source: Any, lock: str, lane: str) -> Self:
        self = cls._from_endpoint(control.channels.data)
        self.lane = lane
        if lane == "packed":
            self._endpoint.enable_packing()
        self.peer, self.source, self._lock_name, self._control = peer, source, lock, control
        self._drain_waiters = {}
        control.start(weakref.ref(self))
        return self

    @property
    def outstanding(self) -> Outstanding:
        """The messages and bytes that the other side's user has not consumed, as far as is known.

        Messages in the other side's buffer count too. The other side acknowledges at every quarter
        of the high-water mark, so the values are at most that much too high. The number of bytes
        is approximate: it counts buffers and text. Messages that JavaScript posts on the native
        port count as messages, not as bytes.

        Raises:
            PortStateError: the connection has ended, or the other side does not acknowledge
                messages (it is not Python).
        """
        return self._control.send_window.outstanding(self._refresh_flow_control())

    async def drain(self) -> None:
        """Wait while the outstanding messages or bytes have reached the high-water mark.

        Call it before or after each `post_message`, or after every few of them, as you would call
        `asyncio.StreamWriter.drain`. The other side consumes a message when its `receive` or
        iteration returns it, or when a listener or a remote call gets it. If the other side
        consumes nothing, the call waits until the connection ends. Cancelling loses nothing.

        Raises:
            PortStateError: the other side does not acknowledge messages (it is not Python). Check
                ``"credit" in connection.peer.capabilities`` beforehand.
            PortClosedError: this side closed the connection.
            PeerClosedError: the other side closed the connection.
            PeerLostError: the other side is gone.
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

        A connection starts with 10,000 messages and 16 MB.

        Args:
            messages: the number of messages, or None to keep it.
            bytes: the number of bytes, or None to keep it.

        Raises:
            ValueError: a number is not a whole number above 0.
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
        """Return what was sent so far, and request an acknowledgement if one is due."""
        if self.closed:
            raise self._closed_error()
        if "credit" not in self.peer.capabilities:
            raise PortStateError(
                f"the other side ({self.peer.runtime}) does not acknowledge messages, so drain() "
                "and outstanding don't work; send requests and wait for their answers instead"
            )
        sent = Outstanding(self._endpoint.sent(), self._endpoint.sent_bytes())
        requested = self._control.send_window.request_ack(sent)
        if requested is not None:
            self._control.channels.send({"type": "mark", "n": requested})
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
        """Let every waiting `drain` check again."""
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
        """End the connection without the missing messages, which will not arrive any more."""
        if self._end_error is None:
            self._missing = missing
            self._peer_lost = self._peer_lost or bool(missing)
            self._expected_count = arrived
            self._check_end()

    def _on_pagehide(self) -> None:
        """End the connection, since this page went into the back/forward cache."""
        if self._end_error is None:
            self._expected_count = 0  # JavaScript has sent the goodbye already.
            self._mark_closed(_page_hidden_error, drop=False)
            self._close_endpoint()

    def __repr__(self) -> str:
        """Return the state of the connection and a description of its peer."""
        state = super().__repr__().removeprefix("<MessagePort ").removesuffix(">")
        return f"<Connection {state} with {self.peer.origin or 'a worker'}, {self.peer.runtime}>"


def _page_hidden_error() -> PortClosedError:
    return PortClosedError("this page went into the back/forward cache, which ended the connection")

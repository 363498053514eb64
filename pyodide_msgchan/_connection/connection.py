"""`Connection`: a message port that knows its peer and notices the end of that peer."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from pyodide_msgchan._connection.control import ControlChannel
from pyodide_msgchan._connection.flow_control import Outstanding
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import PortStateError

__all__ = ["Connection", "Peer", "control_of", "open_connection"]


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

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Raise TypeError: a connection needs a handshake."""
        raise TypeError("a Connection comes from connect(), accept() or listen()")

    @classmethod
    def _open(cls, control: ControlChannel, peer: Peer, source: Any, lane: str) -> Self:
        self = cls._from_endpoint(control.channels.data)
        self.lane = lane
        if lane == "packed":
            self._core.endpoint.enable_packing()
        self.peer, self.source, self._control = peer, source, control
        control.start(self._core)
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
            await self._control.wait_for_credit()

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
        self._control.set_high_water(Outstanding(*wanted))

    def _refresh_flow_control(self) -> Outstanding:
        """Return what was sent so far, and request an acknowledgement if one is due."""
        self._core.check_open()
        if "credit" not in self.peer.capabilities:
            raise PortStateError(
                f"the other side ({self.peer.runtime}) does not acknowledge messages, so drain() "
                "and outstanding don't work; send requests and wait for their answers instead"
            )
        return self._control.request_ack()

    def __repr__(self) -> str:
        """Return the state of the connection and a description of its peer."""
        state = self._core.describe()
        return f"<Connection {state} with {self.peer.origin or 'a worker'}, {self.peer.runtime}>"


def open_connection(control: ControlChannel, peer: Peer, source: Any, lane: str) -> Connection:
    """Return the connection of a control channel, which serves it from now on."""
    return Connection._open(control, peer, source, lane)  # noqa: SLF001 - users have a handshake


def control_of(connection: Connection) -> ControlChannel:
    """Return the control channel of a connection."""
    return connection._control  # noqa: SLF001 - the only place that reads it from outside

"""`introduce` and `introduced`: a page connects two of its peers directly with each other."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Final, Literal, Self, final

from pyodide_msgchan._connection.connection import Connection, Peer, control_of, open_connection
from pyodide_msgchan._connection.control import ControlChannel, Introduction
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import wrap_endpoint
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import PortClosedError

__all__ = ["Introductions", "introduce", "introduced"]


LOCK_PREFIX: Final = "pyodide_msgchan "
"""The start of the name of every Web Lock that this package holds."""


def introduce(
    first: Connection,
    second: Connection,
    message: Any = None,
    *,
    lane: Literal["clone"] | None = None,
) -> None:
    """Connect two peers of this page directly with each other.

    Each peer gets its connection from `introduced`; `receive` and listeners never see it. Each
    peer notices when the other closes the connection or its page ends, as on every connection. If
    a peer does not take introductions (JavaScript without `onintroduction`), its end is closed,
    and so the other peer's end closes too.

    Args:
        first: a connection of this page.
        second: another connection of this page.
        message: a value for both peers, who find it in ``connection.introduction``. It is sent on
            the clone lane.
        lane: "clone" forbids the packed lane, even if both peers ask for it.

    Raises:
        PortStateError: one of the two connections has ended. No peer was introduced.
        DataCloneError: the message can't be sent. No peer was introduced.
        ValueError: `lane` is neither "clone" nor None.
    """
    for connection in (first, second):
        core_of(connection).check_open()
    if lane not in (None, "clone"):
        raise ValueError(f'lane is "clone" or None, not {short_repr(lane)}')
    endpoint = core_of(first).endpoint
    data, control = endpoint.pair(), endpoint.pair()
    sides = [list(map(wrap_endpoint, side)) for side in zip(data, control, strict=True)]
    try:
        for side, connection, other in zip(sides, (first, second), (second, first), strict=True):
            peer = other.peer
            fields: dict[str, Any] = {"type": "introduction", "origin": peer.origin}
            fields |= {
                "runtime": peer.runtime,
                "version": peer.version,
                "lock": control_of(other).lock_name,
            }
            fields |= {"capabilities": sorted(peer.capabilities - {"packed"}), "message": message}
            moved = check_transfer(side)
            control_of(connection).channels.send(fields | ({"lane": lane} if lane else {}), moved)
            moved.detach_ports()
    except BaseException:
        for port in (*sides[0], *sides[1]):
            port.close()
        raise


def introduced(
    connection: Connection, /, *, lane: Literal["packed", "clone"] | None = None
) -> Introductions:
    """Wait for the connections that the page at the other end makes by `introduce`.

    Use it in one of two ways: ``met = await introduced(host)`` returns the next connection, and
    ``async for met in introduced(host)`` yields all of them until the connection to the host is
    closed. Up to 256 introductions are kept until you ask for them; further ones are refused.
    Cancelling loses none.

    Only the introducing page says who the new peer is, its origin included. The browser has not
    checked it, so ``met.origin_verified`` is False. The new peer therefore counts as foreign: it
    gets no tracebacks, and the packed lane is not used with it, unless you ask for them.

    Args:
        connection: the connection to the introducing page.
        lane: "packed" uses the packed lane if the new peer asks for it too, as for `connect`; this
            side then waits until the peer has taken its end. Otherwise both use the clone lane.

    Returns:
        An object to await or to iterate over.

    Raises:
        TypeError: `connection` is not a Connection.
        ValueError: `lane` is not "packed", "clone" or None.
        PortClosedError: either side closed the connection to the introducing page; raised by the
            wait. An iteration ends instead.
        PeerLostError: the introducing page is gone; raised by the wait.
    """
    if lane not in (None, "packed", "clone"):
        raise ValueError(f'lane is "packed", "clone" or None, not {short_repr(lane)}')
    if not isinstance(connection, Connection):
        raise TypeError(f"not a Connection: {short_repr(connection)}")
    return Introductions(connection, lane)


@final
class Introductions:
    """The result of `introduced`, to be awaited or iterated over."""

    def __init__(self, connection: Connection, lane: str | None) -> None:
        self._connection = connection
        self._lane = lane

    def __await__(self) -> Generator[Any, Any, Connection]:
        """Wait for the next connection to a peer that was introduced."""
        return self._next().__await__()

    def __aiter__(self) -> Self:
        """Return this object, which iterates until the connection to the introducing page ends."""
        return self

    async def __anext__(self) -> Connection:
        """Wait for the next connection, or end once the one to the introducing page is closed."""
        try:
            return await self._next()
        except PortClosedError:
            raise StopAsyncIteration from None

    async def _next(self) -> Connection:
        control = control_of(self._connection)
        queue = control.introductions
        while True:
            while not queue:
                await _wait_for_introduction(self._connection, control)
            introduction = queue.popleft()
            connection = introduction.opened or _open_connection(
                introduction, control.heartbeat, self._lane
            )
            if connection is None:
                continue
            introduction.opened = connection
            try:
                await self._agree_on_lane(connection, introduction)
            except BaseException:
                queue.appendleft(introduction)
                control.wake_introduction_waiters()
                raise
            introduction.opened = None
            return connection

    async def _agree_on_lane(self, connection: Connection, introduction: Introduction) -> None:
        """Wait for the other side's choice of a lane, if this side would use the packed one."""
        if self._lane != "packed" or not _could_pack(introduction):
            return
        control = control_of(connection)
        while control.lane is None and not connection.closed:
            await _wait_for_introduction(connection, control)
        if control.lane == "packed" and connection.lane != "packed":
            connection.lane = "packed"
            core_of(connection).endpoint.enable_packing()


async def _wait_for_introduction(connection: Connection, control: ControlChannel) -> None:
    """Wait for an introduction or a lane message; raise the connection's end if it has ended."""
    core = core_of(connection)
    core.check_open()
    waiter = Waiter(asyncio.get_running_loop())
    control.introduction_waiters.append(waiter)
    try:
        await core.wait_or_closed(waiter)
    finally:
        control.introduction_waiters.remove(waiter)


def _could_pack(introduction: Introduction) -> bool:
    return introduction.lane != "clone" and "packs" in introduction.info.capabilities


def _open_connection(
    introduction: Introduction, heartbeat: float | None, lane: str | None
) -> Connection | None:
    """Return the connection of an introduction; None if this page already uses its ports."""
    channels = introduction.adopt()
    if channels is None:
        return None
    info = introduction.info
    peer = Peer(info.origin, info.runtime, info.version, info.capabilities - {"packed"})
    control = ControlChannel(channels, heartbeat, lambda: None, lock_name=info.lock or "")
    connection = open_connection(control, peer, None, "clone")
    connection.origin_verified, connection.introduction = False, introduction.message
    channels.listen(control.on_message)
    # The introducing page also names the lock, so a name that is not ours is ignored: waiting for
    # the application's own locks could disturb it.
    lock = info.lock or ""
    channels.watch(info.origin, lock if lock.startswith(LOCK_PREFIX) else "")
    if _could_pack(introduction):
        channels.send({"type": "lane", "lane": "packed" if lane == "packed" else "clone"})
    return connection

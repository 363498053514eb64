"""Introductions: two peers of a page get a connection of their own, and the page steps aside."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Final, Literal, Self, final

from pyodide_msgchan._connection.connection import Connection, Peer
from pyodide_msgchan._connection.control import ControlChannel, Introduction
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import PortClosedError

__all__ = ["Introductions", "introduce", "introduced"]


LOCK_PREFIX: Final = "pyodide_msgchan "
"""How the names of the Web Locks begin that pages hold for this package."""


def introduce(
    first: Connection,
    second: Connection,
    message: Any = None,
    *,
    lane: Literal["clone"] | None = None,
) -> None:
    """Connect two peers of this page with each other: from then on they talk directly.

    Each takes its end by `introduced`; no other way of receiving ever sees it. Both ends see when
    the other is closed or its page goes, as on every connection. A peer that does not take
    introductions (JavaScript without `onintroduction`) refuses, and the other one's end closes.

    Args:
        first: a connection of this page.
        second: another one.
        message: goes along to both, as ``connection.introduction``, by the clone lane.
        lane: "clone" keeps them from the packed lane, also where both of them ask for it.

    Raises:
        PortStateError: one of the two has ended; nobody was introduced.
        DataCloneError: the message can't be sent; nobody was introduced.
    """
    for connection in (first, second):
        if connection.closed:
            end = connection._end_error or connection._peer_end_error
            raise end()
    if lane not in (None, "clone"):
        raise ValueError(f'lane is "clone" or None, not {short_repr(lane)}')
    data, control = first._endpoint.pair(), first._endpoint.pair()
    sides = [
        [MessagePort._from_endpoint(end) for end in side]
        for side in zip(data, control, strict=True)
    ]
    try:
        for side, connection, other in zip(sides, (first, second), (second, first), strict=True):
            peer = other.peer
            words: dict[str, Any] = {"type": "introduction", "origin": peer.origin}
            words |= {"runtime": peer.runtime, "version": peer.version, "lock": other._lock_name}
            words |= {"capabilities": sorted(peer.capabilities - {"packed"}), "message": message}
            moved = check_transfer(side)
            connection._control.channels.send(words | ({"lane": lane} if lane else {}), moved)
            moved.done()
    except BaseException:
        for port in (*sides[0], *sides[1]):
            port.close()
        raise


def introduced(
    connection: Connection, /, *, lane: Literal["packed", "clone"] | None = None
) -> Introductions:
    """Take the connections to others that the page at the other end makes by `introduce`.

    Two ways to use it: ``met = await introduced(host)`` takes the next one, ``async for met in
    introduced(host)`` all of them until the connection to the host is closed. What came is kept
    until it is asked for, 256 at most; further ones are refused. Cancelling loses none.

    Who is there, its origin too, is the introducing page's word: the browser has checked nothing
    here (``met.origin_verified`` is False). So a peer that is met like this counts as foreign: it
    sees no tracebacks, and no packed lane is agreed with it, unless you ask for them.

    Args:
        connection: to the page that introduces.
        lane: "packed" if the other one asks for it too, as for `connect`; this side then waits
            until the other has taken its end. Else both speak "clone".

    Raises:
        ValueError: `lane` is neither.
        PortClosedError: when awaited: the connection was closed, by either side.
        PeerLostError: the page at the other end vanished.
    """
    if lane not in (None, "packed", "clone"):
        raise ValueError(f'lane is "packed", "clone" or None, not {short_repr(lane)}')
    if not isinstance(connection, Connection):
        raise TypeError(f"not a Connection: {short_repr(connection)}")
    return Introductions(connection, lane)


@final
class Introductions:
    """What `introduced` gives: awaited or iterated over."""

    def __init__(self, connection: Connection, lane: str | None) -> None:
        self._connection = connection
        self._lane = lane

    def __await__(self) -> Generator[Any, Any, Connection]:
        """Wait for the next connection to somebody who was introduced."""
        return self._next().__await__()

    def __aiter__(self) -> Self:
        """Iterate over them until the connection to the introducing page ends."""
        return self

    async def __anext__(self) -> Connection:
        """Wait for the next one; the iteration ends when either side closed the connection."""
        try:
            return await self._next()
        except PortClosedError:
            raise StopAsyncIteration from None

    async def _next(self) -> Connection:
        control = self._connection._control
        queue = control.introductions
        while True:
            while not queue:
                await _wait(self._connection, control)
            introduction = queue.popleft()
            made = introduction.opened or _open(introduction, control.heartbeat, self._lane)
            if made is None:
                continue
            introduction.opened = made
            try:
                await self._agree(made, introduction)
            except BaseException:
                queue.appendleft(introduction)
                control.wake_takers()
                raise
            introduction.opened = None
            return made

    async def _agree(self, made: Connection, introduction: Introduction) -> None:
        """Wait until the lane is known, if this side would speak the packed one."""
        if self._lane != "packed" or not _could_pack(introduction):
            return
        control = made._control
        while control.lane is None and not made.closed:
            await _wait(made, control)
        if control.lane == "packed" and made.lane != "packed":
            made.lane = "packed"
            made._endpoint.pack()


async def _wait(connection: Connection, control: ControlChannel) -> None:
    """Wait for an introduction or a word on its lane; raise the end of the connection."""
    if connection.closed:
        raise connection._closed_error()
    waiter = Waiter(asyncio.get_running_loop())
    control.takers.append(waiter)
    try:
        await connection._wait_or_closed(waiter)
    finally:
        control.takers.remove(waiter)


def _could_pack(introduction: Introduction) -> bool:
    return introduction.lane != "clone" and "packs" in introduction.info.capabilities


def _open(
    introduction: Introduction, heartbeat: float | None, lane: str | None
) -> Connection | None:
    """Open the connection of an introduction; None if its ports are in use here."""
    channels = introduction.adopt()
    if channels is None:
        return None
    info = introduction.info
    peer = Peer(info.origin, info.runtime, info.version, info.capabilities - {"packed"})
    control = ControlChannel(channels, heartbeat, lambda: None)
    made = Connection._open(control, peer, None, info.lock or "", "clone")
    made.origin_verified, made.introduction = False, introduction.message
    channels.listen(control.heard)
    # The name of a lock is hearsay too: the app's own ones are not touched.
    lock = info.lock or ""
    channels.watch(info.origin, lock if lock.startswith(LOCK_PREFIX) else "")
    if _could_pack(introduction):
        channels.send({"type": "lane", "lane": "packed" if lane == "packed" else "clone"})
    return made

"""Introductions: two peers of a page get a connection of their own, and the page steps aside."""

from __future__ import annotations

from typing import Any, Final, Literal

from ._event import MessageEvent
from .connection import Connection, Control, Peer
from .errors import PortDetachedError
from .port import MessagePort

__all__ = ["introduce", "introduced"]

KEY: Final = "msgchan introduction"
PORTS: Final = 2


def introduce(
    first: Connection,
    second: Connection,
    message: Any = None,
    *,
    lane: Literal["clone"] | None = None,
) -> None:
    """Connect two peers of this page with each other: from then on they talk directly.

    Each gets a message, out of which `introduced` takes its end. Both ends see when the other is
    closed or its page goes, as on every connection.

    Args:
        first: a connection of this page.
        second: another one.
        message: goes along to both, as ``event.data["message"]``.
        lane: "clone" keeps them from the packed lane, which two Pythons of one origin speak else.

    Raises:
        PortStateError: one of the two has ended; nobody was introduced.
        DataCloneError: the message can't be sent; nobody was introduced.
    """
    for connection in (first, second):
        if connection.closed:
            end = connection._end or connection._gone
            raise end()
    data, control = first._endpoint.pair(), first._endpoint.pair()
    near = lane is None and all("packs" in side.peer.capabilities for side in (first, second))
    near = near and first.peer.origin == second.peer.origin != "null"
    spoken = "packed" if near else "clone"
    sides = [[MessagePort._of(end) for end in side] for side in zip(data, control, strict=True)]
    try:
        for side, connection, other in zip(sides, (first, second), (second, first), strict=True):
            about = [*other.peer[:3], sorted(other.peer.capabilities), other._lock, spoken]
            connection.post_message({KEY: about, "message": message}, transfer=side)
    except BaseException:
        for port in (*sides[0], *sides[1]):
            port.close()
        raise


def introduced(event: MessageEvent, connection: Connection, /) -> Connection | None:
    """Take the connection to a peer that `introduce` of the other side made.

    Who that peer is, its origin too, is what the introducing page says: it has checked it when
    they met.

    Args:
        event: a message that came on `connection`.
        connection: to the page that introduces.

    Returns:
        The connection; None if the message is no introduction.
    """
    about = event.data.get(KEY) if isinstance(event.data, dict) else None
    if not isinstance(about, list) or len(event.ports) != PORTS:
        return None
    match about:
        case [
            None | str() as origin,
            str(runtime),
            str(version),
            [*capabilities],
            str(lock),
            str(lane),
        ]:
            peer = Peer(origin, runtime, version, frozenset(map(str, capabilities)))
        case _:
            return None
    for port in event.ports:
        port._conclude(PortDetachedError, drop=True)
        port._endpoint.owner = None
    link = connection._control.link.join(*(port._endpoint for port in event.ports))
    control = Control(link, connection._control.heartbeat, lambda: None)
    made = Connection._open(control, peer, None, lock, lane)
    link.listen(control.heard)
    link.watch(origin, lock)
    return made

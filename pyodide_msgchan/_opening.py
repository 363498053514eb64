"""Opening connections: connect, accept and listen, in the browser or in memory."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from functools import cache, partial
from typing import Any, Self, final

from ._attempt import Attempt, describe
from ._handshake import Caller, Listener
from ._origin import Origin, allowed_origins
from ._types import World
from ._windows import BrowserWorld
from .connection import Connection
from .errors import HandshakeError, PortClosedError

__all__ = [
    "Connecting",
    "Listening",
    "Origins",
    "accept",
    "accept_in",
    "connect",
    "connect_in",
    "listen",
    "listen_in",
]

LONGEST_NAME = 200

type Origins = Origin | Iterable[Origin]


def connect(
    target: Any,
    *,
    origin: Origins | None = None,
    name: str = "",
    timeout: float | None = 30,
    heartbeat: float | None = None,
    stack_switching: bool = True,
) -> Connecting:
    """Connect to the page in a frame or window, or to a worker, where `accept` or `listen` is called.

    Three ways to use it: ``connection = await connect(frame)``; ``async with connect(frame) as
    connection``; and ``async for connection in connect(frame)``, which gives a fresh connection
    whenever the page there was replaced. In that loop the end of the body closes the connection,
    and PeerLostError leaves the body: catch it there and ``continue``.

    Either side may be first, by any time. Origins are checked here and never again: a port is
    posted only to a page that was heard from, and only to its exact origin. A page of an opaque
    origin (OPAQUE_ORIGIN: sandboxed, ``file:``) has none to post to, so it posts the port itself.
    Only if both pages are opaque a port goes to ``*``: then a page that takes the other's place
    in that very moment gets it.

    Cancelling gives up the attempt; nothing stays behind.

    Args:
        target: an iframe element, a window, or a Worker.
        origin: whom to expect there: an exact origin or several, ANY_ORIGIN, OPAQUE_ORIGIN; this
            page's own origin if it is not given. A worker has none.
        name: the same on both sides, so that several pairs can share a window.
        timeout: seconds for the other side to answer, None for no limit; in a loop only the
            first time.
        heartbeat: seconds between pings, for peers whose end nothing else shows; None for none.
            A peer that computes longer than that without a pause counts as lost after two.
        stack_switching: as for `MessagePort`.

    Raises:
        HandshakeTimeoutError: nobody answered in time; it says who spoke and was not allowed.
        HandshakeError: the other side's `accept` is already taken.
        VersionMismatchError: the other side speaks another version of the handshake.
        TypeError: `target` is none of these, or `origin=` was given for a worker.
        ValueError: an origin is malformed, or needed since this page's own is opaque.
        NotInBrowserError: there is no JavaScript here.
    """
    return connect_in(
        _browser(),
        target,
        origin=origin,
        name=name,
        timeout=timeout,
        heartbeat=heartbeat,
        stack_switching=stack_switching,
    )


async def accept(
    *,
    origin: Origins | None = None,
    name: str = "",
    timeout: float | None = None,
    source: Any = None,
    heartbeat: float | None = None,
    stack_switching: bool = True,
) -> Connection:
    """Wait for one `connect` from this page's parent, else its opener, or a worker's owner.

    While that connection lives every other caller of the name is told that it is taken.
    Cancelling gives up the attempt; nothing stays behind.

    Args:
        origin: as for `connect`: who may call.
        name: the same on both sides.
        timeout: seconds to wait, None for no limit.
        source: the window, iframe element or worker to wait for, instead.
        heartbeat: as for `connect`.
        stack_switching: as for `MessagePort`.

    Raises:
        HandshakeTimeoutError: nobody called in time; it says who spoke and was not allowed.
        HandshakeError: there is nobody to wait for, or this page waits for that name already.
        TypeError, ValueError, NotInBrowserError: as `connect`.
    """
    return await accept_in(
        _browser(),
        origin=origin,
        name=name,
        timeout=timeout,
        source=source,
        heartbeat=heartbeat,
        stack_switching=stack_switching,
    )


def listen(
    *,
    origin: Origins | None = None,
    name: str = "",
    heartbeat: float | None = None,
    stack_switching: bool = True,
) -> Listening:
    """Take every `connect` to this page: ``async for connection in listen(): ...``.

    It hears from this call on, until it is closed, left (``async with``) or dropped. Connections
    that it gave live on.

    Args:
        origin: as for `connect`: who may call.
        name: the same on both sides.
        heartbeat: as for `connect`.
        stack_switching: as for `MessagePort`.

    Raises:
        HandshakeError: this page waits for that name already.
        TypeError, ValueError, NotInBrowserError: as `connect`.
    """
    return listen_in(
        _browser(), origin=origin, name=name, heartbeat=heartbeat, stack_switching=stack_switching
    )


@cache
def _browser() -> World:
    return BrowserWorld()


def connect_in(world: World, target: Any, **options: Any) -> Connecting:
    """Do what `connect` does, in any world."""
    return Connecting(world, target, **options)


@final
class Connecting:
    """What `connect` gives: awaited, entered or iterated over."""

    def __init__(
        self,
        world: World,
        target: Any,
        *,
        origin: Origins | None = None,
        name: str = "",
        timeout: float | None = 30,
        heartbeat: float | None = None,
        stack_switching: bool = True,
    ) -> None:
        kind = world.kind(target)
        if not kind:
            raise TypeError(f"not an iframe element, window or worker: {target!r:.80}")
        self._worker = kind == "worker"
        self._world = world
        self._target = target
        self._origins = _origins(world, origin, worker=self._worker)
        self._name = _checked_name(name)
        self._timeout = _checked_seconds("timeout", timeout)
        self._heartbeat = _checked_seconds("heartbeat", heartbeat)
        self._stack_switching = stack_switching
        self._current: Connection | None = None

    async def _open(self, timeout: float | None) -> Connection:
        await self._world.prepare()
        machine = Caller(
            self._name,
            opaque=self._world.origin == "null",
            allowed=self._origins or frozenset(),
            worker=self._worker,
            about=partial(describe, self._world),
        )
        return await _first(
            Attempt(
                self._world,
                machine,
                place=self._target,
                source=None if self._worker else self._target,
                targets=(self._target,),
                origins=self._origins,
                name=self._name,
                many=False,
                stack_switching=self._stack_switching,
                heartbeat=self._heartbeat,
            ),
            timeout,
        )

    def __await__(self) -> Generator[Any, Any, Connection]:
        """Wait for the connection."""
        return self._open(self._timeout).__await__()

    async def __aenter__(self) -> Connection:
        """Wait for the connection."""
        self._current = await self._open(self._timeout)
        return self._current

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def __aiter__(self) -> Self:
        """Connect again whenever the body of the loop is done with a connection."""
        return self

    async def __anext__(self) -> Connection:
        """Close the connection before, and wait for a fresh one: without limit after the first."""
        before, self._current = self._current, None
        if before is not None:
            before.close()
        self._current = await self._open(self._timeout if before is None else None)
        return self._current


async def accept_in(
    world: World,
    *,
    origin: Origins | None = None,
    name: str = "",
    timeout: float | None = None,
    source: Any = None,
    heartbeat: float | None = None,
    stack_switching: bool = True,
) -> Connection:
    """Do what `accept` does, in any world."""
    if source is None:
        owners = world.owners(everybody=False)
        if not owners:
            raise HandshakeError(
                "nobody can connect to this page: it has neither a parent nor an opener; "
                "source= names the window to wait for"
            )
        source = owners[0]
    kind = world.kind(source)
    if not kind:
        raise TypeError(f"not an iframe element, window or worker: {source!r:.80}")
    timeout, heartbeat = _checked_seconds("timeout", timeout), _checked_seconds("heartbeat", heartbeat)
    await world.prepare()
    attempt = _listening(
        world,
        source,
        (source,),
        many=False,
        worker=kind == "worker",
        origin=origin,
        name=name,
        heartbeat=heartbeat,
        stack_switching=stack_switching,
    )
    return await _first(attempt, timeout)


def listen_in(
    world: World,
    *,
    origin: Origins | None = None,
    name: str = "",
    heartbeat: float | None = None,
    stack_switching: bool = True,
) -> Listening:
    """Do what `listen` does, in any world."""
    return Listening(
        _listening(
            world,
            None,
            world.owners(everybody=True),
            many=True,
            worker=not world.origin,
            origin=origin,
            name=name,
            heartbeat=_checked_seconds("heartbeat", heartbeat),
            stack_switching=stack_switching,
        )
    )


@final
class Listening:
    """What `listen` gives: an async iterator of connections."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def __aiter__(self) -> Self:
        """Iterate over those who connect, until `close`."""
        return self

    async def __anext__(self) -> Connection:
        """Wait for the next one. Cancelling loses none."""
        try:
            return await self._attempt.next(None)
        except PortClosedError:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Hear no more; connections that nobody took are closed, those that were given live on."""
        self._attempt.close()

    async def __aenter__(self) -> Self:
        """Enter with the iterator itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Take the listener off the window."""
        self._attempt.close()


async def _first(attempt: Attempt, timeout: float | None) -> Connection:
    try:
        return await attempt.next(timeout)
    except BaseException:
        attempt.close()
        raise


_waiting: list[tuple[World, str, Any]] = []
"""Who waits for callers in this interpreter: where, under which name, and from which window."""


def _listening(
    world: World,
    source: Any,
    targets: Sequence[Any],
    *,
    many: bool,
    worker: bool,
    origin: Origins | None,
    name: str,
    heartbeat: float | None,
    stack_switching: bool,
) -> Attempt:
    origins = _origins(world, origin, worker=worker)
    place = (world, _checked_name(name), source)
    for where, called, whom in _waiting:
        if where is world and called == name and (whom is None or source is None or whom == source):
            raise HandshakeError(
                f"this page has an accept or listen under the name {name!r} already; "
                "names keep several apart"
            )
    _waiting.append(place)
    machine = Listener(
        name,
        opaque=world.origin == "null",
        allowed=origins or frozenset(),
        many=many,
        worker=worker,
        about=partial(describe, world),
    )
    return Attempt(
        world,
        machine,
        place=targets[0] if worker else None,
        source=None if worker else source,
        targets=targets,
        origins=origins,
        name=name,
        many=many,
        stack_switching=stack_switching,
        heartbeat=heartbeat,
        over=lambda: _waiting.remove(place),
    )


def _origins(world: World, origin: Origins | None, *, worker: bool) -> frozenset[str] | None:
    if worker:
        if origin is not None:
            raise TypeError("a worker has no origin to check: leave origin= out")
        return None
    if origin is not None:
        return allowed_origins(origin)
    if world.origin in ("", "null"):
        raise ValueError(
            "this page's own origin is opaque, so there is no default: say whom to expect by origin="
        )
    return frozenset({world.origin})


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise TypeError(f"a name is a string of at most {LONGEST_NAME} characters: {name!r:.80}")
    return name


def _checked_seconds(what: str, seconds: float | None) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ValueError(f"{what} is a number of seconds above 0, or None: {seconds!r:.80}")
    return float(seconds)

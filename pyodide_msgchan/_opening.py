"""Opening connections: connect, accept and listen, in the browser or in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cache, partial
from typing import Any, Literal, Self, final

from ._attempt import (
    Attempt,
    EarlierConnections,
    Terms,
    describe,
    hold_lock,
    may_be_near,
)
from ._handshake import Caller, Listener
from ._origin import Origin, allowed_origins, check_targets
from ._printing import short_repr
from ._types import World
from ._windows import BrowserWorld
from .connection import Connection
from .errors import HandshakeError, PortClosedError

__all__ = [
    "Connecting",
    "Listening",
    "Opener",
    "Origins",
    "accept",
    "browser_world",
    "check_place",
    "checked_seconds",
    "connect",
    "kind_of",
    "listen",
    "origins_of",
    "owner_of",
]

LONGEST_NAME = 200

type Origins = Origin | Iterable[Origin]
type Lane = Literal["packed", "clone"]


class Opener:
    """A page from which connections are opened.

    Args:
        world: gives what that page can reach, when it is needed first.
    """

    def __init__(self, world: Callable[[], World]) -> None:
        self._get_world = world
        self._waiting: list[tuple[str, Any]] = []
        """Who waits for callers here: under which name, and from which window."""
        self._earlier: dict[tuple[Any, str], EarlierConnections] = {}
        """By the place that was called, and the name."""

    def connect(
        self,
        target: Any,
        *,
        origin: Origins | None = None,
        name: str = "",
        timeout: float | None = 30,
        heartbeat: float | None = None,
        stack_switching: bool = True,
        lane: Lane | None = None,
    ) -> Connecting:
        """Connect to a frame, window or worker in which `accept` or `listen` is called.

        Three ways to use it: ``connection = await connect(frame)``; ``async with connect(frame) as
        connection``; and ``async for connection in connect(frame)``, which gives a fresh one
        whenever the page there was replaced. In that loop the end of the body closes the
        connection, and PeerLostError leaves the body: catch it there and ``continue``. A later one
        waits while the `accept` there is taken. The loop ends when the frame was removed or the
        window closed.

        Either side may be first, by any time. Origins are checked here and never again: a port is
        posted only to a page that was heard from, and only to its exact origin. A page of an
        opaque origin (OPAQUE_ORIGIN: sandboxed, ``file:``) has none to post to, so it posts the
        port itself. Only if both pages are opaque a port goes to ``*``: then a page that takes the
        other's place in that very moment gets it.

        Where a connection of this page to the same target and name has just ended, and the other
        side has not heard of it, it waits for its turn instead of being refused.

        Cancelling gives up the attempt; nothing stays behind.

        Args:
            target: an iframe element, a window, or a Worker.
            origin: whom to expect there: an exact origin or several, ANY_ORIGIN, OPAQUE_ORIGIN;
                this page's own origin if it is not given. A worker has none.
            name: the same on both sides, so that several pairs can share a window.
            timeout: seconds for the other side to answer, None for no limit; in a loop only the
                first time.
            heartbeat: seconds between pings, for peers whose end nothing else shows; None for none.
                A peer that computes longer than that without a pause counts as lost after two.
            stack_switching: as for `MessagePort`.
            lane: how values travel: "clone", as JavaScript's, or "packed", as Python's and faster,
                if the other side is Python and its user says so too. None: packed with a Python
                of this page's origin, or between a worker and its owner; else clone. What comes
                packed is data only, no peer can run code here by it; but one of a foreign origin
                may use up this page's time and memory.

        Raises:
            HandshakeTimeoutError: nobody answered in time; it says who spoke and was not allowed.
            HandshakeError: the other side's `accept` is already taken; the frame is in no document,
                was removed, or the window closed; or the worker's script can't be loaded, or raised
                an error and said nothing for a second. `HandshakeError.code` tells them apart. What
                a worker did before this call can't be seen: that ends as a timeout.
            VersionMismatchError: the other side speaks another version of the handshake.
            TypeError: `target` is none of these, or `origin=` was given for a worker.
            ValueError: an origin is malformed, or needed since this page's own is opaque.
            NotInBrowserError: there is no JavaScript here.
        """
        world = self._get_world()
        kind = kind_of(world, target)
        terms = _terms(world, kind, origin, name, heartbeat, lane, stack_switching=stack_switching)
        seconds = checked_seconds("timeout", timeout)
        return Connecting(world, target, terms, seconds, self._earlier_connections)

    async def accept(
        self,
        *,
        origin: Origins | None = None,
        name: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 - the error says who was heard meanwhile
        source: Any = None,
        heartbeat: float | None = None,
        stack_switching: bool = True,
        lane: Lane | None = None,
    ) -> Connection:
        """Wait for one `connect` from this page's parent, else its opener, or a worker's owner.

        While that connection lives every other caller of the name is told that it is taken; from
        the other side's goodbye on this page may wait for the next one.
        Cancelling gives up the attempt; nothing stays behind.

        Args:
            origin: as for `connect`: who may call.
            name: the same on both sides.
            timeout: seconds to wait, None for no limit.
            source: the window, iframe element or worker to wait for, instead.
            heartbeat: as for `connect`.
            stack_switching: as for `MessagePort`.
            lane: as for `connect`.

        Raises:
            HandshakeTimeoutError: nobody called in time; it says who spoke and was not allowed.
            HandshakeError: there is nobody to wait for, or this page waits for that name already.
            TypeError, ValueError, NotInBrowserError: as `connect`.
        """
        world = self._get_world()
        if source is None:
            source = owner_of(world)
        kind = kind_of(world, source)
        terms = _terms(world, kind, origin, name, heartbeat, lane, stack_switching=stack_switching)
        seconds = checked_seconds("timeout", timeout)
        check_place(world, source)
        await hold_lock(world, terms)
        return await _first(self._listening(terms, source, (source,)), seconds)

    def listen(
        self,
        *,
        origin: Origins | None = None,
        name: str = "",
        heartbeat: float | None = None,
        stack_switching: bool = True,
        lane: Lane | None = None,
    ) -> Listening:
        """Take every `connect` to this page, as an async iterator of connections.

        It hears from this call on, until it is closed, left (``async with``) or dropped.
        Connections that it gave live on.

        Args:
            origin: as for `connect`: who may call.
            name: the same on both sides.
            heartbeat: as for `connect`.
            stack_switching: as for `MessagePort`.
            lane: as for `connect`.

        Raises:
            HandshakeError: this page waits for that name already.
            TypeError, ValueError, NotInBrowserError: as `connect`.
        """
        world = self._get_world()
        kind = "window" if world.origin else "worker"
        terms = _terms(world, kind, origin, name, heartbeat, lane, stack_switching=stack_switching)
        if may_be_near(world, terms):
            world.hold_lock()
        return Listening(self._listening(terms, None, world.owners(everybody=True)))

    def _earlier_connections(self, target: Any, name: str) -> EarlierConnections:
        """Return those to a target, and forget which are of no interest any more."""
        key = self._get_world().place_of(target), name
        for other, earlier in tuple(self._earlier.items()):
            if other != key and earlier.is_over():
                del self._earlier[other]
        return self._earlier.setdefault(key, EarlierConnections())

    def _listening(self, terms: Terms, source: Any, targets: Sequence[Any]) -> Attempt:
        for name, whom in self._waiting:
            if name == terms.name and (whom is None or source is None or whom == source):
                raise HandshakeError(
                    f"this page has an accept or listen under the name {name!r} already; "
                    "names keep several apart",
                    "name-in-use",
                )
        place = (terms.name, source)
        self._waiting.append(place)
        world, many = self._get_world(), source is None
        machine = Listener(many=many, **_facts(world, terms))
        over = partial(self._waiting.remove, place)
        only = None if terms.origins is None else source  # what a worker says has no source
        return Attempt(world, machine, terms, source=only, targets=targets, many=many, over=over)


@cache
def browser_world() -> World:
    return BrowserWorld()


_here = Opener(browser_world)
connect, accept, listen = _here.connect, _here.accept, _here.listen


@final
class Connecting:
    """What `connect` gives: awaited, entered or iterated over."""

    def __init__(
        self,
        world: World,
        target: Any,
        terms: Terms,
        timeout: float | None,
        earlier: Callable[[Any, str], EarlierConnections],
    ) -> None:
        self._world = world
        self._earlier = earlier
        self._target = target
        self._terms = terms
        self._timeout = timeout
        self._current: Connection | None = None
        self._attempt: Attempt | None = None

    async def _open(self, seconds: float | None, *, again: bool = False) -> Connection:
        check_place(self._world, self._target)
        await hold_lock(self._world, self._terms)
        machine = Caller(**_facts(self._world, self._terms))
        earlier = self._earlier(self._target, self._terms.name)
        machine.again, machine.may_be_ending = again, earlier.may_be_ending
        source = None if self._terms.origins is None else self._target
        self._attempt = Attempt(
            self._world,
            machine,
            self._terms,
            source=source,
            targets=(self._target,),
            many=False,
            earlier=earlier,
        )
        return await _first(self._attempt, seconds)

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
        """Close the connection before, and wait for a fresh one: without limit after the first.

        The iteration ends when the frame was removed or the window closed.
        """
        before, self._current = self._current, None
        if before is not None:
            before.close()
        if before is None:
            self._current = await self._open(self._timeout)
            return self._current
        if self._world.is_gone(self._target):
            raise StopAsyncIteration
        try:
            self._current = await self._open(None, again=True)
        except HandshakeError:
            if self._attempt is not None and self._attempt.gone:
                raise StopAsyncIteration from None
            raise
        return self._current


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


async def _first(attempt: Attempt, seconds: float | None) -> Connection:
    try:
        return await attempt.next(seconds)
    except BaseException:
        attempt.close()
        raise


def _facts(world: World, terms: Terms) -> dict[str, Any]:
    """Give what the handshake has to know of this page and of what was asked for."""
    return {
        "name": terms.name,
        "opaque": world.origin == "null",
        "allowed": terms.origins or (),
        "worker": terms.origins is None,
        "about": partial(describe, world, terms.lane),
    }


def owner_of(world: World) -> Any:
    """Give who is waited for in a page or worker that names nobody.

    Raises:
        HandshakeError: there is nobody.
    """
    owners = world.owners(everybody=False)
    if not owners:
        raise HandshakeError(
            "nobody can connect to this page: it has neither a parent nor an opener; "
            "source= names the window to wait for",
            "no-owner",
        )
    return owners[0]


def check_place(world: World, target: Any) -> None:
    """Check that there is a page that may answer.

    Raises:
        HandshakeError: the frame is in no document, or the window closed.
    """
    if not world.is_gone(target):
        return
    if world.kind(target) == "frame":
        raise HandshakeError(
            "the frame is in no document, so there is no page in it: append it first", "detached"
        )
    raise HandshakeError("the window is closed", "gone")


def kind_of(world: World, target: Any) -> str:
    """Give "frame", "window" or "worker".

    Raises:
        TypeError: it is none of them.
    """
    kind = world.kind(target)
    if not kind:
        raise TypeError(f"not an iframe element, window or worker: {short_repr(target)}")
    return kind


def _terms(
    world: World,
    kind: str,
    origin: Origins | None,
    name: str,
    heartbeat: float | None,
    lane: Lane | None,
    *,
    stack_switching: bool,
) -> Terms:
    """Check what was asked for."""
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise TypeError(
            f"a name is a string of at most {LONGEST_NAME} characters: {short_repr(name)}"
        )
    if lane not in (None, "packed", "clone"):
        raise ValueError(f'lane is "packed", "clone" or None, not {short_repr(lane)}')
    origins = origins_of(world, kind, origin)
    return Terms(origins, name, checked_seconds("heartbeat", heartbeat), stack_switching, lane)


def origins_of(world: World, kind: str, origin: Origins | None) -> frozenset[str] | None:
    """Give the origins to hear, as in ``event.origin``; None for a worker, which has none.

    Raises:
        TypeError: one was given for a worker.
        ValueError: one is malformed, or this browser can't post to it, or one is needed since this
            page's own is opaque.
    """
    if kind == "worker":
        if origin is not None:
            raise TypeError("a worker has no origin to check: leave origin= out")
        return None
    if origin is not None:
        found = allowed_origins(origin)
        check_targets(found)
        return found
    if world.origin in {"", "null"}:
        raise ValueError(
            "this page's own origin is opaque, so there is no default: origin= says whom to expect"
        )
    return frozenset({world.origin})


def checked_seconds(what: str, seconds: float | None) -> float | None:
    """Give a time as it was asked for.

    Raises:
        ValueError: it is no number above 0.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise ValueError(f"{what} is a number of seconds above 0, or None: {short_repr(seconds)}")
    return float(seconds)

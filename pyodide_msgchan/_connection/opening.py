"""Opening connections: connect, accept and listen, in the browser or in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import cache, partial
from typing import Any, Self, final

from pyodide_msgchan._connection.browser import BrowserEnvironment
from pyodide_msgchan._connection.connection import Connection
from pyodide_msgchan._connection.driver import EarlierConnections, HandshakeDriver
from pyodide_msgchan._connection.environment import Environment
from pyodide_msgchan._connection.handshake.initiator import Initiator
from pyodide_msgchan._connection.handshake.responder import Responder
from pyodide_msgchan._connection.options import (
    ConnectOptions,
    Lane,
    Origins,
    checked_seconds,
    connect_options,
    handshake_args,
    hold_lock,
    kind_of,
    may_share_origin,
    owner_of,
)
from pyodide_msgchan.errors import HandshakeError, PortClosedError

__all__ = [
    "Connecting",
    "ConnectionFactory",
    "Listening",
    "accept",
    "browser_environment",
    "check_place",
    "connect",
    "listen",
]


class ConnectionFactory:
    """A page from which connections are opened.

    Args:
        environment: gives what that page can reach, when it is needed first.
    """

    def __init__(self, environment: Callable[[], Environment]) -> None:
        self._get_environment = environment
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
        """Do what the function `connect` does, from this page."""
        environment = self._get_environment()
        kind = kind_of(environment, target)
        options = connect_options(
            environment, kind, origin, name, heartbeat, lane, stack_switching=stack_switching
        )
        seconds = checked_seconds("timeout", timeout)
        return Connecting(environment, target, options, seconds, self._earlier_connections)

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
        """Do what the function `accept` does, from this page."""
        environment = self._get_environment()
        if source is None:
            source = owner_of(environment)
        kind = kind_of(environment, source)
        options = connect_options(
            environment, kind, origin, name, heartbeat, lane, stack_switching=stack_switching
        )
        seconds = checked_seconds("timeout", timeout)
        check_place(environment, source)
        await hold_lock(environment, options)
        return await _first_connection(self._listening(options, source, (source,)), seconds)

    def listen(
        self,
        *,
        origin: Origins | None = None,
        name: str = "",
        heartbeat: float | None = None,
        stack_switching: bool = True,
        lane: Lane | None = None,
    ) -> Listening:
        """Do what the function `listen` does, from this page."""
        environment = self._get_environment()
        kind = "window" if environment.origin else "worker"
        options = connect_options(
            environment, kind, origin, name, heartbeat, lane, stack_switching=stack_switching
        )
        if may_share_origin(environment, options):
            environment.hold_lock()
        return Listening(self._listening(options, None, environment.owners(everybody=True)))

    def _earlier_connections(self, target: Any, name: str) -> EarlierConnections:
        """Return those to a target, and forget which are of no interest any more."""
        key = self._get_environment().place_of(target), name
        for other, earlier in tuple(self._earlier.items()):
            if other != key and earlier.is_over():
                del self._earlier[other]
        return self._earlier.setdefault(key, EarlierConnections())

    def _listening(
        self, options: ConnectOptions, source: Any, targets: Sequence[Any]
    ) -> HandshakeDriver:
        for name, whom in self._waiting:
            if name == options.name and (whom is None or source is None or whom == source):
                raise HandshakeError(
                    f"this page has an accept or listen under the name {name!r} already; "
                    "names keep several apart",
                    "name-in-use",
                )
        place = (options.name, source)
        self._waiting.append(place)
        environment, many = self._get_environment(), source is None
        machine = Responder(many=many, **handshake_args(environment, options))
        over = partial(self._waiting.remove, place)
        only = None if options.origins is None else source  # what a worker says has no source
        return HandshakeDriver(
            environment, machine, options, source=only, targets=targets, many=many, over=over
        )


@cache
def browser_environment() -> Environment:
    return BrowserEnvironment()


_factory = ConnectionFactory(browser_environment)


def connect(
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
    return _factory.connect(
        target,
        origin=origin,
        name=name,
        timeout=timeout,
        heartbeat=heartbeat,
        stack_switching=stack_switching,
        lane=lane,
    )


async def accept(
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
    return await _factory.accept(
        origin=origin,
        name=name,
        timeout=timeout,
        source=source,
        heartbeat=heartbeat,
        stack_switching=stack_switching,
        lane=lane,
    )


def listen(
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
    return _factory.listen(
        origin=origin, name=name, heartbeat=heartbeat, stack_switching=stack_switching, lane=lane
    )


@final
class Connecting:
    """What `connect` gives: awaited, entered or iterated over."""

    def __init__(
        self,
        environment: Environment,
        target: Any,
        options: ConnectOptions,
        timeout: float | None,
        earlier: Callable[[Any, str], EarlierConnections],
    ) -> None:
        self._environment = environment
        self._earlier = earlier
        self._target = target
        self._options = options
        self._timeout = timeout
        self._current: Connection | None = None
        self._driver: HandshakeDriver | None = None

    async def _open(self, seconds: float | None, *, again: bool = False) -> Connection:
        check_place(self._environment, self._target)
        await hold_lock(self._environment, self._options)
        machine = Initiator(**handshake_args(self._environment, self._options))
        earlier = self._earlier(self._target, self._options.name)
        machine.again, machine.may_be_ending = again, earlier.may_be_ending
        source = None if self._options.origins is None else self._target
        self._driver = HandshakeDriver(
            self._environment,
            machine,
            self._options,
            source=source,
            targets=(self._target,),
            many=False,
            earlier=earlier,
        )
        return await _first_connection(self._driver, seconds)

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
        if self._environment.is_gone(self._target):
            raise StopAsyncIteration
        try:
            self._current = await self._open(None, again=True)
        except HandshakeError:
            if self._driver is not None and self._driver.gone:
                raise StopAsyncIteration from None
            raise
        return self._current


@final
class Listening:
    """What `listen` gives: an async iterator of connections."""

    def __init__(self, driver: HandshakeDriver) -> None:
        self._driver = driver

    def __aiter__(self) -> Self:
        """Iterate over those who connect, until `close`."""
        return self

    async def __anext__(self) -> Connection:
        """Wait for the next one. Cancelling loses none."""
        try:
            return await self._driver.next(None)
        except PortClosedError:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Hear no more; connections that nobody took are closed, those that were given live on."""
        self._driver.close()

    async def __aenter__(self) -> Self:
        """Enter with the iterator itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Take the listener off the window."""
        self._driver.close()


async def _first_connection(driver: HandshakeDriver, seconds: float | None) -> Connection:
    try:
        return await driver.next(seconds)
    except BaseException:
        driver.close()
        raise


def check_place(environment: Environment, target: Any) -> None:
    """Check that there is a page that may answer.

    Raises:
        HandshakeError: the frame is in no document, or the window closed.
    """
    if not environment.is_gone(target):
        return
    if environment.kind(target) == "frame":
        raise HandshakeError(
            "the frame is in no document, so there is no page in it: append it first", "detached"
        )
    raise HandshakeError("the window is closed", "gone")

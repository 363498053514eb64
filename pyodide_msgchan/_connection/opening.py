"""`connect`, `accept` and `listen`, for the browser and for the environment in memory."""

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
    kind_of,
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
    """Opens the connections of one page.

    Args:
        environment: returns the environment of that page; called when it is first needed.
    """

    def __init__(self, environment: Callable[[], Environment]) -> None:
        self._get_environment = environment
        self._listening_for: list[tuple[str, Any]] = []
        """The name and the source of each `accept` and `listen` that is open in this page."""
        self._earlier: dict[tuple[Any, str], EarlierConnections] = {}
        """Earlier connections, by the place of their target and their name."""

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
        """Connect from this page, as the function `connect` does."""
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
        timeout: float | None = None,  # noqa: ASYNC109 - the error lists the rejected origins
        source: Any = None,
        heartbeat: float | None = None,
        stack_switching: bool = True,
        lane: Lane | None = None,
    ) -> Connection:
        """Accept a connection to this page, as the function `accept` does."""
        environment = self._get_environment()
        if source is None:
            source = owner_of(environment)
        kind = kind_of(environment, source)
        options = connect_options(
            environment, kind, origin, name, heartbeat, lane, stack_switching=stack_switching
        )
        seconds = checked_seconds("timeout", timeout)
        check_place(environment, source)
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
        """Listen for connections to this page, as the function `listen` does."""
        environment = self._get_environment()
        kind = "window" if environment.origin else "worker"
        options = connect_options(
            environment, kind, origin, name, heartbeat, lane, stack_switching=stack_switching
        )
        return Listening(self._listening(options, None, environment.owners(include_all=True)))

    def _earlier_connections(self, target: Any, name: str) -> EarlierConnections:
        """Return the earlier connections to a target; drop records that are no longer needed."""
        key = self._get_environment().place_of(target), name
        for other, earlier in tuple(self._earlier.items()):
            if other != key and earlier.can_be_dropped():
                del self._earlier[other]
        return self._earlier.setdefault(key, EarlierConnections())

    def _listening(
        self, options: ConnectOptions, source: Any, targets: Sequence[Any]
    ) -> HandshakeDriver:
        for name, other in self._listening_for:
            if name == options.name and (other is None or source is None or other == source):
                raise HandshakeError(
                    f"this page has an accept or listen under the name {name!r} already; "
                    "give each one a name of its own",
                    "name-in-use",
                )
        entry = (options.name, source)
        self._listening_for.append(entry)
        environment, many = self._get_environment(), source is None
        machine = Responder(many=many, **handshake_args(environment, options))
        on_stopped = partial(self._listening_for.remove, entry)
        # Messages between a worker and its owner have no source, so there is none to compare.
        only = None if options.origins is None else source
        return HandshakeDriver(
            environment,
            machine,
            options,
            source=only,
            targets=targets,
            many=many,
            on_stopped=on_stopped,
        )


@cache
def browser_environment() -> Environment:
    """Return the environment of this page or worker, made when it is first needed."""
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

    Use it in one of three ways:

    - ``connection = await connect(frame)`` opens one connection.
    - ``async with connect(frame) as connection`` also closes it at the end of the block.
    - ``async for connection in connect(frame)`` yields a new connection whenever the page in the
      target has been replaced. The end of the loop's body closes the connection. PeerLostError
      leaves the loop unless the body catches it and continues. While the other side's `accept`
      has another connection, the next iteration waits. The loop ends when the frame is removed
      or the window is closed.

    Either side may start first. The handshake checks origins once: it posts a port only to a page
    that has announced itself, and only to the exact origin of that page. A page of an opaque
    origin (OPAQUE_ORIGIN: a sandboxed frame or a file) can't be named as a target, so there the
    roles are reversed and that page posts the port. Only if both pages have opaque origins is the
    port posted to ``*``; a page that replaces the other one at that moment receives it.

    If a connection of this page to the same target and name has just ended and the other side
    does not know it yet, the call waits instead of failing as "already taken".

    Cancelling the call ends the attempt and closes everything that it opened.

    See the HTML standard, 9.3.3 Posting messages, for target origins.

    Args:
        target: an iframe element, a window or a Worker.
        origin: the expected origin of the other side: an exact origin, several of them, ANY_ORIGIN
            or OPAQUE_ORIGIN. The default is this page's own origin. A worker has no origin.
        name: identifies the connection, at most 200 characters; both sides must use the same
            name. Connections of different names can share a window.
        timeout: seconds to wait for the connection, or None for no limit. In a loop it applies to
            the first connection only.
        heartbeat: seconds between two pings, or None for no pings. Use it for peers whose end the
            browser does not show. A peer that answers nothing for two intervals counts as lost,
            also if it was only busy.
        stack_switching: as for `MessagePort`.
        lane: "clone" sends values as JavaScript values; "packed" sends them as Python values and
            is faster. The packed lane is used if both sides are Python and both ask for it. By
            default a side asks for it if the other side has this page's origin, and between a
            worker and its owner. A packed message carries data only and can't run code here, but
            a peer of a foreign origin may use up this page's time and memory.

    Returns:
        An object to await, to enter or to iterate over.

    Raises:
        HandshakeTimeoutError: no allowed page answered in time. The error lists the origins that
            were rejected.
        HandshakeError: the other side's `accept` already has a connection; the frame is in no
            document or was removed; the window is closed; the worker's script can't be loaded, or
            it raised an error and sent nothing for one second. `HandshakeError.code` tells these
            apart. An error that a worker raised before this call ends as a timeout.
        VersionMismatchError: the other side speaks another version of the handshake.
        TypeError: `target` is not an iframe element, window or worker; `name` is not a string of
            at most 200 characters; or `origin` was given for a worker.
        ValueError: an origin is malformed; `origin` is missing although this page's own origin is
            opaque; or `timeout`, `heartbeat` or `lane` is not valid.
        NotInBrowserError: Python does not run in a browser.
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
    timeout: float | None = None,  # noqa: ASYNC109 - the error lists the rejected origins
    source: Any = None,
    heartbeat: float | None = None,
    stack_switching: bool = True,
    lane: Lane | None = None,
) -> Connection:
    """Wait for one `connect` from this page's parent, else its opener, or from a worker's owner.

    While the connection is open, every other `connect` to that name fails as "already taken".
    Once the other side has closed the connection, this page can accept the next one.

    Cancelling the call ends the attempt and closes everything that it opened.

    Args:
        origin: the origins that may connect, as for `connect`.
        name: identifies the connection; both sides must use the same name.
        timeout: seconds to wait for the connection, or None for no limit.
        source: the window, iframe element or worker to wait for instead.
        heartbeat: as for `connect`.
        stack_switching: as for `MessagePort`.
        lane: as for `connect`.

    Returns:
        The connection.

    Raises:
        HandshakeTimeoutError: no allowed page connected in time. The error lists the origins that
            were rejected.
        HandshakeError: this page has neither a parent nor an opener; it already has an `accept`
            or `listen` of that name; or the frame or window of `source` is gone.
            `HandshakeError.code` tells these apart.
        TypeError, ValueError, NotInBrowserError: as for `connect`.
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
    """Accept every `connect` to this page and iterate over the connections.

    Listening starts with this call. It ends when `close` is called, when an ``async with`` block
    around the iterator ends, or when the iterator is garbage-collected. Connections that the
    iterator has yielded stay open. Cancelling a wait for the next connection loses none.

    Args:
        origin: the origins that may connect, as for `connect`.
        name: identifies the connections; both sides must use the same name.
        heartbeat: as for `connect`.
        stack_switching: as for `MessagePort`.
        lane: as for `connect`.

    Returns:
        An asynchronous iterator of connections, which is also an asynchronous context manager.

    Raises:
        HandshakeError: this page already has an `accept` or `listen` of that name.
        TypeError, ValueError, NotInBrowserError: as for `connect`.
    """
    return _factory.listen(
        origin=origin, name=name, heartbeat=heartbeat, stack_switching=stack_switching, lane=lane
    )


@final
class Connecting:
    """The result of `connect`, to be awaited, entered or iterated over."""

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

    async def _open(self, seconds: float | None, *, wait_if_taken: bool = False) -> Connection:
        check_place(self._environment, self._target)
        machine = Initiator(**handshake_args(self._environment, self._options))
        earlier = self._earlier(self._target, self._options.name)
        machine.wait_if_taken, machine.may_be_ending = wait_if_taken, earlier.may_be_ending
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
        """Close the connection."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def __aiter__(self) -> Self:
        """Return this object: each iteration opens a new connection."""
        return self

    async def __anext__(self) -> Connection:
        """Close the previous connection and wait for a new one, without a timeout after the first.

        The iteration ends when the frame is removed or the window is closed.
        """
        previous, self._current = self._current, None
        if previous is not None:
            previous.close()
        if previous is None:
            self._current = await self._open(self._timeout)
            return self._current
        if self._environment.is_gone(self._target):
            raise StopAsyncIteration
        try:
            self._current = await self._open(None, wait_if_taken=True)
        except HandshakeError:
            if self._driver is not None and self._driver.target_gone:
                raise StopAsyncIteration from None
            raise
        return self._current


@final
class Listening:
    """The result of `listen`: an asynchronous iterator of connections."""

    def __init__(self, driver: HandshakeDriver) -> None:
        self._driver = driver

    def __aiter__(self) -> Self:
        """Return this object, which iterates over the connections until `close`."""
        return self

    async def __anext__(self) -> Connection:
        """Wait for the next connection. Cancelling loses none."""
        try:
            return await self._driver.next(None)
        except PortClosedError:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Stop listening and close connections not yet yielded; those yielded stay open."""
        self._driver.close()

    async def __aenter__(self) -> Self:
        """Return this iterator."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, as `close` does."""
        self.close()

    def __del__(self) -> None:
        """Remove the listener from the window."""
        self._driver.close()


async def _first_connection(driver: HandshakeDriver, seconds: float | None) -> Connection:
    try:
        return await driver.next(seconds)
    except BaseException:
        driver.close()
        raise


def check_place(environment: Environment, target: Any) -> None:
    """Check that the target has a page that could answer.

    Raises:
        HandshakeError: the frame is in no document, or the window is closed.
    """
    if not environment.is_gone(target):
        return
    if environment.kind(target) == "frame":
        raise HandshakeError(
            "the frame is in no document, so there is no page in it: append it first", "detached"
        )
    raise HandshakeError("the window is closed", "gone")

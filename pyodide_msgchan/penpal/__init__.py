"""Remote calls to and from pages and workers that use the npm package penpal 7, or this module."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, Self, final

from pyodide_msgchan._connection.opening import browser_environment
from pyodide_msgchan._connection.options import (
    Origins,
    checked_seconds,
    kind_of,
    origins_of,
    owner_of,
)
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.remote import Remote, RemoteHandle
from pyodide_msgchan.errors import HandshakeError, PortStateError
from pyodide_msgchan.penpal.session import PageSession, PenpalAccess, PenpalOptions, PenpalSession

__all__ = ["Connecting", "accept", "connect"]


def connect(
    target: Any,
    *,
    origin: Origins | None = None,
    methods: object = None,
    nested: Iterable[str] = (),
    channel: str | None = None,
    timeout: float | None = 10,
    tracebacks: bool | None = None,
) -> Connecting:
    """Connect to a frame, a window or a worker in which Penpal's `connect` is called too.

    There are three ways to use it. ``remote = await connect(frame)`` returns a `Remote`.
    ``async with connect(frame) as remote`` also ends the connection on exit. ``async for remote in
    connect(frame)`` yields the remote again whenever the page in the frame was replaced, and stops
    when the connection ends. ``await remote.add(1, 2)`` calls a method; ``await release(remote)``
    ends the connection.

    Either side may start first. When the page there is reloaded, every pending call raises
    PeerLostError, and the same `Remote` works again once the new page is connected. When the other
    side ends the connection, pending calls raise PeerClosedError; when the frame is removed or the
    window is closed, they raise PeerLostError. Penpal can't detect a page that is gone without
    notice: use `asyncio.timeout` around a call that must end. Cancelling the wait for a connection
    gives up the handshake.

    Args:
        target: an iframe element, a window, or a Worker.
        origin: the exact origin, or origins, to accept messages from and to send to; also
            ANY_ORIGIN or OPAQUE_ORIGIN. Defaults to this page's own origin. A worker has none.
        methods: what the other side may call, as for `expose`: an object, a module, or a dict of
            functions, which may contain further dicts.
        nested: as for `expose`.
        channel: a name, the same on both sides, so that several connections can share a window.
        timeout: seconds to wait for the other side, None for no limit.
        tracebacks: as for `expose`. None allows them for pages of this page's own origin and for
            workers.

    Raises:
        HandshakeTimeoutError: nobody answered in time; it lists the origins that were refused.
        HandshakeError: the frame was removed, or the window was closed, during the handshake.
        TypeError: `target` is none of these, or `origin` was given for a worker.
        ValueError: an origin is malformed, or is required because this page's own is opaque.
        NotInBrowserError: there is no JavaScript here.
    """
    environment = browser_environment()
    kind = kind_of(environment, target)
    origins = origins_of(environment, kind, origin)
    if channel is not None and not isinstance(channel, str):
        raise TypeError(f"a channel is a string or None, not {short_repr(channel)}")
    if tracebacks is None:
        tracebacks = origins is None or origins == {environment.origin} != {"null"}
    options = PenpalOptions(target, kind, origins, channel, tracebacks)
    policy = PenpalAccess({} if methods is None else methods, nested)
    return Connecting(partial(PenpalSession, options, policy), checked_seconds("timeout", timeout))


def accept(*, source: Any = None, timeout: float | None = None, **options: Any) -> Connecting:
    """Connect to the page that opened this one: its parent, else its opener, or a worker's owner.

    Args:
        source: the window, iframe element or worker to connect to instead.
        timeout: seconds to wait for the other side, None (the default) for no limit.
        options: the other options of `connect`.

    Raises:
        HandshakeError: this page has no parent, opener or owner; also as for `connect`.
    """
    target = owner_of(browser_environment()) if source is None else source
    return connect(target, timeout=timeout, **options)


@final
class Connecting:
    """The return value of `connect` and `accept`: await it, enter it, or iterate over it."""

    def __init__(self, make: Callable[[], PenpalSession], timeout: float | None) -> None:
        self._make = make
        self._timeout = timeout
        self._session: PenpalSession | None = None
        self._page_session: PageSession | None = None

    async def _open(self) -> Remote:
        self._session = session = self._make()
        try:
            self._page_session = await session.wait_for_page(None, self._timeout)
        except BaseException:
            session.destroy()
            raise
        return Remote(RemoteHandle(session, owned=False))

    def __await__(self) -> Generator[Any, Any, Remote]:
        """Wait for the connection, and return the `Remote` of the other side."""
        return self._open().__await__()

    async def __aenter__(self) -> Remote:
        """Wait for the connection, and return the `Remote` of the other side."""
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        """End the connection."""
        if self._session is not None:
            self._session.destroy()

    def __aiter__(self) -> Self:
        """Return an iterator that yields a `Remote` for each page that connects."""
        return self

    async def __anext__(self) -> Remote:
        """Wait for the next page that connects; only the first has a time limit."""
        if self._session is None:
            return await self._open()
        try:
            self._page_session = await self._session.wait_for_page(self._page_session, None)
        except (HandshakeError, PortStateError):
            raise StopAsyncIteration from None
        return Remote(RemoteHandle(self._session, owned=False))

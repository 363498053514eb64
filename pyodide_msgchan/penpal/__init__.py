"""Penpal: calls to and from pages and workers that use the npm package penpal 7, or this module."""

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
from pyodide_msgchan.penpal.session import PenpalAccess, PenpalOptions, PenpalSession, _PageSession

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
    """Connect to a frame, window or worker in which Penpal's `connect` is called too.

    Three ways to use it: ``remote = await connect(frame)``; ``async with connect(frame) as
    remote``, which ends the connection on the way out; and ``async for remote in connect(frame)``,
    which gives it again whenever the page there was replaced, and ends when the connection does.
    ``await remote.add(1, 2)`` calls, ``await release(remote)`` ends it.

    Either side may be first. When the page there is reloaded every pending call raises
    PeerLostError, and the same `Remote` works again once the new page is connected. When the other
    side ends the connection they raise PeerClosedError; when the frame is removed or the window
    closed, PeerLostError. Of a page that left without a word Penpal learns nothing: put
    `asyncio.timeout` around a call that must end.

    Args:
        target: an iframe element, a window, or a Worker.
        origin: whom to hear and to speak to, exactly: one or several, ANY_ORIGIN, OPAQUE_ORIGIN;
            this page's own if it is not given. A worker has none.
        methods: what the other side may call, as for `expose`: an object, a module, a dict of
            functions, also of dicts of them.
        nested: as for `expose`.
        channel: the same on both sides, so that several pairs can share a window.
        timeout: seconds for the other side to answer, None for no limit.
        tracebacks: as for `expose`; None for pages of this page's own origin, and workers.

    Raises:
        HandshakeTimeoutError: nobody answered in time; it says who spoke and was not allowed.
        HandshakeError: the frame was removed, or the window closed meanwhile.
        TypeError: `target` is none of these, or `origin=` was given for a worker.
        ValueError: an origin is malformed, or needed since this page's own is opaque.
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
    """Connect to this page's parent, else its opener, or a worker's owner: to whoever opened it.

    Args:
        source: the window, iframe element or worker to connect to instead.
        timeout: as for `connect`.
        options: the others of `connect`.

    Raises:
        HandshakeError: there is nobody to connect to; or as `connect`.
    """
    target = owner_of(browser_environment()) if source is None else source
    return connect(target, timeout=timeout, **options)


@final
class Connecting:
    """What `connect` and `accept` give: awaited, entered or iterated over."""

    def __init__(self, make: Callable[[], PenpalSession], timeout: float | None) -> None:
        self._make = make
        self._timeout = timeout
        self._session: PenpalSession | None = None
        self._page_session: _PageSession | None = None

    async def _open(self) -> Remote:
        self._session = session = self._make()
        try:
            self._page_session = await session.join(None, self._timeout)
        except BaseException:
            session.destroy()
            raise
        return Remote(RemoteHandle(session, owned=False))

    def __await__(self) -> Generator[Any, Any, Remote]:
        """Wait for the connection."""
        return self._open().__await__()

    async def __aenter__(self) -> Remote:
        """Wait for the connection."""
        return await self._open()

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        if self._session is not None:
            self._session.destroy()

    def __aiter__(self) -> Self:
        """Return the other side, whenever another page is there."""
        return self

    async def __anext__(self) -> Remote:
        """Wait for the page that comes next: without limit after the first."""
        if self._session is None:
            return await self._open()
        try:
            self._page_session = await self._session.join(self._page_session, None)
        except (HandshakeError, PortStateError):
            raise StopAsyncIteration from None
        return Remote(RemoteHandle(self._session, owned=False))

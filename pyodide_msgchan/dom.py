"""Messages between windows: posted to an exact origin, heard from allowed senders only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final, Self

from ._browser import bridge, to_js_list
from ._endpoint import BrowserEndpoint, post_stream
from ._event import MessageEvent
from ._opening import Origins, connect
from ._origin import Origin, allowed_origins, target_origin
from ._receiver import Receiver
from .connection import Connection
from .errors import HandshakeError, PortClosedError
from .port import check_transfer

__all__ = ["WindowMessages", "open_frame", "open_window", "post_to_window", "window_messages"]

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def post_to_window(
    window: Any, message: Any, *, origin: Origin, transfer: Sequence[Any] = ()
) -> None:
    """Post a message to another window (HTML standard, 9.3 "Cross-document messaging").

    If the page in that window has another origin the browser drops the message, and its ports,
    without a word to either side.

    Args:
        window: a window, as `parent` or ``event.source``, or an iframe element.
        message: any value of the table in the README.
        origin: the exact origin of the page that shall get it. ANY_ORIGIN and OPAQUE_ORIGIN post
            to ``*``: whichever page stands in that window at that moment gets the message and its
            ports, also one that has just taken the place of the one you meant.
        transfer: as for `MessagePort.post_message`.

    Raises:
        ValueError: the origin is malformed.
        TypeError: `window` is no window.
        DataCloneError, PortStateError: as `MessagePort.post_message`.
        NotInBrowserError: there is no JavaScript here.
    """
    target = target_origin(origin)
    send = bridge().send_to
    moved = check_transfer(transfer) if transfer else None
    post_stream(send, (window, target), message, moved)
    if moved is not None:
        moved.done()


def window_messages(*, origin: Origin | Iterable[Origin], source: Any = None) -> WindowMessages:
    """Hear what other windows post to this one, from allowed senders only.

    It listens from this call on, until it is closed, left (``async with``) or dropped. Everything
    else that is posted here is passed over before its data is looked at: its source window is
    compared first, then its origin. In a worker nothing is ever heard.

    Args:
        origin: an exact origin or several; ANY_ORIGIN, OPAQUE_ORIGIN must be named.
        source: only messages from this window, or from the page in this iframe element.

    Returns:
        An async iterator of `MessageEvent`.

    Raises:
        ValueError: an origin is malformed, or none is given.
        NotInBrowserError: there is no JavaScript here.
    """
    return WindowMessages(allowed_origins(origin), source)


class WindowMessages(Receiver):
    """The messages that allowed windows post to this one, as an async iterator of events."""

    def __init__(self, origins: Iterable[str], source: Any = None) -> None:
        number = bridge().listen_window(source, to_js_list(sorted(origins)))
        super().__init__(BrowserEndpoint(number, stack_switching=True))
        self._endpoint.start()

    async def __anext__(self) -> MessageEvent:
        """Take the next message with its event; the iteration ends after `close`."""
        try:
            return await self.receive_event()
        except PortClosedError:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Listen no more; whoever waits is woken, and iteration ends."""
        if self._end is None:
            self._finish(PortClosedError, drop=True)
            self._endpoint.release()

    async def __aenter__(self) -> Self:
        """Enter with the iterator itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Take the listener off the window."""
        if getattr(self, "_end", self) is None:
            self._endpoint.release()


@asynccontextmanager
async def open_frame(
    src: str,
    *,
    parent: Any = None,
    origin: Origins | None = None,
    sandbox: str | None = None,
    attributes: Mapping[str, str] = _NOTHING,
    **options: Any,
) -> AsyncIterator[Connection]:
    """Put a frame into this page and connect to it, as an async context manager.

    On the way out the connection is closed and the frame removed.

    Args:
        src: address of the page that calls `accept` or `listen`.
        parent: the element to append the frame to, the document's body if it is not given.
        origin: as for `connect`; the origin of `src` if it is not given.
        sandbox: the frame's ``sandbox`` attribute, as ``"allow-scripts"``. Without
            ``allow-same-origin`` in it the page's origin is opaque: say so by
            ``origin=OPAQUE_ORIGIN``.
        attributes: further attributes of the element, set before it loads.
        options: name, timeout, heartbeat and stack_switching, as for `connect`.

    Raises:
        ValueError: a sandboxed page's origin was not given.
        HandshakeError and others: as `connect`; the frame is removed then too.
    """
    windows = bridge().windows
    if origin is None:
        if sandbox is not None and "allow-same-origin" not in sandbox.split():
            raise ValueError(
                "a sandboxed frame has an opaque origin: pass origin=OPAQUE_ORIGIN to allow that"
            )
        origin = str(windows.originOf(src))
    flat = [text for pair in attributes.items() for text in pair]
    frame = windows.makeFrame(src, parent, sandbox, to_js_list(flat))
    try:
        async with connect(frame, origin=origin, **options) as connection:
            yield connection
    finally:
        frame.remove()


@asynccontextmanager
async def open_window(
    url: str,
    *,
    origin: Origins | None = None,
    target: str = "_blank",
    features: str = "",
    **options: Any,
) -> AsyncIterator[Connection]:
    """Open a window and connect to it, as an async context manager.

    Browsers allow that only in answer to a click or a key. On the way out the connection and the
    window are closed.

    Args:
        url: address of the page that calls `accept` or `listen`.
        origin: as for `connect`; the origin of `url` if it is not given.
        target: name of the window (``window.open``).
        features: as for ``window.open``; ``noopener`` would make it unreachable.
        options: name, timeout, heartbeat and stack_switching, as for `connect`.

    Raises:
        HandshakeError: the browser blocked the window; or as `connect`.
    """
    windows = bridge().windows
    window = windows.openWindow(url, target, features)
    if window is None:
        raise HandshakeError("the browser opened no window: do it in answer to a click or a key")
    try:
        if origin is None:
            origin = str(windows.originOf(url))
        async with connect(window, origin=origin, **options) as connection:
            yield connection
    finally:
        window.close()

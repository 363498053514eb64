"""Messages between windows: posted to an exact origin, heard from allowed senders only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import to_js_list
from pyodide_msgchan._origins import Origin, allowed_origins, target_origin
from pyodide_msgchan._port.endpoint import BrowserEndpoint, post_encoded
from pyodide_msgchan._port.events import MessageEvent
from pyodide_msgchan._port.queue import Receiver
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan.errors import PortClosedError

__all__ = ["WindowMessages", "post_to_window", "window_messages"]


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
    post_encoded(send, (window, target), message, moved)
    if moved is not None:
        moved.detach_ports()


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
        if self._end_error is None:
            self._mark_closed(PortClosedError, drop=True)
            self._endpoint.release()

    async def __aenter__(self) -> Self:
        """Enter with the iterator itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Take the listener off the window."""
        if getattr(self, "_end_error", self) is None:
            self._endpoint.release()

"""Messages between windows: posting to an exact origin, receiving from allowed origins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import to_js_list
from pyodide_msgchan._codec.sending import CLONE, send_message
from pyodide_msgchan._origins import Origin, allowed_origins, target_origin
from pyodide_msgchan._port.endpoint import BrowserEndpoint
from pyodide_msgchan._port.events import MessageEvent
from pyodide_msgchan._port.queue import MessageQueue
from pyodide_msgchan._port.receiver import Receiver
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan.errors import PortClosedError

__all__ = ["WindowMessages", "post_to_window", "window_messages"]


def post_to_window(
    window: Any, message: Any, *, origin: Origin, transfer: Sequence[Any] = ()
) -> None:
    """Post a message to another window (HTML standard, 9.3 "Cross-document messaging").

    If the page in that window has another origin, the browser drops the message and its ports,
    and reports that to neither side.

    Args:
        window: a JavaScript window, such as `parent` or ``event.source``, or an iframe element.
        message: any value listed in the README's table of values.
        origin: the exact origin of the receiving page. With ANY_ORIGIN and OPAQUE_ORIGIN the
            browser delivers the message and its ports to any page that is in the window at that
            moment, even if it has just replaced the page that you meant.
        transfer: as for `MessagePort.post_message`.

    Raises:
        ValueError: the origin is malformed.
        TypeError: `window` is neither a window nor an iframe element.
        DataCloneError, PortStateError: as for `MessagePort.post_message`.
        NotInBrowserError: this Python has no JavaScript.
    """
    target = target_origin(origin)
    send = bridge().send_to
    moved = check_transfer(transfer) if transfer else None
    send_message(CLONE, send, (window, target), message, moved)
    if moved is not None:
        moved.detach_ports()


def window_messages(*, origin: Origin | Iterable[Origin], source: Any = None) -> WindowMessages:
    """Receive the messages that pages of the allowed origins post to this window.

    (HTML standard, 9.3 "Cross-document messaging".) Receiving starts with this call, and ends when
    the iterator is closed, garbage-collected, or its ``async with`` block is left. Messages from
    other windows and origins are ignored, and their data is not read: the source window is compared
    first, then the origin. No message arrives in a worker.

    Args:
        origin: an exact origin or several. To allow all origins pass ANY_ORIGIN; to allow
            sandboxed and ``data:`` pages pass OPAQUE_ORIGIN.
        source: a window or an iframe element; only messages from that window are received. None
            for all windows.

    Returns:
        A `WindowMessages`, an async iterator of `MessageEvent`.

    Raises:
        ValueError: an origin is malformed, or none is given.
        NotInBrowserError: this Python has no JavaScript.
    """
    return WindowMessages(allowed_origins(origin), source)


class WindowMessages(Receiver):
    """The messages that pages of allowed origins post to this window.

    `window_messages` returns it. It is an async iterator of `MessageEvent` and an async context
    manager; `receive`, `on_message` and the other methods of a port that receive work as well.
    """

    def __init__(self, origins: Iterable[str], source: Any = None) -> None:
        number = bridge().listen_window(source, to_js_list(sorted(origins)))
        endpoint = BrowserEndpoint(number, stack_switching=True)
        self._queue = MessageQueue(endpoint)
        endpoint.start()

    async def __anext__(self) -> MessageEvent:
        """Return the next message as a `MessageEvent`; the iteration ends after `close`."""
        try:
            return await self.receive_event()
        except PortClosedError:
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Stop receiving, without waiting. Closing twice is no error.

        Buffered messages are dropped, iterations end, and pending `receive` calls raise
        PortClosedError.
        """
        if self._queue.end_error is None:
            self._queue.end(PortClosedError, drop=True)
            self._queue.endpoint.release()

    async def __aenter__(self) -> Self:
        """Return the iterator itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the iterator."""
        self.close()

    def __del__(self) -> None:
        """Remove the listener from the window."""
        queue = getattr(self, "_queue", None)
        if queue is not None and queue.end_error is None:
            queue.endpoint.release()

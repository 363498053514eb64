"""`MessagePort`: one end of a channel, which sends, receives, requests and can be transferred."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
import weakref
from collections.abc import Sequence
from typing import Any, Self

from pyodide_msgchan._interfaces import Endpoint
from pyodide_msgchan._port.core import PortCore, PortState, core_of
from pyodide_msgchan._port.endpoint import adopt_port, set_port_factory
from pyodide_msgchan._port.receiver import Receiver
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan._port.waiter import Waiter

__all__ = ["MessagePort", "entangle", "wrap_endpoint"]


class MessagePort(Receiver):
    """One end of a channel (HTML standard, 9.4.4 "Message ports").

    Messages stay in the browser's queue until the first `receive`, iteration, listener or
    `start()`. A port is read either by tasks (`receive`, ``async for``) or by listeners
    (`on_message`), not by both at the same time.

    If the other end of a bare port has left this page, nobody can tell whether it still exists,
    because no browser fires a ``close`` event. A `receive` on such a port may wait forever: use
    `asyncio.timeout`, or a `Connection`, which detects the end. If both ends are in this
    interpreter, closing one closes the other.

    Args:
        js_port: a native JavaScript MessagePort to wrap. Wrapping the same port again returns the
            same object.
        stack_switching: True to let tasks that a message wakes call `run_sync`, where the browser
            supports it; this costs 15-40 µs per message. False for the plain, faster call.

    Raises:
        TypeError: `js_port` is not a JavaScript MessagePort.
        NotInBrowserError: this Python has no JavaScript.
    """

    _core: PortCore

    def __new__(cls, js_port: Any, *, stack_switching: bool = True) -> Self:
        """Return the wrapper of a native port: the existing one, or a new one."""
        return cls._from_endpoint(adopt_port(js_port, stack_switching=stack_switching))

    def __init__(self, js_port: Any = None, *, stack_switching: bool = True) -> None:
        """Change nothing: `__new__` may have returned a port that is already in use."""

    @classmethod
    def _from_endpoint(cls, endpoint: Endpoint) -> Self:
        owner = endpoint.owner
        known = None if owner is None else owner()
        if known is not None:
            return known  # type: ignore[no-any-return]
        self = super().__new__(cls)
        self._core = PortCore(endpoint)
        self._queue = self._core.queue
        endpoint.owner = weakref.ref(self)
        return self

    @property
    def js(self) -> Any:
        """The native port as a JsProxy.

        Messages that JavaScript posts on it count as sent by this port.

        Raises:
            PortStateError: the port was closed or transferred.
        """
        if self._core.ended:
            raise self._core.closed_error()
        return self._core.endpoint.js

    # Sending

    def post_message(self, message: Any, *, transfer: Sequence[Any] = ()) -> None:
        """Send a message, without waiting (HTML standard, 9.4.4 "Message ports").

        Args:
            message: any value listed in the README's table of values. Buffers are copied once
                out of Python's memory, and the copy is transferred; the Python object stays
                usable.
            transfer: ports, and JavaScript objects to move instead of copying them. The receiver
                finds a port in ``event.ports``, and also at its place in the message if it is
                part of it. Transfer ports before you start them: Firefox delivers messages that
                are on their way to a started port at its old place, where `on_message_error`
                reports them.

        Raises:
            DataCloneError: the message or the transfer list contains something that can't be
                sent; the error has its path. Nothing was transferred.
            PortClosedError: this side closed the port.
            PeerClosedError: the other side closed its port.
            PortDetachedError: this port, or one in the transfer list, was transferred before.
            PortStateError: a port in the transfer list holds messages that were not consumed.
        """
        core = self._core
        core.check_open()
        if transfer:
            moved = check_transfer(transfer, core)
            core.endpoint.post(message, moved)
            moved.detach_ports()
            if moved.ends_with_port:
                # The other side counts what it posts on the transferred port as an answer.
                core.requests.uncertain = True
        else:
            core.endpoint.post(message, None)

    async def request(self, message: Any, *, transfer: Sequence[Any] = ()) -> Any:
        """Send a message together with a private port for one answer, and wait for the answer.

        The other side answers with ``event.reply(value)``; JavaScript posts on the last port of
        the event. Answers that the other side sent before it closed its port still arrive.
        Cancelling this call discards the answer; no other message is lost.

        If Python at the other end of a `Connection` can't read the request, this call raises
        MessageError. JavaScript, and Python at the other end of a bare port, can't report that,
        since the browser there does not say which message it was: use `asyncio.timeout` if the
        other side may be unable to read your message.

        Args:
            message: as for `post_message`.
            transfer: as for `post_message`.

        Returns:
            The answer, as Python values.

        Raises:
            MessageError: the answer can't be read here, or the other side can't read the request.
            PortClosedError: this side closed the port while waiting.
            PeerClosedError: the other side closed its port without answering.
            DataCloneError, PortStateError: as for `post_message`.
        """
        core = self._core
        ours, theirs = map(wrap_endpoint, core.endpoint.pair())
        if core.endpoint.packed:
            core_of(ours).endpoint.enable_packing()
        uncertain = core.requests.uncertain
        try:
            self.post_message(message, transfer=[*transfer, theirs])
            core.requests.uncertain = uncertain
        except BaseException:
            theirs.close()
            ours.close()
            raise
        core.requests.add(core_of(ours), core.endpoint.sent())
        try:
            return await ours.receive()
        finally:
            ours.close()
            core.requests.remove(core_of(ours))

    # The end

    def start(self) -> None:
        """Move messages from the browser's queue into the buffer from now on.

        Receiving and listening start a port as well, so this is rarely needed.

        Raises:
            PortClosedError: this side closed the port.
            PeerClosedError: the other side closed its port.
            PortDetachedError: the port was transferred.
        """
        if self._core.ended:
            raise self._core.closed_error()
        self._core.endpoint.start()

    def close(self) -> None:
        """Close the channel from this side, without waiting. Closing twice is no error.

        Buffered messages are dropped, iterations end, and pending `receive` and `request` calls
        raise PortClosedError. Messages that were sent before are still delivered, with one
        exception: Firefox loses them if the other end of a bare channel is being transferred at
        this moment. A `Connection` waits for the transfer first.
        """
        self._core.close()

    @property
    def closed(self) -> bool:
        """True if nothing can be sent any more: either side closed it, or it was transferred."""
        return self._core.state is not PortState.OPEN

    async def wait_closed(self) -> None:
        """Wait until either side closes the port, or it is transferred.

        Cancelling this call has no effect on the port.
        """
        if not self.closed:
            await self._core.wait_or_closed(Waiter(asyncio.get_running_loop()))

    async def __aenter__(self) -> Self:
        """Return the port itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the port."""
        self.close()

    def __del__(self) -> None:
        """Warn that the port was not closed, and release the native port."""
        core = getattr(self, "_core", None)
        if core is None or core.ended:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        with contextlib.suppress(Exception):  # the interpreter may be shutting down
            core.dispose()

    def __repr__(self) -> str:
        """Return the state of the port and the number of buffered messages."""
        return f"<MessagePort {self._core.describe()}>"


def entangle(first: MessagePort, second: MessagePort) -> None:
    """Record that two ports are the ends of one channel in this interpreter."""
    core_of(first).entangle(core_of(second))


def wrap_endpoint(endpoint: Endpoint) -> MessagePort:
    """Return the port of an endpoint: the existing one, or a new one."""
    return MessagePort._from_endpoint(endpoint)  # noqa: SLF001 - users wrap native ports


set_port_factory(wrap_endpoint)

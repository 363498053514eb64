"""Penpal sessions: the handshake in a browser, and the calls with each page that connects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, NamedTuple, final

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import to_js_list
from pyodide_msgchan._codec.sending import CLONE, send_message
from pyodide_msgchan._connection.handshake.base import format_origin, fresh_id
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.callback_sink import CallbackSink
from pyodide_msgchan._port.channel import MessageChannel
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.endpoint import BrowserEndpoint, BrowserEvent
from pyodide_msgchan._port.exclusive_reader import ExclusiveReader
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan._port.unreadable import UnreadableMessage
from pyodide_msgchan._port.waiter import Waiter, wake_all
from pyodide_msgchan._printing import error_text
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.actions import ActionQueue
from pyodide_msgchan._rpc.call import ClientCall
from pyodide_msgchan._rpc.client import CallClient
from pyodide_msgchan._rpc.marshalling import Marshaller
from pyodide_msgchan._rpc.protocol import Answer, Execute, SettleCall
from pyodide_msgchan._rpc.remote import RemoteHandle
from pyodide_msgchan._rpc.server import CallServer
from pyodide_msgchan.errors import (
    DataCloneError,
    HandshakeError,
    HandshakeTimeoutError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
)
from pyodide_msgchan.penpal.protocol import (
    Destroyed,
    DropPort,
    OfferPort,
    PenpalHandshake,
    PenpalProtocol,
    Post,
    Step,
    UsePort,
)

__all__ = ["PageSession", "PenpalAccess", "PenpalOptions", "PenpalSession"]


class PenpalOptions(NamedTuple):
    """The checked options of `connect`."""

    target: Any
    kind: str
    origins: frozenset[str] | None
    channel: str | None
    tracebacks: bool


@final
class PenpalSession:
    """One side of a Penpal connection, for all pages that appear at the other side."""

    def __init__(self, options: PenpalOptions, policy: AccessPolicy) -> None:
        self._options = options
        self._policy = policy
        self._context = copy_context()
        self._page_session: PageSession | None = None
        self._end_error: Callable[[], Exception] | None = None
        self._waiters: list[Waiter] = []
        target, _, origins, channel, _ = options
        worker = origins is None
        self._protocol = PenpalHandshake(channel, {"*"} if origins is None else origins, fresh_id())
        self._number = bridge().listen_window(
            None if worker else target,
            to_js_list(["*"] if origins is None else sorted(origins)),
            target if worker else None,
        )
        self._endpoint = BrowserEndpoint(self._number, stack_switching=True)
        self._sink = CallbackSink(self._endpoint, self._on_window_message)
        bridge().windows.watchSource(self._number, target)
        self._run_steps(self._protocol.start(), None)

    async def wait_for_page(
        self, previous: PageSession | None, seconds: float | None
    ) -> PageSession:
        """Wait for a session with a page other than the previous one.

        Args:
            previous: the session with the last page, None for the first page.
            seconds: time limit, None for no limit.

        Raises:
            HandshakeTimeoutError: no page connected in time.
            HandshakeError: the frame was removed, or the window was closed.
            PortClosedError: the connection was ended here, or by the other side (PeerClosedError).
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while (
                    (page_session := self._page_session) is None
                    or page_session is previous
                    or page_session.port.closed
                ):
                    if self._end_error is not None:
                        raise self._end_error()
                    waiter = Waiter(loop)
                    self._waiters.append(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.remove(waiter)
        except TimeoutError:
            raise self._timeout_error(seconds or 0) from None
        return page_session

    def _timeout_error(self, seconds: float) -> HandshakeTimeoutError:
        origins = self._options.origins
        peer = "the worker" if origins is None else " or ".join(map(format_origin, sorted(origins)))
        rejected = () if self._end_error else bridge().windows.rejected(self._number)
        return HandshakeTimeoutError(f"Penpal from {peer}", seconds, rejected)

    # The handshake

    def _on_window_message(self, message: Any, events: Sequence[Any], index: int) -> None:
        if isinstance(message, Notice):
            if message.kind == "gone":
                self._on_target_gone()
        elif type(message) is dict:
            event = events[index]
            ports = event.ports.length if message.get("type") == "ACK2" else 0
            origin = BrowserEvent(event).origin
            self._run_steps(self._protocol.received(message, origin, ports), event)

    def _run_steps(self, steps: Sequence[Step], event: Any) -> None:
        for step in steps:
            if isinstance(step, Post):
                self._post(step.message, step.origin)
            elif isinstance(step, OfferPort):
                ours, theirs = MessageChannel()
                self._post(step.message, step.origin, [theirs])
                self._on_connected(ours)
            elif isinstance(step, UsePort):
                self._on_connected(MessagePort(event.ports[0]))
            elif isinstance(step, DropPort) and self._page_session is not None:
                self._page_session.end(lost=True)

    def _post(self, message: Any, origin: str, ports: Sequence[MessagePort] = ()) -> None:
        target, kind, *_ = self._options
        moved = check_transfer(ports) if ports else None
        destination = (target, None if kind == "worker" else origin)
        with contextlib.suppress(
            TypeError
        ):  # a frame outside of a document: its page will send SYN later
            send_message(CLONE, bridge().send_to, destination, message, moved)
        if moved is not None:
            moved.detach_ports()

    def _on_connected(self, port: MessagePort) -> None:
        self._page_session = self._context.run(
            PageSession, port, self._policy, self._options, partial(self.destroy, notify=False)
        )
        self._sink.run = partial(wake_all, self._waiters)

    # End

    def _on_target_gone(self) -> None:
        """End the session, because the frame was removed or the window was closed."""
        if self._page_session is not None:
            self._page_session.end(lost=True)
        self._finish(partial(HandshakeError, "the frame was removed, or the window closed", "gone"))

    def destroy(self, *, notify: bool = True) -> None:
        """End the session; notify the other side unless it sent the end itself."""
        page_session = self._page_session
        if page_session is not None and not page_session.port.closed:
            if notify:
                page_session.destroy()
            else:
                page_session.end(lost=False)
        self._finish(PortClosedError if notify else PeerClosedError)

    def _finish(self, end_error: Callable[[], Exception]) -> None:
        if self._end_error is None:
            self._end_error = end_error
            self._sink.stop()
            self._endpoint.release()
            wake_all(self._waiters)

    # Requests of a Remote

    def request(
        self,
        kind: str,
        handle: RemoteHandle,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> ClientCall:
        """Send a call.

        Raises:
            TypeError: Penpal doesn't support this kind of request.
            PeerLostError: the page there was replaced, and the new one is not connected yet.
        """
        if kind != "APPLY" or not path:
            raise TypeError("Penpal supports only method calls: remote.name(…)")
        if keywords:
            raise TypeError(f"Penpal has no keyword arguments ({', '.join(keywords)})")
        assert self._page_session is not None  # noqa: S101 - a Remote exists only once a page connected
        return self._page_session.client.request(kind, handle, path, arguments)

    def release(self, handle: RemoteHandle) -> ClientCall:
        """End the connection."""
        self.destroy()
        call = ClientCall(handle, lambda _: None)
        call.settle(None)
        return call

    def release_soon(self) -> None:
        """Do nothing: the session still serves calls when no Remote is left."""


@final
class PageSession(ExclusiveReader):
    """The calls on the port to one page, in both directions.

    Args:
        port: it must have no other reader.
        policy: the methods that the page may call.
        options: of the connection.
        on_destroyed: called when the page ends the connection.

    Attributes:
        port: as above.
        client: makes the calls of this side.
    """

    def __init__(
        self,
        port: MessagePort,
        policy: AccessPolicy,
        options: PenpalOptions,
        on_destroyed: Callable[[], None],
    ) -> None:
        super().__init__(core_of(port))
        marshaller = Marshaller(python=False, tracebacks=options.tracebacks)
        self.port = port
        self._protocol = PenpalProtocol(f"{fresh_id()}-", options.channel)
        self.client: CallClient = CallClient(port, self._protocol, marshaller)
        self._server = _PenpalServer(port, self._protocol, marshaller, policy)
        self._only_answers = policy.root == {}
        self._on_destroyed = on_destroyed
        self._actions = ActionQueue()
        self.attach(None)

    def on_messages(self, messages: list[Any]) -> Callable[[], None] | None:
        """Store received messages; return what the caller has to call as its last act."""
        to_wake: list[Waiter] = []
        for message in messages:
            if type(message) is UnreadableMessage:
                self.client.unread.append(message)
                continue
            action = self._protocol.received(message)
            if isinstance(action, SettleCall):
                to_wake += self.client.settle(action.token, action.wire)
            elif action is not None:
                self._actions.waiting.append(action)
        if self.client.unread:
            to_wake += self.client.fail_unidentified(only_answers=self._only_answers)
        return self._actions.wake(to_wake, self._perform)

    def _perform(self, action: Execute | Answer | Destroyed) -> None:
        if isinstance(action, Execute):
            self._server.run(action)
        elif isinstance(action, Destroyed):
            self._on_destroyed()
        elif not self.port.closed:
            self.port.post_message(action.message)

    def destroy(self) -> None:
        """End the connection from this side."""
        self.port.post_message(self._protocol.destroy())
        self.port.close()

    def end(self, *, lost: bool) -> None:
        """End the session, because the other side vanished or ended the connection."""
        self.core.peer_ended(self.core.queue.received, PeerLostError if lost else PeerClosedError)

    def on_end(self, end: Callable[[], Exception]) -> None:
        """End this session, because the port ended, and fail everything that waits."""
        self.client.fail_all(self._protocol.end(), end)
        self._server.cancel_all()
        self._actions.end(self._server.cancel_all, drop=end in (PortClosedError, PortDetachedError))


class _NotFoundError(AttributeError):
    """The method does not exist, or is not reachable."""


class PenpalAccess(AccessPolicy):
    """The methods that the other side may call."""

    __slots__ = ()

    def function(self, path: tuple[str, ...]) -> Callable[..., Any]:
        """Return the function to call at a path.

        Raises:
            AttributeError: the path is not reachable, or its value can't be called.
        """
        try:
            return super().function(path)
        except (AttributeError, TypeError) as error:
            raise _NotFoundError(error_text(error)) from None


class _PenpalServer(CallServer):
    """Serves the exposed methods, and answers with Penpal's messages."""

    def fail(self, request: Execute, error: BaseException) -> None:
        protocol: Any = self._protocol
        parts = self._marshaller.error_to_wire(error)["value"]["value"]
        message = protocol.fail(request.id, parts, found=not isinstance(error, _NotFoundError))
        if message is not None:
            with contextlib.suppress(PortStateError, DataCloneError):
                self._port.post_message(message)

"""Penpal: calls to and from pages and workers that use the npm package penpal 7, or this module."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, NamedTuple, final

from pyodide_msgchan._bridge.bridge import bridge
from pyodide_msgchan._bridge.ffi import to_js_list
from pyodide_msgchan._codec.exceptions import wire_of_error
from pyodide_msgchan._connection.handshake.base import format_origin, fresh_id
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.callback_sink import CallbackSink
from pyodide_msgchan._port.endpoint import BrowserEndpoint, BrowserEvent, browser_pair, post_encoded
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan._printing import error_text
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.call import Call
from pyodide_msgchan._rpc.marshalling import Attachments
from pyodide_msgchan._rpc.protocol import Execute
from pyodide_msgchan._rpc.remote import RemoteHandle
from pyodide_msgchan._rpc.server import CallServer
from pyodide_msgchan._rpc.session import RpcSession
from pyodide_msgchan.errors import (
    DataCloneError,
    HandshakeError,
    HandshakeTimeoutError,
    MessageError,
    PeerClosedError,
    PortClosedError,
    PortStateError,
)
from pyodide_msgchan.penpal.protocol import (
    Destroyed,
    Lost,
    Offer,
    PenpalHandshake,
    PenpalProtocol,
    Post,
    Step,
    Take,
)

__all__ = ["PenpalAccess", "PenpalOptions", "PenpalSession", "_PageSession"]


class PenpalOptions(NamedTuple):
    """What was asked for, checked."""

    target: Any
    kind: str
    origins: frozenset[str] | None
    channel: str | None
    tracebacks: bool


@final
class PenpalSession:
    """One side of a Penpal connection, over all pages that come to be at the other one."""

    def __init__(self, options: PenpalOptions, policy: AccessPolicy) -> None:
        self._options = options
        self._policy = policy
        self._context = copy_context()
        self._page_session: _PageSession | None = None
        self._ended: Callable[[], Exception] | None = None
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
        self._sink = CallbackSink(self._endpoint, self._heard)
        bridge().windows.watchSource(self._number, target)
        self._perform(self._protocol.start(), None)

    async def join(self, before: _PageSession | None, seconds: float | None) -> _PageSession:
        """Wait for a line that is not the one before."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                while (
                    (page_session := self._page_session) is None
                    or page_session is before
                    or page_session.port.closed
                ):
                    if self._ended is not None:
                        raise self._ended()
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
        whom = "the worker" if origins is None else " or ".join(map(format_origin, sorted(origins)))
        heard = () if self._ended else bridge().windows.rejected(self._number)
        return HandshakeTimeoutError(f"Penpal from {whom}", seconds, heard)

    # The handshake

    def _heard(self, message: Any, events: Sequence[Any], index: int) -> None:
        if isinstance(message, Notice):
            if message.kind == "gone":
                self._gone()
        elif type(message) is dict:
            event = events[index]
            ports = event.ports.length if message.get("type") == "ACK2" else 0
            origin = BrowserEvent(event).origin
            self._perform(self._protocol.heard(message, origin, ports), event)

    def _perform(self, steps: Sequence[Step], event: Any) -> None:
        for step in steps:
            if isinstance(step, Post):
                self._post(step.message, step.origin)
            elif isinstance(step, Offer):
                ours, theirs = map(MessagePort._from_endpoint, browser_pair())
                self._post(step.message, step.origin, [theirs])
                self._connected(ours)
            elif isinstance(step, Take):
                self._connected(MessagePort(event.ports[0]))
            elif isinstance(step, Lost) and self._page_session is not None:
                self._page_session.end(lost=True)

    def _post(self, message: Any, origin: str, ports: Sequence[MessagePort] = ()) -> None:
        target, kind, *_ = self._options
        moved = check_transfer(ports) if ports else None
        where = (target, None if kind == "worker" else origin)
        with contextlib.suppress(TypeError):  # a frame that is in no document yet will speak first
            post_encoded(bridge().send_to, where, message, moved)
        if moved is not None:
            moved.done()

    def _connected(self, port: MessagePort) -> None:
        self._page_session = page_session = _PageSession(port, self._options, self.destroy)
        self._context.run(page_session.expose, self._policy)
        self._sink.run = self._wake

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.wake_soon()

    # The end

    def _gone(self) -> None:
        """Be over: the frame was removed, or the window closed."""
        if self._page_session is not None:
            self._page_session.end(lost=True)
        self._finish(partial(HandshakeError, "the frame was removed, or the window closed", "gone"))

    def destroy(self, *, tell: bool = True) -> None:
        """Be over, and unless the other side said so first, say it."""
        page_session = self._page_session
        if page_session is not None and not page_session.port.closed:
            if tell:
                page_session.port.post_message(page_session.protocol.destroy())
                page_session.port.close()
            else:
                page_session.end(lost=False)
        self._finish(PortClosedError if tell else PeerClosedError)

    def _finish(self, over: Callable[[], Exception]) -> None:
        if self._ended is None:
            self._ended = over
            self._sink.stop()
            self._endpoint.release()
            self._wake()

    # For a Remote

    def request(
        self,
        kind: str,
        handle: RemoteHandle,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Call:
        """Send a call.

        Raises:
            TypeError: Penpal has no such thing.
            PeerLostError: the page there was replaced, and the new one is not connected yet.
        """
        if kind != "APPLY" or not path:
            raise TypeError("over Penpal there are only calls of methods: remote.name(…)")
        if keywords:
            raise TypeError(f"Penpal has no keyword arguments ({', '.join(keywords)})")
        assert self._page_session is not None  # noqa: S101 - there is no Remote before
        return self._page_session.request(kind, handle, path, arguments)

    def release(self, handle: RemoteHandle) -> Call:
        """End the connection."""
        self.destroy()
        call = Call(handle, lambda _: None)
        call._settle(None)
        return call

    def release_soon(self) -> None:
        """Never asked for: what serves calls lives on without a Remote."""


class _PageSession(RpcSession):
    """The port to one page, and all calls on it."""

    protocol: PenpalProtocol

    def __init__(
        self, port: MessagePort, options: PenpalOptions, over: Callable[..., None]
    ) -> None:
        super().__init__(port)
        self.protocol = PenpalProtocol(f"{fresh_id()}-", options.channel)
        self.tracebacks = options.tracebacks
        self.calls = None  # that short way is Comlink's
        self.python = False
        self._ended = over

    def expose(self, policy: AccessPolicy) -> None:
        """Let these methods be called."""
        self.server = _PenpalServer(self, policy, tracebacks=self.tracebacks)

    def _may_be_asked(self) -> bool:
        return self.server is not None and self.server.policy.root != {}

    def end(self, *, lost: bool) -> None:
        """Be over: the other side vanished, or ended it."""
        self.port._peer_ended(self.port._received_count, lost=lost)

    def handle_action(self, action: Any) -> None:
        if isinstance(action, Destroyed):
            self._ended(tell=False)
        else:
            super().handle_action(action)

    def cancel_call(self, call: Call) -> None:
        self.protocol.forget(call._id)  # the other side is not told: Penpal has no word for it
        call._settle(None)

    def marshal_proxy(self, policy: AccessPolicy, _attachments: Attachments) -> Any:
        return {"value": policy.root}  # which can't be sent, as the error says

    def marshal_stream(self, value: Any, _attachments: Attachments) -> Any:
        return {"value": value}


class _NotFoundError(AttributeError):
    """There is no such method, or it is not reachable."""


class PenpalAccess(AccessPolicy):
    """What may be called."""

    __slots__ = ()

    def function(self, path: tuple[str, ...]) -> Callable[..., Any]:
        """Return what is to be called at a path."""
        try:
            return super().function(path)
        except (AttributeError, TypeError) as error:
            raise _NotFoundError(error_text(error)) from None


class _PenpalServer(CallServer):
    """Methods at work."""

    __slots__ = ()

    def refuse(self, run: Execute, error: MessageError) -> None:
        self.fail(run, error)

    def fail(self, run: Execute, error: BaseException) -> None:
        session: Any = self.session
        parts = wire_of_error(error, traceback=self.tracebacks)["value"]["value"]
        message = session.protocol.fail(run.id, parts, found=not isinstance(error, _NotFoundError))
        if message is not None:
            with contextlib.suppress(PortStateError, DataCloneError):
                session.port.post_message(message)

"""The session of a port: its only reader, for remote calls in both directions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry, try_set_running_loop
from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._port.core import PortState, core_of
from pyodide_msgchan._port.exclusive_reader import attach_reader
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.unreadable import UnreadableMessage
from pyodide_msgchan._port.waiter import Waiter, wake_together
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.call import Call
from pyodide_msgchan._rpc.client import CallClient, ignore_answer
from pyodide_msgchan._rpc.protocol import (
    Answer,
    Cancel,
    Detach,
    Discard,
    Execute,
    SettleCall,
    StreamItem,
    StreamRequest,
)
from pyodide_msgchan._rpc.remote import Options, RemoteHandle
from pyodide_msgchan._rpc.server import CallServer
from pyodide_msgchan._rpc.unread import announcement, is_announcement, substitute, wires_of
from pyodide_msgchan.errors import PortClosedError, PortDetachedError

__all__ = ["RpcSession"]


class RpcSession(CallClient):
    """All remote calls on one port: client, server and marshaller.

    Args:
        port: it must have no other reader.
        parent: the session whose port carried this one. A session ends with its first ancestor, not
            with its parent, because an object may outlive the one through which it was received.

    Attributes:
        server: serves the exposed object; None while nothing is exposed.
    """

    def __init__(self, port: MessagePort, parent: RpcSession | None = None) -> None:
        super().__init__(port, parent)
        self.server: CallServer | None = None
        self._root: RpcSession = parent._root if parent else self
        self._children: set[RpcSession] = set()
        self._queue: deque[Any] = deque()
        self._drain_scheduled = False
        self._announcement: Any = None
        self._unread: list[UnreadableMessage] = []
        self._loop = asyncio.get_event_loop()
        self.calls = attach_reader(core_of(port), self, self.protocol.prefix)
        self._core = core_of(port)
        self._core.endpoint.announce = self._announce
        if self._root is not self:
            self._root._children.add(self)

    # Incoming messages

    def on_messages(self, messages: list[Any]) -> Callable[[], None] | None:
        """Store received messages; return what the caller has to call as its last act."""
        to_wake: list[Waiter] = []
        before = self._announcement
        for message in messages:
            readable = (
                self._substitute(message, before) if type(message) is UnreadableMessage else message
            )
            before = message
            action = self.protocol.received(readable)
            kind = type(action)
            if kind is SettleCall:
                to_wake += self._settle(action.token, action.wire)  # type: ignore[union-attr]
            elif kind is StreamItem:
                to_wake += self._on_stream_item(action.message)  # type: ignore[union-attr]
            elif action is not None:
                self._queue.append(action)
        self._announcement = before if is_announcement(before) else None
        if self._unread:
            to_wake += self._fail_unidentified()
        return self._wake(to_wake)

    def _substitute(self, unread: UnreadableMessage, before: Any) -> Wire | None:
        """Return what stands for an unreadable message; None if its kind is unknown."""
        self._discard(wires_of(unread))
        for item in unread.attachments:
            if isinstance(item, MessagePort) and not item.closed:
                item.close()
        message = substitute(unread, before)
        if message is None and self._iterator and self._iterator():
            message = {"type": "ITEM", "item": unread.wire, "thrown": True}
        if message is None:
            self._unread.append(unread)
        return message

    def _fail_unidentified(self) -> list[Waiter]:
        """Fail the calls whose answers must be the unreadable messages; return the waiters to wake.

        An answer that was not announced doesn't tell which call it belongs to. If only answers
        arrive here, that is known once no more calls are pending than messages were unreadable.
        """
        waiting, only_answers = self.protocol.pending_count, not self._expects_requests()
        if only_answers and waiting > len(self._unread):
            return []
        unread, self._unread = self._unread, []
        if not only_answers or not waiting:
            for item in unread:
                if not self._core.queue.error_listeners:
                    report(str(item.error), item.error)
            return []
        to_wake: list[Waiter] = []
        for token in self.protocol.pop_all_pending():
            to_wake += self._settle(token, unread[0].wire)
        return to_wake

    def _expects_requests(self) -> bool:
        """Return True if requests, or answers to other ends, may arrive here too."""
        return self.server is not None or self.protocol.shared

    def _announce(self, message: Wire) -> None:
        """Announce a message that the other side may be unable to read."""
        if self.python is not False:
            self.port.post_message(announcement(message))

    def _wake(self, to_wake: list[Waiter]) -> Callable[[], None] | None:
        waiting = [waiter for waiter in to_wake if not waiter.done()]
        if len(waiting) == 1 and not self._queue:
            return waiting[0].wake_now
        for waiter in waiting:
            waiter.wake_soon()
        return self._drain if self._queue else None

    def on_call(self, call: str, path: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Run a call of plain values unless messages before it wait; return its plain result."""
        server, core = self.server, self._core
        if server is None or self._queue or core.state is not PortState.OPEN:
            return NotImplemented
        if not try_set_running_loop(self._loop) or not self.protocol.begin(call):
            return NotImplemented
        queue = core.queue
        queue.received += 1  # inlined from `count_received`: saves a call
        if queue.on_consumed is not None:
            queue.on_consumed()
        return server.call(call, path, values)

    def on_results(self, call: int, value: Any, *more: Any) -> Callable[[], None] | None:
        """Store answers that are plain values; return what the caller has to call as its last act.

        Args:
            call: the number of a request.
            value: its result.
            more: further numbers and results, alternating.
        """
        waiters = self._settle_plain(call, value)
        if more:
            waiters = waiters[:]
            for i in range(0, len(more), 2):
                waiters += self._settle_plain(more[i], more[i + 1])
        if self._unread:
            waiters = waiters + self._fail_unidentified()
        if len(waiters) == 1 and not self._queue:
            return waiters[0].wake_now  # does nothing if that one is done
        return self._wake(waiters)

    def _settle_plain(self, call: int, value: Any) -> list[Waiter]:
        token = self.protocol.pop_pending(call)
        self._core.count_received()
        if type(token) is Call:
            return token._settle(value)
        return [] if token is None else token(raw(value))

    def _settle(self, token: Any, wire: Wire) -> list[Waiter]:
        if type(token) is not Call:
            answered: list[Waiter] = token(wire)
            return answered
        if wire["type"] == "RAW":
            return token._settle(wire.get("value"))
        try:
            return token._settle(self.from_wire(wire, token._handle and token._handle.options))
        except Exception as error:  # noqa: BLE001 - the call raises it
            return token._fail(error)

    def _on_stream_item(self, message: Wire) -> list[Waiter]:
        iterator = self._iterator and self._iterator()
        waiter = iterator._on_item(message) if iterator else None
        return [waiter] if waiter else []

    def _drain(self) -> None:
        loop = asyncio.get_event_loop()
        if not prepare_task_entry(loop):
            loop.call_soon(self._drain)
            return
        self._drain_scheduled = False
        queue = self._queue
        while queue:
            action = queue.popleft()
            # This action may block in run_sync until a later one has run.
            if queue and not self._drain_scheduled:
                self._drain_scheduled = True
                loop.call_soon(self._drain)
            self.handle_action(action)
        if self._end is not None:
            self._stop_serving()

    def handle_action(self, action: Any) -> None:
        """Perform an action that the protocol returned."""
        kind, server = type(action), self.server
        if kind is Execute:
            if server is not None:
                server.run(action)
            else:
                self._discard(action.arguments)
        elif kind is Cancel:
            if server is not None:
                server.cancel(action.id)
        elif kind is StreamRequest:
            if self._source is not None:
                self._source.on_request(action.message)
        elif kind is Discard:
            self._discard(action.discard)
        elif kind is Answer:
            self._discard(action.discard)
            self._post_if_open(action.message)
        elif kind is Detach:
            self._post_if_open(action.message)
            self._stop_serving()
            if self._root is not self:
                self.finish()

    def _discard(self, wires: Iterable[Wire]) -> None:
        """Release the ports in wire values that nobody will use."""
        for wire in wires:
            port = wire.get("value")
            if isinstance(port, MessagePort) and not port.closed:
                if wire.get("name") == "proxy":
                    number = self.protocol.expect(ignore_answer)
                    port.post_message(self.protocol.request("RELEASE", (), number))
                port.close()

    # Sessions and handles of further ports

    def child(self, port: MessagePort) -> RpcSession:
        """Return a session for a port that was sent or received on this one.

        Raises:
            PortStateError: the first ancestor ended. The port is closed.
        """
        if self._root._end is not None:
            port.close()
            raise self._root._end()
        return RpcSession(port, self)

    def make_handle(self, options: Options) -> RemoteHandle:
        """Return a handle for the object at the other end, for which this port was made."""
        return RemoteHandle(self, owned=True, options=options)

    # Exposing

    def expose(self, policy: AccessPolicy) -> None:
        """Expose an object, also to requests that arrived before."""
        self.server = CallServer(self, policy, tracebacks=self.tracebacks)
        if self.calls is not None and self.protocol.shared:
            self.calls.serve(True)  # noqa: FBT003 - JavaScript has no keywords
        queued = self.protocol.expose()
        if queued:
            self._queue.extend(queued)
            asyncio.get_event_loop().call_soon(self._drain)

    def expose_on_new_port(self) -> MessagePort:
        """Expose the same object on a new port, and return its other end."""
        ours, theirs = self._pair()
        if self.server is not None:
            self.child(ours).expose(self.server.policy)
        return theirs

    def _stop_serving(self) -> None:
        self.protocol.stop_exposing()
        if self.calls is not None and self.protocol.shared:
            self.calls.serve(False)  # noqa: FBT003 - JavaScript has no keywords
        if self.server is not None:
            self.server.cancel_all()
            self.server = None
        if self._source is not None:
            source, self._source = self._source, None
            source.close()

    def _post_if_open(self, message: Wire) -> None:
        if not self.port.closed:
            self.port.post_message(message)

    # The end

    def end_with_parent(self, end: Callable[[], Exception]) -> None:
        """End this session and close its port, because the session that it belongs to ended."""
        self.on_end(end)
        self._core.queue.reader = None  # so that closing the port does not end this session again
        self.finish()

    def on_end(self, end: Callable[[], Exception]) -> None:
        """End this session, because the port ended, and fail everything that waits."""
        # The endpoint may live longer than its port, and must not keep this session alive.
        self._deferred = self._core.endpoint.announce = None
        to_wake: list[Waiter] = []
        for token in self.protocol.end():
            to_wake += token._fail(end()) if type(token) is Call else token(raw(None))
        wake_together(to_wake)
        self._end = end
        if end in (PortClosedError, PortDetachedError):
            self._queue.clear()  # otherwise the last calls of the other side still run
        if not self._queue:
            self._stop_serving()
        elif self.server is not None:
            self.server.cancel_all()
        iterator = self._iterator and self._iterator()
        if iterator:
            iterator._on_end(end)
        children, self._children = self._children, set()
        for child in children:
            child.end_with_parent(end)
        self._root._children.discard(self)

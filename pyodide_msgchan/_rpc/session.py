"""The session of a port: its only reader, for remote calls in both directions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

from pyodide_msgchan._bridge.event_loop import try_set_running_loop
from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._port.core import PortState, core_of
from pyodide_msgchan._port.exclusive_reader import ExclusiveReader
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.unreadable import UnreadableMessage, close_ports
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan._rpc.access import AccessPolicy
from pyodide_msgchan._rpc.actions import ActionQueue
from pyodide_msgchan._rpc.call import ClientCall
from pyodide_msgchan._rpc.client import CallClient
from pyodide_msgchan._rpc.marshalling import Marshaller, ProxyMarshaller
from pyodide_msgchan._rpc.protocol import (
    Answer,
    Cancel,
    ComlinkProtocol,
    Detach,
    Discard,
    Execute,
    SettleCall,
    StreamItem,
    StreamRequest,
)
from pyodide_msgchan._rpc.remote import Options, Remote, RemoteHandle
from pyodide_msgchan._rpc.server import CallServer
from pyodide_msgchan._rpc.streams import RemoteIterator, StreamPort, StreamReader, StreamSource
from pyodide_msgchan._rpc.unread import announcement, is_announcement, substitute, wires_of
from pyodide_msgchan.errors import PortClosedError, PortDetachedError

__all__ = ["RpcSession"]


_session_numbers = count()


class RpcSession(ExclusiveReader):
    """All remote calls on one port: it has a client, a server and a marshaller.

    Args:
        port: it must have no other reader.
        root: the session whose port carried this one, directly or through others. A session ends
            with its root, not with its parent, because an object may outlive the one through
            which it was received.
        parent: the marshaller of the values among which the port was sent or received.

    Attributes:
        port: as above.
        protocol: the state of the calls in both directions.
        marshaller: converts values for the client and the server.
        client: makes the calls of this side.
        server: serves the exposed object; None while nothing is exposed.
    """

    def __init__(
        self, port: MessagePort, root: RpcSession | None = None, parent: Marshaller | None = None
    ) -> None:
        core = core_of(port)
        super().__init__(core)
        self.port = port
        self.protocol = ComlinkProtocol(
            f"{_id_prefix()}-{next(_session_numbers):x}-", shared=core.endpoint.shared
        )
        self._root = root
        self._children: set[RpcSession] = set()
        self.attach(self.protocol.prefix)
        self.marshaller = ProxyMarshaller(port, (root or self).open_child, parent)
        self.client = CallClient(port, self.protocol, self.marshaller, self.calls)
        self.server: CallServer | None = None
        self._source: StreamSource | None = None
        self._reader: StreamReader | None = None
        self._actions = ActionQueue()
        self._queue, self._unread = self._actions.waiting, self.client.unread
        self._announcement: Any = None
        self._loop = asyncio.get_event_loop()
        core.endpoint.announce = self._announce

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
                to_wake += self.client.settle(action.token, action.wire)  # type: ignore[union-attr]
            elif kind is StreamItem:
                if self._reader is not None:
                    to_wake += self._reader.on_message(action.message)  # type: ignore[union-attr]
            elif action is not None:
                self._queue.append(action)
        self._announcement = before if is_announcement(before) else None
        if self._unread:
            to_wake += self._fail_unidentified()
        return self._actions.wake(to_wake, self._perform)

    def _substitute(self, unread: UnreadableMessage, before: Any) -> Wire | None:
        """Return what stands for an unreadable message; None if its kind is unknown."""
        self.client.discard(wires_of(unread))
        close_ports(unread.attachments)
        message = substitute(unread, before)
        if message is None and self._reader is not None:
            message = {"type": "ITEM", "item": unread.wire, "thrown": True}
        if message is None:
            self._unread.append(unread)
        return message

    def _fail_unidentified(self) -> list[Waiter]:
        only_answers = self.server is None and not self.protocol.shared
        return self.client.fail_unidentified(only_answers=only_answers)

    def _announce(self, message: Wire) -> None:
        """Announce a message that the other side may be unable to read."""
        if self.marshaller.python is not False:
            self.port.post_message(announcement(message))

    def on_call(self, call: str, path: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Run a call of plain values unless messages before it wait; return its plain result."""
        server, core = self.server, self.core
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
        return self._actions.wake(waiters, self._perform)

    def _settle_plain(self, call: int, value: Any) -> list[Waiter]:
        token = self.protocol.pop_pending(call)
        self.core.count_received()
        if type(token) is ClientCall:
            return token.settle(value)
        return [] if token is None else token(raw(value))

    def _perform(self, action: Any) -> None:
        """Perform an action that the protocol returned."""
        kind, server = type(action), self.server
        if kind is Execute:
            if server is not None:
                server.run(action)
            else:
                self.client.discard(action.arguments)
        elif kind is Cancel:
            if server is not None:
                server.cancel(action.id)
        elif kind is StreamRequest:
            if self._source is not None:
                self._source.on_request(action.message)
        elif kind is Discard:
            self.client.discard(action.discard)
        elif kind is Answer:
            self.client.discard(action.discard)
            self._post_if_open(action.message)
        elif kind is Detach:
            self._post_if_open(action.message)
            self._stop_serving()
            if self._root is not None:
                self.port.close()

    def _post_if_open(self, message: Wire) -> None:
        if not self.port.closed:
            self.port.post_message(message)

    # Objects at the other end

    def remote(self, options: Options) -> Remote:
        """Return a `Remote` for the object at the other end, for which this port was made."""
        return Remote(RemoteHandle(self.client, owned=True, options=options))

    def remote_iterator(self, options: Options) -> RemoteIterator:
        """Return a `RemoteIterator` for the iterator at the other end."""
        self._reader = StreamReader(StreamPort(self.port, self.marshaller), options.prefetch)
        return RemoteIterator(self._reader, RemoteHandle(self.client, owned=True, options=options))

    # Exposing

    def expose(self, policy: AccessPolicy) -> None:
        """Expose an object, also to requests that arrived before."""
        self.server = CallServer(self.port, self.protocol, self.marshaller, policy, self.calls)
        if self.calls is not None and self.protocol.shared:
            self.calls.serve(True)  # noqa: FBT003 - JavaScript has no keywords
        queued = self.protocol.expose()
        if queued:
            self._queue.extend(queued)
            asyncio.get_event_loop().call_soon(self._actions.drain, self._perform)

    def expose_stream(self, items: Any) -> None:
        """Expose an iterator, which Python and JavaScript read in different ways."""
        self._source = StreamSource(StreamPort(self.port, self.marshaller), items)
        self.expose(AccessPolicy(self._source.methods()))

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

    # Children and the end

    def open_child(self, port: MessagePort, parent: Marshaller) -> RpcSession:
        """Return a session for a port that was sent or received on this one or on a child.

        Raises:
            PortStateError: this session ended. The port is closed.
        """
        if self.core.ended:
            port.close()
            raise self.core.closed_error()
        child = RpcSession(port, self, parent)
        self._children.add(child)
        return child

    def forget_child(self, child: RpcSession) -> None:
        """Forget a child that ended by itself."""
        self._children.discard(child)

    def on_end(self, end: Callable[[], Exception]) -> None:
        """End this session, because the port ended, and fail everything that waits."""
        # The endpoint may live longer than its port, and must not keep this session alive.
        self.core.endpoint.announce = None
        self.client.fail_all(self.protocol.end(), end)
        # If this side ended the port, the last calls of the other side don't run any more.
        self._actions.end(self._stop_serving, drop=end in (PortClosedError, PortDetachedError))
        if self.server is not None:
            self.server.cancel_all()
        if self._reader is not None:
            self._reader.on_end(end)
        children, self._children = self._children, set()
        for child in children:
            core_of(child.port).end(end, drop=True)
        if self._root is not None:
            self._root.forget_child(self)


@cache
def _id_prefix() -> str:
    """Return the random prefix of all request ids of this interpreter."""
    return os.urandom(8).hex()

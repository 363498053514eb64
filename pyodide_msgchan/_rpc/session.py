"""All remote calls on one port: the one reader of it, for client and server alike."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry, try_set_running_loop
from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._port.exclusive_reader import attach_reader
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.unreadable import Unread
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
    """A port and all calls on it.

    Args:
        port: nobody else reads it.
        parent: the link that it came, or goes, by. It ends with the first of these, not before:
            an object may outlive the one by which it was had.

    Attributes:
        server: the object that it offers, at work.
    """

    def __init__(self, port: MessagePort, parent: RpcSession | None = None) -> None:
        super().__init__(port, parent)
        self.server: CallServer | None = None
        self._root: RpcSession = parent._root if parent else self
        self._children: set[RpcSession] = set()
        self._queue: deque[Any] = deque()
        self._drain_scheduled = False
        self._announcement: Any = None
        self._unread: list[Unread] = []
        self._loop = asyncio.get_event_loop()
        self.calls = attach_reader(port, self, self.protocol.prefix)
        port._endpoint.announce = self._announce
        if self._root is not self:
            self._root._children.add(self)

    # What arrives

    def take(self, messages: list[Any]) -> Callable[[], None] | None:
        """Store what came; return what is to be called for it as the last act."""
        woken: list[Waiter] = []
        before = self._announcement
        for message in messages:
            known = self._substitute(message, before) if type(message) is Unread else message
            before = message
            action = self.protocol.received(known)
            kind = type(action)
            if kind is SettleCall:
                woken += self._settle(action.token, action.wire)  # type: ignore[union-attr]
            elif kind is StreamItem:
                woken += self._supplied(action.message)  # type: ignore[union-attr]
            elif action is not None:
                self._queue.append(action)
        self._announcement = before if is_announcement(before) else None
        if self._unread:
            woken += self._give_up()
        return self._wake(woken)

    def _substitute(self, unread: Unread, before: Any) -> Wire | None:
        """Return what stands for a message that can't be read; None if nobody knows what it is."""
        self._discard(wires_of(unread))
        for item in unread.beside:
            if isinstance(item, MessagePort) and not item.closed:
                item.close()
        message = substitute(unread, before)
        if message is None and self._iterator and self._iterator():
            message = {"type": "ITEM", "item": unread.wire, "thrown": True}
        if message is None:
            self._unread.append(unread)
        return message

    def _give_up(self) -> list[Waiter]:
        """End the calls whose answers must be those that can't be read; return who is to be woken.

        An answer that nothing announced tells not whose it is. It is known once no more calls wait
        than messages could not be read, if all that comes here are answers.
        """
        waiting, only_answers = self.protocol.waiting, not self._may_be_asked()
        if only_answers and waiting > len(self._unread):
            return []
        unread, self._unread = self._unread, []
        if not only_answers or not waiting:
            for one in unread:
                if not self.port._error_listeners:
                    report(str(one.error), one.error)
            return []
        woken: list[Waiter] = []
        for token in self.protocol.give_up():
            woken += self._settle(token, unread[0].wire)
        return woken

    def _may_be_asked(self) -> bool:
        """Return True if more may come than answers to this end: requests, or answers to others."""
        return self.server is not None or self.protocol.shared

    def _announce(self, message: Wire) -> None:
        """Tell the other side what comes next, since it may be unable to read that."""
        if self.python is not False:
            self.port.post_message(announcement(message))

    def _wake(self, woken: list[Waiter]) -> Callable[[], None] | None:
        waiting = [waiter for waiter in woken if not waiter.done()]
        if len(waiting) == 1 and not self._queue:
            return waiting[0].wake_now
        for waiter in waiting:
            waiter.wake_soon()
        return self._drain if self._queue else None

    def asked(self, call: str, path: tuple[str, ...], values: tuple[Any, ...]) -> Any:
        """Run a call of plain values, unless others come before it; return its plain result."""
        server, port = self.server, self.port
        if server is None or self._queue or port._expected_count is not None:
            return NotImplemented
        if not try_set_running_loop(self._loop) or not self.protocol.begin(call):
            return NotImplemented
        port._received_count += 1  # inlined from `_count_received`: saves a call
        if port._on_consumed is not None:
            port._on_consumed()
        return server.call(call, path, values)

    def answered(self, call: int, value: Any, *more: Any) -> Callable[[], None] | None:
        """Store an answer that is a plain value; return what is to be called for it.

        Args:
            call: the number of a request.
            value: its result.
            more: numbers and results, in turn, that came with it.
        """
        waiters = self._answered(call, value)
        if more:
            waiters = waiters[:]
            for i in range(0, len(more), 2):
                waiters += self._answered(more[i], more[i + 1])
        if self._unread:
            waiters = waiters + self._give_up()
        if len(waiters) == 1 and not self._queue:
            return waiters[0].wake_now  # nothing, if it is done
        return self._wake(waiters)

    def _answered(self, call: int, value: Any) -> list[Waiter]:
        token = self.protocol.answered(call)
        self.port._count_received()
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
            return token._settle(self.value(wire, token._handle and token._handle.options))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            return token._fail(error)

    def _supplied(self, message: Wire) -> list[Waiter]:
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
            if queue and not self._drain_scheduled:  # this one may block, in run_sync, on the next
                self._drain_scheduled = True
                loop.call_soon(self._drain)
            self.handle_action(action)
        if self._end is not None:
            self._stop_serving()

    def handle_action(self, action: Any) -> None:
        kind, server = type(action), self.server
        if kind is Execute:
            if server is not None:
                server.run(action)
            else:
                self._discard(action.arguments)
        elif kind is Cancel:
            if server is not None:
                server.stop(action.id)
        elif kind is StreamRequest:
            if self._source is not None:
                self._source.on_request(action.message)
        elif kind is Discard:
            self._discard(action.discard)
        elif kind is Answer:
            self._discard(action.discard)
            self._post_quietly(action.message)
        elif kind is Detach:
            self._post_quietly(action.message)
            self._stop_serving()
            if self._root is not self:
                self.finish()

    def _discard(self, wires: Iterable[Wire]) -> None:
        """Release ports that came with what nobody wants."""
        for wire in wires:
            port = wire.get("value")
            if isinstance(port, MessagePort) and not port.closed:
                if wire.get("name") == "proxy":
                    number = self.protocol.expect(ignore_answer)
                    port.post_message(self.protocol.request("RELEASE", (), number))
                port.close()

    # What is made for others

    def child(self, port: MessagePort) -> RpcSession:
        """Return a link for a port that came, or goes, by this one.

        Raises:
            PortStateError: with that port closed, since all is over.
        """
        if self._root._end is not None:
            port.close()
            raise self._root._end()
        return RpcSession(port, self)

    def handle(self, options: Options) -> RemoteHandle:
        """Return what refers to the object at the other end of a port that was made for it."""
        return RemoteHandle(self, owned=True, options=options)

    # What is exposed

    def expose(self, policy: AccessPolicy) -> None:
        """Offer an object from now on, also to requests that came before."""
        self.server = CallServer(self, policy, tracebacks=self.tracebacks)
        if self.calls is not None and self.protocol.shared:
            self.calls.serve(True)  # noqa: FBT003 - JavaScript has no keywords
        early = self.protocol.expose()
        if early:
            self._queue.extend(early)
            asyncio.get_event_loop().call_soon(self._drain)

    def endpoint(self) -> MessagePort:
        """Expose the same object on one more port, and give its other end."""
        ours, theirs = self._pair()
        if self.server is not None:
            self.child(ours).expose(self.server.policy)
        return theirs

    def _stop_serving(self) -> None:
        self.protocol.conceal()
        if self.calls is not None and self.protocol.shared:
            self.calls.serve(False)  # noqa: FBT003 - JavaScript has no keywords
        if self.server is not None:
            self.server.stop_all()
            self.server = None
        if self._source is not None:
            source, self._source = self._source, None
            source.ended()

    def _post_quietly(self, message: Wire) -> None:
        if not self.port.closed:
            self.port.post_message(message)

    # The end

    def end_with(self, end: Callable[[], Exception]) -> None:
        """Be over, since the port that it came by is."""
        self.ended(end)
        self.port._reader = None  # what it raises from now on is this end, not its own
        self.finish()

    def ended(self, end: Callable[[], Exception]) -> None:
        """Be over, since the port is: everything that waits learns of it."""
        self._deferred = self.port._endpoint.announce = None  # the endpoint may outlive its port
        woken: list[Waiter] = []
        for token in self.protocol.end():
            woken += token._fail(end()) if type(token) is Call else token(raw(None))
        wake_together(woken)
        self._end = end
        if end in (PortClosedError, PortDetachedError):
            self._queue.clear()  # else the other side's last calls are run
        if not self._queue:
            self._stop_serving()
        elif self.server is not None:
            self.server.stop_all()
        iterator = self._iterator and self._iterator()
        if iterator:
            iterator._on_end(end)
        children, self._children = self._children, set()
        for child in children:
            child.end_with(end)
        self._root._children.discard(self)

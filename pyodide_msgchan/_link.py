"""A port that carries remote calls: the one reader of it, for who wraps and who exposes alike."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ._browser import enter, enter_plainly, report
from ._call import Call
from ._calling import Calling, ignored
from ._comlink import Answer, Demand, Detach, Discard, Run, Settle, Stop, Supply, Wire, raw
from ._exposing import Exposer
from ._feed import feed
from ._reach import Reach
from ._remote import Hold, Options
from ._unread import Unread, announcement, is_announcement, substitute, wires_of
from ._waiter import Waiter, wake_together
from .errors import PortClosedError, PortDetachedError
from .port import MessagePort

__all__ = ["Link"]


class Link(Calling):
    """A port and all calls on it.

    Args:
        port: nobody else reads it.
        parent: the link that it came, or goes, by. It ends with the first of these, not before:
            an object may outlive the one by which it was had.

    Attributes:
        exposer: the object that it offers, at work.
    """

    def __init__(self, port: MessagePort, parent: Link | None = None) -> None:
        super().__init__(port, parent)
        self.exposer: Exposer | None = None
        self._root: Link = parent._root if parent else self
        self._children: set[Link] = set()
        self._queue: deque[Any] = deque()
        self._draining = False
        self._announcement: Any = None
        self._unread: list[Unread] = []
        self._loop = asyncio.get_event_loop()
        self.calls = feed(port, self, self.machine.prefix)
        port._endpoint.announce = self._announce
        if self._root is not self:
            self._root._children.add(self)

    # What arrives

    def take(self, messages: list[Any]) -> Callable[[], None] | None:
        """Store what came; gives what is to be called for it as the last act."""
        woken: list[Waiter] = []
        before = self._announcement
        for message in messages:
            known = self._substitute(message, before) if type(message) is Unread else message
            before = message
            action = self.machine.received(known)
            kind = type(action)
            if kind is Settle:
                woken += self._settle(action.token, action.wire)  # type: ignore[union-attr]
            elif kind is Supply:
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
        """End the calls whose answers must be those that can't be read; gives who is to be woken.

        An answer that nothing announced tells not whose it is. It is known once no more calls wait
        than messages could not be read, if all that comes here are answers.
        """
        waiting, only_answers = self.machine.waiting, not self._may_be_asked()
        if only_answers and waiting > len(self._unread):
            return []
        unread, self._unread = self._unread, []
        if not only_answers or not waiting:
            for one in unread:
                if not self.port._error_listeners:
                    report(str(one.error), one.error)
            return []
        woken: list[Waiter] = []
        for token in self.machine.give_up():
            woken += self._settle(token, unread[0].wire)
        return woken

    def _may_be_asked(self) -> bool:
        """Return True if more may come than answers to this end: requests, or answers to others."""
        return self.exposer is not None or self.machine.shared

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
        """Run a call of plain values, unless others come before it; gives its plain result."""
        exposer, port = self.exposer, self.port
        if exposer is None or self._queue or port._expected is not None:
            return NotImplemented
        if not enter_plainly(self._loop) or not self.machine.begin(call):
            return NotImplemented
        port._taken += 1  # as `_count_taken`, a call dearer
        if port._on_taken is not None:
            port._on_taken()
        return exposer.call(call, path, values)

    def answered(self, call: int, value: Any, *more: Any) -> Callable[[], None] | None:
        """Store an answer that is a plain value; gives what is to be called for it.

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
        token = self.machine.answered(call)
        self.port._count_taken()
        if type(token) is Call:
            return token.settle(value)
        return [] if token is None else token(raw(value))

    def _settle(self, token: Any, wire: Wire) -> list[Waiter]:
        if type(token) is not Call:
            answered: list[Waiter] = token(wire)
            return answered
        if wire["type"] == "RAW":
            return token.settle(wire.get("value"))
        try:
            return token.settle(self.value(wire, token._hold and token._hold.options))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            return token.fail(error)

    def _supplied(self, message: Wire) -> list[Waiter]:
        iterator = self._iterator and self._iterator()
        waiter = iterator.supplied(message) if iterator else None
        return [waiter] if waiter else []

    def _drain(self) -> None:
        loop = asyncio.get_event_loop()
        if not enter(loop):
            loop.call_soon(self._drain)
            return
        self._draining = False
        queue = self._queue
        while queue:
            action = queue.popleft()
            if queue and not self._draining:  # this one may block, in run_sync, on the next
                self._draining = True
                loop.call_soon(self._drain)
            self._act(action)
        if self._end is not None:
            self._conceal()

    def _act(self, action: Any) -> None:
        kind, exposer = type(action), self.exposer
        if kind is Run:
            if exposer is not None:
                exposer.run(action)
            else:
                self._discard(action.arguments)
        elif kind is Stop:
            if exposer is not None:
                exposer.stop(action.id)
        elif kind is Demand:
            if self._source is not None:
                self._source.demanded(action.message)
        elif kind is Discard:
            self._discard(action.discard)
        elif kind is Answer:
            self._discard(action.discard)
            self._post_quietly(action.message)
        elif kind is Detach:
            self._post_quietly(action.message)
            self._conceal()
            if self._root is not self:
                self.finish()

    def _discard(self, wires: Iterable[Wire]) -> None:
        """Let go of ports that came with what nobody wants."""
        for wire in wires:
            port = wire.get("value")
            if isinstance(port, MessagePort) and not port.closed:
                if wire.get("name") == "proxy":
                    number = self.machine.expect(ignored)
                    port.post_message(self.machine.request("RELEASE", (), number))
                port.close()

    # What is made for others

    def child(self, port: MessagePort) -> Link:
        """Give a link for a port that came, or goes, by this one.

        Raises:
            PortStateError: with that port closed, since all is over.
        """
        if self._root._end is not None:
            port.close()
            raise self._root._end()
        return Link(port, self)

    def hold(self, options: Options) -> Hold:
        """Give what refers to the object at the other end of a port that was made for it."""
        return Hold(self, owned=True, options=options)

    # What is exposed

    def expose(self, reach: Reach) -> None:
        """Offer an object from now on, also to requests that came before."""
        self.exposer = Exposer(self, reach, tracebacks=self.tracebacks)
        if self.calls is not None and self.machine.shared:
            self.calls.serve(True)  # noqa: FBT003 - JavaScript has no keywords
        early = self.machine.expose()
        if early:
            self._queue.extend(early)
            asyncio.get_event_loop().call_soon(self._drain)

    def endpoint(self) -> MessagePort:
        """Expose the same object on one more port, and give its other end."""
        ours, theirs = self._pair()
        if self.exposer is not None:
            self.child(ours).expose(self.exposer.reach)
        return theirs

    def _conceal(self) -> None:
        self.machine.conceal()
        if self.calls is not None and self.machine.shared:
            self.calls.serve(False)  # noqa: FBT003 - JavaScript has no keywords
        if self.exposer is not None:
            self.exposer.stop_all()
            self.exposer = None
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
        self._held = self.port._endpoint.announce = None  # the endpoint may outlive its port
        woken: list[Waiter] = []
        for token in self.machine.end():
            woken += token.fail(end()) if type(token) is Call else token(raw(None))
        wake_together(woken)
        self._end = end
        if end in (PortClosedError, PortDetachedError):
            self._queue.clear()  # else the other side's last calls are run
        if not self._queue:
            self._conceal()
        elif self.exposer is not None:
            self.exposer.stop_all()
        iterator = self._iterator and self._iterator()
        if iterator:
            iterator.ended(end)
        children, self._children = self._children, set()
        for child in children:
            child.end_with(end)
        self._root._children.discard(self)

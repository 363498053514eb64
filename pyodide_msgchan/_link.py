"""A port that carries remote calls: the one reader of it, for who wraps and who exposes alike."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache
from itertools import count
from typing import Any

from ._browser import enter
from ._call import Call
from ._comlink import Answer, Demand, Detach, Discard, Machine, Run, Settle, Stop, Supply, Wire, raw
from ._exposing import Exposer
from ._feed import feed
from ._parcel import Parcel, no_keywords, readable
from ._reach import Reach
from ._remote import Hold
from ._values import PLAIN, Values, cross_plainly
from ._waiter import Waiter
from .errors import DataCloneError, PortClosedError, PortDetachedError, PortStateError
from .port import MessagePort

__all__ = ["Link"]

_numbers = count()


class Link(Values):
    """A port and all calls on it.

    Args:
        port: nobody else reads it.
        parent: the link that it came, or goes, by. It ends with the first of these, not before:
            an object may outlive the one by which it was had.

    Attributes:
        machine: what it says and hears.
        exposer: the object that it offers, at work.
        spread: whether keyword arguments become one last object for a JavaScript end.
    """

    def __init__(self, port: MessagePort, parent: Link | None = None) -> None:
        super().__init__(port, parent)
        self.machine = Machine(f"{_page()}-{next(_numbers):x}")
        self.exposer: Exposer | None = None
        self.spread: bool = parent.spread if parent else False
        self._root: Link = parent._root if parent else self
        self._children: set[Link] = set()
        self._end: Callable[[], Exception] | None = None
        self._queue: deque[Any] = deque()
        self._draining = False
        self._held: list[tuple[Call, Wire, Parcel, bool]] | None = None
        self.calls = feed(port, self)
        if self._root is not self:
            self._root._children.add(self)

    # Calls

    def request(
        self,
        kind: str,
        hold: Hold,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Call:
        """Send a request.

        Raises:
            DataCloneError: an argument can't be sent.
            TypeError: keyword arguments for a JavaScript end.
            PortStateError: the port ended, or the object was released.
        """
        self._check(hold)
        if keywords and self.python is not True and self.spread:
            arguments, keywords = (*arguments, keywords), None
        if keywords and self.python is False:
            raise no_keywords(keywords)
        call, parcel = Call(hold, self._cancel), Parcel.NONE
        if kind == "APPLY" and not keywords and self._call_plainly(call, path, arguments):
            return call
        more: dict[str, Any] = {}
        if not keywords and PLAIN.issuperset(map(type, arguments)):
            wires: list[Wire] = [{"type": "RAW", "value": value} for value in arguments]
        else:
            parcel = Parcel()
            try:
                wires = [self.wire(value, parcel) for value in arguments]
                if keywords:
                    more["keywords"] = {
                        name: self.wire(value, parcel) for name, value in keywords.items()
                    }
            except BaseException:
                parcel.undo()
                raise
        if kind == "SET":
            more["value"] = wires[0]
        elif kind in ("APPLY", "CONSTRUCT"):
            more["argumentList"] = wires
        message = self.machine.request(kind, path, call, **more)
        call.id = message["id"]
        if self._held is not None or (keywords and self.python is None):
            self._keep(call, message, parcel, asks=bool(keywords))
        else:
            self._send(call, message, parcel)
        return call

    def _check(self, hold: Hold) -> None:
        if hold.released:
            raise PortStateError("this remote object was released")
        if self.port.closed:
            raise self.port._ending() if self._end is None else self._end()

    def _call_plainly(self, call: Call, path: tuple[str, ...], arguments: tuple[Any, ...]) -> bool:
        """Send a call the short way, if that can take it."""
        if self.calls is None or self._held is not None or len(path) != 1:
            return False
        if not cross_plainly(self.port, arguments):
            return False
        call.id = self.machine.expect(call)
        self.calls.call(call.id, path[0], arguments)
        return True

    def _send(self, call: Call, message: Wire, parcel: Parcel) -> None:
        try:
            self.port.post_message(message, transfer=parcel.transfer)
        except BaseException as error:
            self.machine.forget(call.id)
            parcel.undo()
            if isinstance(error, DataCloneError):
                raise readable(error) from None
            raise

    def _keep(self, call: Call, message: Wire, parcel: Parcel, *, asks: bool) -> None:
        """Keep a request, and those after it, until it is known who is on the other side."""
        if self._held is None:
            probe = self.machine.request("GET", ("__msgchan__",), self._probed)
            try:
                self.port.post_message(probe)
            except BaseException:
                self.machine.forget(probe["id"])
                self.machine.forget(call.id)
                parcel.undo()
                raise
            self._held = []
        self._held.append((call, message, parcel, asks))

    def _probed(self, wire: Wire) -> list[Waiter]:
        """Note whether the other end is this package, and send what was kept."""
        value = wire.get("value") if wire["type"] == "RAW" else None
        self.python = type(value) is dict and "msgchan" in value
        held, self._held = self._held or [], None
        woken: list[Waiter] = []
        for call, message, parcel, asks in held:
            if call.done():  # it was cancelled
                parcel.undo()
                continue
            try:
                if not asks or self.python:
                    self._send(call, message, parcel)
                    continue
            except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
                woken += call.fail(error)
            else:
                self.machine.forget(call.id)
                parcel.undo()
                woken += call.fail(no_keywords(message["keywords"]))
        return woken

    def _cancel(self, call: Call) -> None:
        message = self.machine.cancel(call.id)
        if message is None:
            return
        call.settle(None)
        if self._held is None and not self.port.closed:
            self.port.post_message(message)

    def release(self, hold: Hold) -> Call:
        """Be done with the object on the other side."""
        self._check(hold)
        call = Call(hold, self._cancel)

        def answered(_wire: Wire) -> list[Waiter]:
            if hold.owned:
                self.finish()
            return call.settle(None)

        message = self.machine.request("RELEASE", (), answered)
        call.id = message["id"]
        self.port.post_message(message)
        hold.released = True
        return call

    def let_go_soon(self) -> None:
        """Release what is on the other side in a later turn, and close the port."""
        if not self.port.closed:
            asyncio.get_event_loop().call_soon(self._let_go)

    def _let_go(self) -> None:
        if not self.port.closed:
            self.port.post_message(self.machine.request("RELEASE", (), _ignored))
        self.finish()

    # What arrives

    def take(self, messages: list[Any]) -> Callable[[], None] | None:
        """Store what came; gives what is to be called for it as the last act."""
        woken: list[Waiter] = []
        for message in messages:
            action = self.machine.received(message)
            kind = type(action)
            if kind is Settle:
                woken += self._settle(action.token, action.wire)  # type: ignore[union-attr]
            elif kind is Supply:
                woken += self._supplied(action.message)  # type: ignore[union-attr]
            elif action is not None:
                self._queue.append(action)
        return self._wake(woken)

    def _wake(self, woken: list[Waiter]) -> Callable[[], None] | None:
        waiting = [waiter for waiter in woken if not waiter.done()]
        if len(waiting) == 1 and not self._queue:
            return waiting[0].wake_now
        for waiter in waiting:
            waiter.wake_soon()
        return self._drain if self._queue else None

    def asked(self, call: str, name: str, values: tuple[Any, ...]) -> Callable[[], None] | None:
        """Store a call of plain values; gives what is to be called for it as the last act."""
        wires = [{"type": "RAW", "value": value} for value in values]
        message = {"id": call, "type": "APPLY", "path": [name], "argumentList": wires}
        run = self.take([message])
        self.port._count_taken()
        return run

    def answered(self, call: str, value: Any) -> Callable[[], None] | None:
        """Store an answer that is a plain value; gives what is to be called for it."""
        token = self.machine.answered(call)
        if type(token) is Call:
            waiters = token.settle(value)
        else:
            waiters = [] if token is None else token({"type": "RAW", "value": value})
        self.port._count_taken()
        return self._wake(waiters)

    def _settle(self, token: Any, wire: Wire) -> list[Waiter]:
        if type(token) is not Call:
            answered: list[Waiter] = token(wire)
            return answered
        if wire["type"] == "RAW":
            return token.settle(wire.get("value"))
        try:
            return token.settle(self.value(wire))
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
                    port.post_message(self.machine.request("RELEASE", (), _ignored))
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

    def hold(self) -> Hold:
        """Give what refers to the object at the other end of a port that was made for it."""
        return Hold(self, owned=True)

    # What is exposed

    def expose(self, reach: Reach) -> None:
        """Offer an object from now on, also to requests that came before."""
        self.exposer = Exposer(self, reach, tracebacks=self.tracebacks)
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
        self._held = None
        for token in self.machine.end():
            waiters = token.fail(end()) if type(token) is Call else token(raw(None))
            for waiter in waiters:
                waiter.wake_soon()
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


@cache
def _page() -> str:
    """Give what the ids of this interpreter begin with."""
    return os.urandom(8).hex()


def _ignored(_wire: Wire) -> list[Waiter]:
    return []

"""Calls on their way out: requests sent, kept back, cancelled, and objects released."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any, Final, Self

from ._call import Call
from ._comlink import Machine, Wire
from ._parcel import Parcel, no_keywords, readable
from ._remote import Hold
from ._types import Calls
from ._values import PLAIN, Values, cross_plainly
from ._waiter import Waiter
from .errors import DataCloneError, PortStateError
from .port import MessagePort

__all__ = ["Calling", "ignored"]

MAX_SHORT_ARGUMENTS: Final = 100
"""More arguments go the general way: JavaScript can't spread any number of them."""

_numbers = count()


class Calling(Values):
    """The half of a `Link` that makes calls.

    Attributes:
        machine: what is said and heard on the port.
        calls: the short way for calls of plain values, if there is one.
    """

    def __init__(self, port: MessagePort, parent: Self | None) -> None:
        super().__init__(port, parent)
        self.machine = Machine(f"{_page()}-{next(_numbers):x}-", shared=port._endpoint.shared)
        self.calls: Calls | None = None
        self._end: Callable[[], Exception] | None = None
        self._held: list[tuple[Call, Wire, Parcel, bool]] | None = None

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
        port, calls = self.port, self.calls
        if hold.released or port.closed:
            raise self._unusable(hold)
        if (  # the short way, which takes most calls
            calls is not None
            and kind == "APPLY"
            and len(path) <= 1
            and not keywords
            and self._held is None
            and len(arguments) <= MAX_SHORT_ARGUMENTS
            and cross_plainly(port, arguments)
        ):
            call = Call(hold, self._cancel)
            call.id = self.machine.expect(call)
            calls.call(call.id, path, arguments)
            return call
        if keywords and self.python is not True and hold.options.spread:
            arguments, keywords = (*arguments, keywords), None
        if keywords and self.python is False:
            raise no_keywords(keywords)
        call, parcel = Call(hold, self._cancel), Parcel.NONE
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
        call.id = self.machine.expect(call)
        message = self.machine.request(kind, path, call.id, **more)
        if self._held is not None or (keywords and self.python is None):
            self._keep(call, message, parcel, asks=bool(keywords))
        else:
            self._send(call, message, parcel)
        return call

    def _unusable(self, hold: Hold) -> Exception:
        if hold.released:
            return PortStateError("this remote object was released")
        return self.port._ending() if self._end is None else self._end()

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
            number = self.machine.expect(self._probed)
            try:
                self.port.post_message(self.machine.request("GET", ("__msgchan__",), number))
            except BaseException:
                self.machine.forget(number)
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
            except BaseException as error:  # noqa: BLE001 - whoever awaits it gets it
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
        if hold.released or self.port.closed:
            raise self._unusable(hold)

        def cancelled(call: Call) -> None:
            # The other side was told; its answer would be for nobody.
            call.settle(None)
            if hold.owned:
                self.finish()

        def answered(_wire: Wire) -> list[Waiter]:
            if hold.owned:
                self.finish()
            return call.settle(None)

        call = Call(hold, cancelled)

        call.id = self.machine.expect(answered)
        self.port.post_message(self.machine.request("RELEASE", (), call.id))
        hold.released = True
        return call

    def let_go_soon(self) -> None:
        """Release what is on the other side in a later turn, and close the port."""
        if not self.port.closed:
            asyncio.get_event_loop().call_soon(self._let_go)

    def _let_go(self) -> None:
        if not self.port.closed:
            self.port.post_message(
                self.machine.request("RELEASE", (), self.machine.expect(ignored))
            )
        self.finish()


@cache
def _page() -> str:
    """Give what the ids of this interpreter begin with."""
    return os.urandom(8).hex()


def ignored(_wire: Wire) -> list[Waiter]:
    """Take an answer that nobody waits for."""
    return []

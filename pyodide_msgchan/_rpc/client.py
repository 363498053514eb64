"""The client side of remote calls: requests that are sent, deferred or cancelled, and releases."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any, Final, Self

from pyodide_msgchan._codec.wire import Wire
from pyodide_msgchan._interfaces import PlainCalls
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan._rpc.call import Call
from pyodide_msgchan._rpc.marshalling import (
    CLONEABLE_TYPES,
    Attachments,
    Marshaller,
    cross_unchanged,
    keywords_error,
    with_caller_path,
)
from pyodide_msgchan._rpc.protocol import ComlinkProtocol
from pyodide_msgchan._rpc.remote import RemoteHandle
from pyodide_msgchan.errors import DataCloneError, PortStateError

__all__ = ["CallClient", "ignore_answer"]


MAX_FAST_PATH_ARGUMENTS: Final = 100
"""Calls with more arguments don't take the fast path: JavaScript can't spread that many."""


_session_numbers = count()


class CallClient(Marshaller):
    """The client part of an `RpcSession`: it makes calls.

    Attributes:
        protocol: the state of the calls in both directions.
        calls: the fast path for calls of plain values, None if there is none.
    """

    def __init__(self, port: MessagePort, parent: Self | None) -> None:
        super().__init__(port, parent)
        self.protocol = ComlinkProtocol(
            f"{_id_prefix()}-{next(_session_numbers):x}-", shared=core_of(port).endpoint.shared
        )
        self.calls: PlainCalls | None = None
        self._end: Callable[[], Exception] | None = None
        self._deferred: list[tuple[Call, Wire, Attachments, bool]] | None = None

    def request(
        self,
        kind: str,
        handle: RemoteHandle,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Call:
        """Send a request, or defer it until it is known whether the other end is Python.

        Raises:
            DataCloneError: an argument can't be sent.
            TypeError: there are keyword arguments, and the other end is JavaScript.
            PortStateError: the port ended, or the object was released.
        """
        port, calls = self.port, self.calls
        if handle.released or port.closed:
            raise self._unusable_error(handle)
        if (  # the fast path, which most calls take
            calls is not None
            and kind == "APPLY"
            and len(path) <= 1
            and not keywords
            and self._deferred is None
            and len(arguments) <= MAX_FAST_PATH_ARGUMENTS
            and cross_unchanged(port, arguments)
        ):
            call = Call(handle, self.cancel_call)
            call._id = self.protocol.expect(call)
            calls.call(call._id, path, arguments)
            return call
        if keywords and self.python is not True and handle.options.keywords_as_object:
            arguments, keywords = (*arguments, keywords), None
        if keywords and self.python is False:
            raise keywords_error(keywords)
        call, attachments = Call(handle, self.cancel_call), Attachments.NONE
        fields: dict[str, Any] = {}
        if not keywords and CLONEABLE_TYPES.issuperset(map(type, arguments)):
            wires: list[Wire] = [{"type": "RAW", "value": value} for value in arguments]
        else:
            attachments = Attachments()
            try:
                wires = [self.to_wire(value, attachments) for value in arguments]
                if keywords:
                    fields["keywords"] = {
                        name: self.to_wire(value, attachments) for name, value in keywords.items()
                    }
            except BaseException:
                attachments.undo()
                raise
        if kind == "SET":
            fields["value"] = wires[0]
        elif kind in ("APPLY", "CONSTRUCT"):
            fields["argumentList"] = wires
        call._id = self.protocol.expect(call)
        message = self.protocol.request(kind, path, call._id, **fields)
        if self._deferred is not None or (keywords and self.python is None):
            self._defer(call, message, attachments, has_keywords=bool(keywords))
        else:
            self._send(call, message, attachments)
        return call

    def _unusable_error(self, handle: RemoteHandle) -> Exception:
        if handle.released:
            return PortStateError("this remote object was released")
        return core_of(self.port).closed_error() if self._end is None else self._end()

    def _send(self, call: Call, message: Wire, attachments: Attachments) -> None:
        try:
            self.port.post_message(message, transfer=attachments.transfer)
        except BaseException as error:
            self.protocol.withdraw(call._id)
            attachments.undo()
            if isinstance(error, DataCloneError):
                raise with_caller_path(error) from None
            raise

    def _defer(
        self, call: Call, message: Wire, attachments: Attachments, *, has_keywords: bool
    ) -> None:
        """Defer a request, and all after it, until it is known whether the other end is Python."""
        if self._deferred is None:
            number = self.protocol.expect(self._on_probe_answer)
            try:
                self.port.post_message(self.protocol.request("GET", ("__msgchan__",), number))
            except BaseException:
                self.protocol.withdraw(number)
                self.protocol.withdraw(call._id)
                attachments.undo()
                raise
            self._deferred = []
        self._deferred.append((call, message, attachments, has_keywords))

    def _on_probe_answer(self, wire: Wire) -> list[Waiter]:
        """Store whether the other end is this package, and send the deferred requests."""
        value = wire.get("value") if wire["type"] == "RAW" else None
        self.python = type(value) is dict and "msgchan" in value
        deferred, self._deferred = self._deferred or [], None
        waiters: list[Waiter] = []
        for call, message, attachments, has_keywords in deferred:
            if call.done():  # it was cancelled meanwhile
                attachments.undo()
                continue
            try:
                if not has_keywords or self.python:
                    self._send(call, message, attachments)
                    continue
            except BaseException as error:  # noqa: BLE001 - the call raises it
                waiters += call._fail(error)
            else:
                self.protocol.withdraw(call._id)
                attachments.undo()
                waiters += call._fail(keywords_error(message["keywords"]))
        return waiters

    def cancel_call(self, call: Call) -> None:
        """Cancel a call, and notify the other side unless its request was not sent yet."""
        message = self.protocol.cancel(call._id)
        if message is None:
            return
        call._settle(None)
        if self._deferred is None and not self.port.closed:
            self.port.post_message(message)

    def release(self, handle: RemoteHandle) -> Call:
        """Release the remote object; close the port too if it was made for this object."""
        if handle.released or self.port.closed:
            raise self._unusable_error(handle)

        def on_cancel(call: Call) -> None:
            # The request was sent, so that the other side releases the object in any case.
            call._settle(None)
            if handle.owned:
                self.finish()

        def on_answer(_wire: Wire) -> list[Waiter]:
            if handle.owned:
                self.finish()
            return call._settle(None)

        call = Call(handle, on_cancel)

        call._id = self.protocol.expect(on_answer)
        self.port.post_message(self.protocol.request("RELEASE", (), call._id))
        handle.released = True
        return call

    def release_soon(self) -> None:
        """Release the remote object in a later turn, and close the port."""
        if not self.port.closed:
            asyncio.get_event_loop().call_soon(self._release_and_finish)

    def _release_and_finish(self) -> None:
        if not self.port.closed:
            self.port.post_message(
                self.protocol.request("RELEASE", (), self.protocol.expect(ignore_answer))
            )
        self.finish()


@cache
def _id_prefix() -> str:
    """Return the random prefix of all request ids of this interpreter."""
    return os.urandom(8).hex()


def ignore_answer(_wire: Wire) -> list[Waiter]:
    """Ignore the answer to a request that nobody waits for."""
    return []

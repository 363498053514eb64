"""The client side of remote calls: requests that are sent, deferred or cancelled, and releases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._interfaces import PlainCalls
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.unreadable import UnreadableMessage
from pyodide_msgchan._port.waiter import Waiter, wake_together
from pyodide_msgchan._rpc.call import ClientCall
from pyodide_msgchan._rpc.marshalling import (
    CLONEABLE_TYPES,
    Attachments,
    Marshaller,
    cross_unchanged,
    keywords_error,
    with_caller_path,
)
from pyodide_msgchan._rpc.protocol import PROBE, CallProtocol
from pyodide_msgchan._rpc.remote import RemoteHandle
from pyodide_msgchan.errors import DataCloneError, PortStateError

__all__ = ["CallClient"]


MAX_FAST_PATH_ARGUMENTS: Final = 100
"""Calls with more arguments don't take the fast path: JavaScript can't spread that many."""


@final
class CallClient:
    """Makes the calls on one port, and settles them.

    Args:
        port: on which the requests are posted.
        protocol: the state of the calls on the port.
        marshaller: converts arguments and results.
        calls: the fast path for calls of plain values, None if there is none.

    Attributes:
        unread: the unreadable messages that may be answers to calls of this client.
    """

    def __init__(
        self,
        port: MessagePort,
        protocol: CallProtocol,
        marshaller: Marshaller,
        calls: PlainCalls | None = None,
    ) -> None:
        self.port = port
        self.protocol = protocol
        self.unread: list[UnreadableMessage] = []
        self._core = core_of(port)
        self._endpoint = self._core.endpoint
        self._marshaller = marshaller
        self._calls = calls
        self._deferred: list[tuple[ClientCall, Wire, Attachments, bool]] | None = None

    def request(
        self,
        kind: str,
        handle: RemoteHandle,
        path: tuple[str, ...],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> ClientCall:
        """Send a request, or defer it until it is known whether the other end is Python.

        Raises:
            DataCloneError: an argument can't be sent.
            TypeError: there are keyword arguments, and the other end is JavaScript.
            PortStateError: the port ended, or the object was released.
        """
        port, calls = self.port, self._calls
        if handle.released or port.closed:
            raise self._unusable_error(handle)
        if (  # the fast path, which most calls take
            calls is not None
            and kind == "APPLY"
            and len(path) <= 1
            and not keywords
            and self._deferred is None
            and len(arguments) <= MAX_FAST_PATH_ARGUMENTS
            and cross_unchanged(self._endpoint, arguments)
        ):
            call = ClientCall(handle, self.cancel_call)
            call.number = self.protocol.expect(call)
            calls.call(call.number, path, arguments)
            return call
        python = self._marshaller.python
        if keywords and python is not True and handle.options.keywords_as_object:
            arguments, keywords = (*arguments, keywords), None
        if keywords and python is False:
            raise keywords_error(keywords)
        call, attachments = ClientCall(handle, self.cancel_call), Attachments.NONE
        fields: dict[str, Any] = {}
        if not keywords and CLONEABLE_TYPES.issuperset(map(type, arguments)):
            wires: list[Wire] = [{"type": "RAW", "value": value} for value in arguments]
        else:
            attachments, to_wire = Attachments(), self._marshaller.to_wire
            try:
                wires = [to_wire(value, attachments) for value in arguments]
                if keywords:
                    fields["keywords"] = {
                        name: to_wire(value, attachments) for name, value in keywords.items()
                    }
            except BaseException:
                attachments.undo()
                raise
        if kind == "SET":
            fields["value"] = wires[0]
        elif kind in ("APPLY", "CONSTRUCT"):
            fields["argumentList"] = wires
        call.number = self.protocol.expect(call)
        message = self.protocol.request(kind, path, call.number, **fields)
        if self._deferred is not None or (keywords and python is None):
            self._defer(call, message, attachments, has_keywords=bool(keywords))
        else:
            self._send(call, message, attachments)
        return call

    def _unusable_error(self, handle: RemoteHandle) -> Exception:
        if handle.released:
            return PortStateError("this remote object was released")
        return self._core.closed_error()

    def _send(self, call: ClientCall, message: Wire, attachments: Attachments) -> None:
        try:
            self.port.post_message(message, transfer=attachments.transfer)
        except BaseException as error:
            self.protocol.pop_pending(call.number)
            attachments.undo()
            if isinstance(error, DataCloneError):
                raise with_caller_path(error) from None
            raise

    def _defer(
        self, call: ClientCall, message: Wire, attachments: Attachments, *, has_keywords: bool
    ) -> None:
        """Defer a request, and all after it, until it is known whether the other end is Python."""
        if self._deferred is None:
            number = self.protocol.expect(self._on_probe_answer)
            try:
                self.port.post_message(self.protocol.request("GET", PROBE, number))
            except BaseException:
                self.protocol.pop_pending(number)
                self.protocol.pop_pending(call.number)
                attachments.undo()
                raise
            self._deferred = []
        self._deferred.append((call, message, attachments, has_keywords))

    def _on_probe_answer(self, wire: Wire) -> list[Waiter]:
        """Store whether the other end is this package, and send the deferred requests."""
        value = wire.get("value") if wire["type"] == "RAW" else None
        self._marshaller.python = python = type(value) is dict and "msgchan" in value
        deferred, self._deferred = self._deferred or [], None
        waiters: list[Waiter] = []
        for call, message, attachments, has_keywords in deferred:
            if call.done():  # it was cancelled meanwhile
                attachments.undo()
                continue
            try:
                if not has_keywords or python:
                    self._send(call, message, attachments)
                    continue
            except BaseException as error:  # noqa: BLE001 - the call raises it
                waiters += call.fail(error)
            else:
                self.protocol.pop_pending(call.number)
                attachments.undo()
                waiters += call.fail(keywords_error(message["keywords"]))
        return waiters

    def cancel_call(self, call: ClientCall) -> None:
        """Cancel a call, and notify the other side unless its request was not sent yet."""
        message = self.protocol.cancel(call.number)
        call.settle(None)
        if message is not None and self._deferred is None and not self.port.closed:
            self.port.post_message(message)

    def release(self, handle: RemoteHandle) -> ClientCall:
        """Release the remote object; close the port too if it was made for this object."""
        if handle.released or self.port.closed:
            raise self._unusable_error(handle)

        def on_answer(_wire: Wire) -> list[Waiter]:
            if handle.owned:
                self.port.close()
            return call.settle(None)

        # The request is sent, so that the other side releases the object even if it is cancelled.
        call = ClientCall(handle, on_answer)
        call.number = self.protocol.expect(on_answer)
        self.port.post_message(self.protocol.request("RELEASE", (), call.number))
        handle.released = True
        return call

    def release_soon(self) -> None:
        """Release the remote object in a later turn, and close the port."""
        if not self.port.closed:
            asyncio.get_event_loop().call_soon(self._release_and_close)

    def _release_and_close(self) -> None:
        if not self.port.closed:
            self._post_release(self.port)
        self.port.close()

    def discard(self, wires: Iterable[Wire]) -> None:
        """Release the ports in wire values that nobody will use."""
        for wire in wires:
            port = wire.get("value")
            if isinstance(port, MessagePort) and not port.closed:
                if wire.get("name") == "proxy":
                    self._post_release(port)
                port.close()

    def _post_release(self, port: MessagePort) -> None:
        number = self.protocol.next_number()
        port.post_message(self.protocol.request("RELEASE", (), number))

    # Answers

    def settle(self, token: Any, wire: Wire) -> list[Waiter]:
        """Settle the request of a token with its answer; return the waiters to wake."""
        if type(token) is not ClientCall:
            answered: list[Waiter] = token(wire)
            return answered
        if wire["type"] == "RAW":
            return token.settle(wire.get("value"))
        try:
            return token.settle(self._marshaller.from_wire(wire, token.options))
        except Exception as error:  # noqa: BLE001 - the call raises it
            return token.fail(error)

    def fail_unidentified(self, *, only_answers: bool) -> list[Waiter]:
        """Fail the calls whose answers must be the unreadable messages; return the waiters to wake.

        An answer that was not announced doesn't tell which call it belongs to. If only answers
        arrive here, that is known once no more calls are pending than messages were unreadable.

        Args:
            only_answers: False if requests, or answers to other ends, may arrive here too.
        """
        waiting = self.protocol.pending_count
        if only_answers and waiting > len(self.unread):
            return []
        unread = self.unread.copy()
        self.unread.clear()
        to_wake: list[Waiter] = []
        if only_answers and waiting:
            for token in self.protocol.pop_all_pending():
                to_wake += self.settle(token, unread[0].wire)
        else:
            for item in () if self._core.queue.error_listeners else unread:
                report(str(item.error), item.error)
        return to_wake

    def fail_all(self, tokens: Iterable[Any], end: Callable[[], Exception]) -> None:
        """Fail the requests of the tokens, because the port ended."""
        self._deferred = None
        to_wake: list[Waiter] = []
        for token in tokens:
            if type(token) is ClientCall:
                to_wake += token.fail(end())
            else:
                to_wake += token(raw(None))
        wake_together(to_wake)

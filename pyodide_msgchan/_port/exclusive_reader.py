"""Attaches one sink that receives all messages of a port, instead of tasks and listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, final

from pyodide_msgchan._codec.wire import raw
from pyodide_msgchan._interfaces import CallSink, Notice, PlainCalls
from pyodide_msgchan._port.events import call_listeners
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.unreadable import UnreadableMessage
from pyodide_msgchan.errors import PortStateError

__all__ = ["attach_reader"]


def attach_reader(port: MessagePort, reader: CallSink, prefix: str) -> PlainCalls | None:
    """Deliver every message of a port to one reader from now on.

    Args:
        port: the port.
        reader: the sink that receives its messages, without their events.
        prefix: the prefix of the ids of the reader's own requests.

    Returns:
        The fast path for calls of plain values, if the endpoint has one.

    Raises:
        PortStateError: the port has ended, or something else reads it already.
    """
    if port._end_error is not None and not port._buffer:
        raise port._end_error()
    if port._waiters or port._served or port._listeners or port._reader is not None:
        raise PortStateError("a task, a listener or remote calls read this port already")
    port._reader, port._events = reader, None
    calls = None if port._end_error is not None else port._endpoint.calls(prefix)
    sink = _ReaderSink(port, reader, calls)
    if port._buffer:
        asyncio.get_event_loop().call_soon(sink.deliver_buffered)
    elif calls is not None:
        calls.open()
    if port._end_error is None:
        port._endpoint.listen(sink)
    return calls


@final
class _ReaderSink:
    """The sink of a port that has a reader."""

    def __init__(self, port: MessagePort, reader: CallSink, calls: PlainCalls | None) -> None:
        self.reader = reader
        self._port = port
        self._calls = calls

    def _store_batch(
        self, messages: list[Any], events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        if Notice in map(type, messages):
            messages = self._replace_unreadable(messages)
        self._port._store(messages, events)
        return self._hand_over()

    def _replace_unreadable(self, messages: list[Any]) -> list[Any]:
        """Replace the notice of each unreadable message, since the reader must answer it."""
        kept: list[Any] = []
        for message in messages:
            if type(message) is not Notice or message.kind != "messageerror":
                kept.append(message)
                continue
            unread = UnreadableMessage(message)
            if self._port._error_listeners:
                call_listeners(self._port._error_listeners, unread.error)
            kept.append(unread)
        return kept

    def _store_message(self, message: Any) -> Callable[[], None] | None:
        return self._store_batch([message], None)

    def _has_buffered(self) -> bool:
        return False

    def store_call(
        self, call: str, path: tuple[str, ...], values: tuple[Any, ...]
    ) -> Callable[[], None] | None:
        """Store a call of plain values as an ordinary message."""
        wires = [raw(value) for value in values]
        return self._store_message(
            {"id": call, "type": "APPLY", "path": list(path), "argumentList": wires}
        )

    def deliver_buffered(self) -> None:
        """Deliver the messages that arrived before the reader was attached."""
        run = self._hand_over()
        if run is not None:
            run()
        if self._calls is not None and self._port._end_error is None:
            self._calls.open()  # only now: calls would overtake the buffered messages

    def _hand_over(self) -> Callable[[], None] | None:
        port = self._port
        if port._reader is None:
            return None
        messages = list(port._buffer)
        port._buffer.clear()
        port._events = None
        if port._on_consumed is not None:
            port._on_consumed()
        run = self.reader.on_messages(messages)
        if port._end_error is not None:
            port._reader = None
            self.reader.on_end(port._end_error)
        return run

"""Attaches remote calls to a port, which get all its messages instead of tasks and listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, final

from pyodide_msgchan._codec.wire import raw
from pyodide_msgchan._interfaces import MessageReader, Notice, PlainCalls
from pyodide_msgchan._port.core import PortCore
from pyodide_msgchan._port.events import call_listeners
from pyodide_msgchan._port.unreadable import UnreadableMessage

__all__ = ["attach_reader"]


def attach_reader(core: PortCore, reader: MessageReader, prefix: str | None) -> PlainCalls | None:
    """Deliver every message of a port to one reader from now on.

    Args:
        core: the core of the port.
        reader: receives its messages, without their events; a `CallSink` unless `prefix` is None.
        prefix: the prefix of the ids of the reader's own requests; None for no fast path.

    Returns:
        The fast path for calls of plain values, if the endpoint has one.

    Raises:
        PortStateError: the port has ended, or something else reads it already.
    """
    core.queue.check_unread()
    core.queue.reader = reader
    core.queue.drop_events()
    calls = None if core.ended or prefix is None else core.endpoint.calls(prefix)
    sink = _ReaderSink(core, reader, calls)
    if core.queue.buffer:
        asyncio.get_event_loop().call_soon(sink.deliver_buffered)
    elif calls is not None:
        calls.open()
    if not core.ended:
        core.endpoint.listen(sink)
    return calls


@final
class _ReaderSink:
    """The sink of a port that has a reader."""

    def __init__(self, core: PortCore, reader: MessageReader, calls: PlainCalls | None) -> None:
        self.reader = reader
        self._core = core
        self._calls = calls

    def on_batch(
        self, messages: list[Any], _events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """Hand over messages; return the step that handles them, which must be called last."""
        core = self._core
        if core.queue.reader is None:
            return None
        if Notice in map(type, messages):
            messages = self._replace_notices(messages)
        core.queue.received += len(messages)
        if core.queue.on_consumed is not None:
            core.queue.on_consumed()
        if core.queue.buffer:  # messages that came before the reader, not delivered yet
            messages = core.queue.pop_all() + messages
        run = self.reader.on_messages(messages)
        core.check_drained()
        return run

    def _replace_notices(self, messages: list[Any]) -> list[Any]:
        """Replace the notice of each unreadable message, since the reader must answer it."""
        kept: list[Any] = []
        for message in messages:
            if type(message) is not Notice:
                kept.append(message)
            elif message.kind == "messageerror":
                unread = UnreadableMessage(message)
                if self._core.queue.error_listeners:
                    call_listeners(self._core.queue.error_listeners, unread.error)
                kept.append(unread)
            else:
                self._core.handle_notices([message])
        return kept

    def on_message(self, message: Any) -> Callable[[], None] | None:
        """Hand over one message, like `on_batch`."""
        return self.on_batch([message], None)

    def has_buffered(self) -> bool:
        """Return False: this sink stores nothing."""
        return False

    def store_call(
        self, call: str, path: tuple[str, ...], values: tuple[Any, ...]
    ) -> Callable[[], None] | None:
        """Hand over a call of plain values as an ordinary message."""
        wires = [raw(value) for value in values]
        return self.on_message(
            {"id": call, "type": "APPLY", "path": list(path), "argumentList": wires}
        )

    def deliver_buffered(self) -> None:
        """Deliver the messages that arrived before the reader was attached."""
        core = self._core
        if core.queue.reader is None:
            return
        run = self.reader.on_messages(core.queue.pop_all())
        core.tell_reader()
        if run is not None:
            run()
        if self._calls is not None and not core.ended:
            self._calls.open()  # only now: calls would overtake the buffered messages

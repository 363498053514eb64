"""`ExclusiveReader`: the sink of a port whose messages only remote calls read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from pyodide_msgchan._codec.wire import raw
from pyodide_msgchan._interfaces import Notice, PlainCalls
from pyodide_msgchan._port.core import PortCore
from pyodide_msgchan._port.events import call_listeners
from pyodide_msgchan._port.unreadable import UnreadableMessage

__all__ = ["ExclusiveReader"]


class ExclusiveReader:
    """Gets every message of a port, without its event, instead of tasks and listeners.

    A subclass handles the messages by `on_messages`, and the end by `on_end`.

    Args:
        core: the core of the port.

    Attributes:
        core: as above.
        calls: the fast path for calls of plain values, if it was asked for and the endpoint has it.
    """

    def __init__(self, core: PortCore) -> None:
        self.core = core
        self.calls: PlainCalls | None = None

    def attach(self, prefix: str | None) -> None:
        """Deliver every message of the port to this sink from now on.

        Args:
            prefix: the prefix of the ids of this side's own requests; None forbids the fast path.

        Raises:
            PortStateError: the port has ended, or something else reads it already.
        """
        core = self.core
        core.queue.check_unread()
        core.queue.reader = self
        core.queue.drop_events()
        if prefix is not None and not core.ended:
            self.calls = core.endpoint.calls(prefix)
        if core.queue.buffer:
            asyncio.get_event_loop().call_soon(self._deliver_buffered)
        elif self.calls is not None:
            self.calls.open()
        if not core.ended:
            core.endpoint.listen(self)

    def on_messages(self, messages: list[Any]) -> Callable[[], None] | None:
        """Handle messages; return the step that must be called last."""
        raise NotImplementedError

    def on_end(self, end: Callable[[], Exception]) -> None:
        """End, because the port is over and all that came was handed over."""
        raise NotImplementedError

    def on_call(self, _call: str, _path: tuple[str, ...], _values: tuple[Any, ...]) -> Any:
        """Run a remote call of plain values at once, as the last step of its arrival.

        Returns:
            The result if it is a plain value and available at once; None if it follows later;
            NotImplemented if the call must be handled as an ordinary message.
        """
        return NotImplemented

    def on_results(self, call: int, value: Any, *more: Any) -> Callable[[], None] | None:
        """Handle results of plain values, numbers of calls and values in turn."""
        raise NotImplementedError

    # The sink of the endpoint

    def on_batch(
        self, messages: list[Any], _events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """Hand over messages; return the step that handles them, which must be called last."""
        core = self.core
        if core.queue.reader is None:
            return None
        if Notice in map(type, messages):
            messages = self._replace_notices(messages)
        core.queue.received += len(messages)
        if core.queue.on_consumed is not None:
            core.queue.on_consumed()
        if core.queue.buffer:  # messages that came before this reader, not delivered yet
            messages = core.queue.pop_all() + messages
        run = self.on_messages(messages)
        core.check_drained()
        return run

    def _replace_notices(self, messages: list[Any]) -> list[Any]:
        """Replace the notice of each unreadable message, since this reader must answer it."""
        kept: list[Any] = []
        for message in messages:
            if type(message) is not Notice:
                kept.append(message)
            elif message.kind == "messageerror":
                unread = UnreadableMessage(message)
                if self.core.queue.error_listeners:
                    call_listeners(self.core.queue.error_listeners, unread.error)
                kept.append(unread)
            else:
                self.core.handle_notices([message])
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

    def _deliver_buffered(self) -> None:
        """Deliver the messages that arrived before this reader was attached."""
        core = self.core
        if core.queue.reader is None:
            return
        run = self.on_messages(core.queue.pop_all())
        core.tell_reader()
        if run is not None:
            run()
        if self.calls is not None and not core.ended:
            self.calls.open()  # only now: calls would overtake the buffered messages

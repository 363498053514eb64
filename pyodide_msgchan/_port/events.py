"""`MessageEvent`, and the listeners that are called with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from typing import Any, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._interfaces import NativeEvent
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import PortStateError

__all__ = ["Listener", "MessageEvent", "call_listeners"]


class MessageEvent:
    """A message with its ports, origin and source.

    (HTML standard, 9.1 "The MessageEvent interface".)

    Attributes:
        data: the message, as Python values.
    """

    __slots__ = ("_native", "_ports", "data")

    def __init__(self, data: Any, native: NativeEvent) -> None:
        self.data: Any = data
        self._native = native
        self._ports: tuple[Any, ...] | None = None

    @property
    def ports(self) -> tuple[Any, ...]:
        """The ports that were transferred with the message, in the order of the transfer list."""
        if self._ports is None:
            self._ports = self._native.ports
        return self._ports

    @property
    def origin(self) -> str:
        """The origin of the sender for a message between windows; empty for a message on a port."""
        return self._native.origin

    @property
    def source(self) -> Any:
        """The window of the sender as a JsProxy for a message between windows; None on a port."""
        return self._native.source

    @property
    def last_event_id(self) -> str:
        """The last event ID of a server-sent event; empty for messages."""
        return self._native.last_event_id

    @property
    def js(self) -> Any:
        """The JavaScript event as a JsProxy; None on a memory channel."""
        return self._native.js

    def reply(self, value: Any, *, transfer: Sequence[Any] = ()) -> None:
        """Answer a message that was sent with `MessagePort.request`, once, without waiting.

        If the requester no longer waits, the answer is dropped.

        Args:
            value: any value listed in the README's table of values.
            transfer: as for `MessagePort.post_message`.

        Raises:
            PortStateError: the message is not a request: no port came with it.
            PortClosedError: the request was answered before.
            DataCloneError: the value can't be sent; you can answer again with another one.
        """
        if not self.ports:
            raise PortStateError("this message is not a request: no port came with it to answer on")
        from pyodide_msgchan._port.core import core_of  # noqa: PLC0415 - each needs the other

        port = self.ports[-1]
        if self._native.packed:
            core_of(port).endpoint.enable_packing()
        port.post_message(value, transfer=transfer)
        port.close()

    def __repr__(self) -> str:
        """Return a short form of the message, and the number of its ports."""
        more = f", ports={len(self.ports)}" if self.ports else ""
        return f"<MessageEvent data={short_repr(self.data)}{more}>"


@final
class Listener:
    """A function that a port calls with messages or errors; `cancel` stops it."""

    __slots__ = ("_owner", "_parts")

    def __init__(
        self, owner: list[Listener], callback: Callable[[Any], Any], done: Callable[[], None]
    ) -> None:
        if not callable(callback):
            raise TypeError(
                f"a listener is called with the event, and {short_repr(callback)} can't be called"
            )
        self._parts: tuple[Callable[[Any], Any], Context] = callback, copy_context()
        self._owner = (owner, done)

    def cancel(self) -> None:
        """Stop calling the function. Cancelling twice is no error.

        Tasks that it has started continue.
        """
        owner, done = self._owner
        if self in owner:
            owner.remove(self)
            done()


_tasks: set[asyncio.Task[Any]] = set()


def call_listeners(listeners: Sequence[Listener], value: Any) -> None:
    """Call each listener in the context in which it was added; report what one raises."""
    for listener in tuple(listeners):
        if listener not in listeners:
            continue  # an earlier listener cancelled it
        callback, context = listener._parts  # noqa: SLF001 - users only cancel it
        try:
            context = context.copy()  # an earlier call may still block in `run_sync`
            result = context.run(callback, value)
            if asyncio.iscoroutine(result):
                loop = asyncio.get_event_loop()
                task = loop.create_task(_guard(result, callback), context=context)
                _tasks.add(task)
                task.add_done_callback(_tasks.discard)
        except BaseException as error:  # noqa: BLE001 - reported, and the next listener is called
            _report(callback, error)


async def _guard(coroutine: Any, callback: Callable[[Any], Any]) -> None:
    try:
        await coroutine
    except GeneratorExit:
        raise  # the loop has stopped, and this task never runs again
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise  # the task was cancelled from outside, so the listener did not fail
        _report(callback, error)


def _report(callback: Callable[[Any], Any], error: BaseException) -> None:
    report(f"the listener {_name_of(callback)} failed", error)


def _name_of(callback: Any) -> str:
    """Return a short name. The `repr` of a user's object may raise, or have any length."""
    try:
        return f"{callback.__qualname__:.80}"
    except Exception:  # noqa: BLE001 - a callable object without a usable name
        return f"of type {type(callback).__name__:.80}"

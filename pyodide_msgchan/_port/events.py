"""The event that a message is, and the listeners that are called with it."""

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
    """A message and the event that brought it (HTML standard, 9.1 "The MessageEvent interface").

    Attributes:
        data: the message, as Python values.
    """

    __slots__ = ("_native", "_ports", "data")

    def __init__(self, data: Any, native: NativeEvent) -> None:
        self.data = data
        self._native = native
        self._ports: tuple[Any, ...] | None = None

    @property
    def ports(self) -> tuple[Any, ...]:
        """The ports that were transferred with it, in the order of the transfer list."""
        if self._ports is None:
            self._ports = self._native.ports
        return self._ports

    @property
    def origin(self) -> str:
        """The sender's origin, for a message between windows; empty on a port."""
        return self._native.origin

    @property
    def source(self) -> Any:
        """The sender's window as a JsProxy, for a message between windows; None on a port."""
        return self._native.source

    @property
    def last_event_id(self) -> str:
        """Empty, except for server-sent events."""
        return self._native.last_event_id

    @property
    def js(self) -> Any:
        """The JavaScript event as a JsProxy; None on a memory channel."""
        return self._native.js

    def reply(self, value: Any, *, transfer: Sequence[Any] = ()) -> None:
        """Answer a `request`, once. If the requester is gone nothing happens.

        Raises:
            PortStateError: the message is no request: no port came with it.
            PortClosedError: it was answered before.
            DataCloneError: the value can't be sent; it may be answered again.
        """
        if not self.ports:
            raise PortStateError("this message is no request: it brought no port to answer on")
        port = self.ports[-1]
        if self._native.packed:
            port._endpoint.enable_packing()
        port.post_message(value, transfer=transfer)
        port.close()

    def __repr__(self) -> str:
        """Show the message and what came with it."""
        more = f", ports={len(self.ports)}" if self.ports else ""
        return f"<MessageEvent data={short_repr(self.data)}{more}>"


@final
class Listener:
    """A callback on a port, until `cancel()`."""

    __slots__ = ("_callback", "_context", "_owner")

    def __init__(
        self, owner: list[Listener], callback: Callable[[Any], Any], done: Callable[[], None]
    ) -> None:
        if not callable(callback):
            raise TypeError(
                f"a listener is called with the event, and {short_repr(callback)} can't be called"
            )
        self._callback = callback
        self._context: Context = copy_context()
        self._owner = (owner, done)

    def cancel(self) -> None:
        """Call it no more. A task that it started goes on. Doing it twice is no error."""
        owner, done = self._owner
        if self in owner:
            owner.remove(self)
            done()


_tasks: set[asyncio.Task[Any]] = set()


def call_listeners(listeners: Sequence[Listener], value: Any) -> None:
    """Call each listener in the context it was made in; one that raises never stops the next."""
    for listener in tuple(listeners):
        if listener not in listeners:
            continue  # one before it cancelled it
        try:
            context = listener._context.copy()  # one of its calls may still be blocked in run_sync
            result = context.run(listener._callback, value)
            if asyncio.iscoroutine(result):
                loop = asyncio.get_event_loop()
                task = loop.create_task(_guard(result, listener), context=context)
                _tasks.add(task)
                task.add_done_callback(_tasks.discard)
        except BaseException as error:  # noqa: BLE001 - reported, and the next one is called
            _report(listener, error)


async def _guard(coroutine: Any, listener: Listener) -> None:
    try:
        await coroutine
    except GeneratorExit:
        raise  # the loop was left, and nobody runs this task any more
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise  # somebody has cancelled this task, which is no failure of the listener
        _report(listener, error)


def _report(listener: Listener, error: BaseException) -> None:
    report(f"the listener {_name_of(listener._callback)} failed", error)


def _name_of(callback: Any) -> str:
    """Return a short name; the `repr` of a user's object may raise, or be of any length."""
    try:
        return f"{callback.__qualname__:.80}"
    except Exception:  # noqa: BLE001 - an object that is called, or one without a usable name
        return f"of type {type(callback).__name__:.80}"

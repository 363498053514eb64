"""`Waiter`: a future-like object that steps the waiting task when a message arrives.

An asyncio future would need one or two turns of the event loop, and each turn costs more than the
message. The browser delivers a message when no task runs, so the waiting task can be stepped
immediately. A close, a transfer and a cancellation wake it through the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextvars import Context
from typing import Any, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry

__all__ = ["Waiter", "is_being_cancelled", "wake_all", "wake_together"]


def is_being_cancelled() -> bool:
    """Return True if the current task is being cancelled, so that its cleanup must not wait."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@final
class Waiter:
    """The wait of one task. Awaiting it returns None when it is woken, or raises CancelledError.

    Attributes:
        served: True if the message at the head of the buffer is reserved for this task.
    """

    __slots__ = ("_asyncio_future_blocking", "_callbacks", "_cancelled", "_done", "_loop", "served")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = True  # from the start, for a call that yields the waiter
        self._loop = loop
        self._callbacks: list[tuple[Callable[[Any], object], Context | None]] = []
        self._done = False
        self._cancelled: tuple[Any] | None = None
        self.served: bool = False

    def __await__(self) -> Generator[Any, None, None]:
        """Suspend the task until the waiter is woken, and for one turn if it already was."""
        self._asyncio_future_blocking = True
        yield self  # even if it is done: tasks that were woken before consume their messages first
        self.result()

    __iter__ = __await__

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of the waiting task."""
        return self._loop

    def done(self) -> bool:
        """Return True if the waiter was woken or cancelled."""
        return self._done

    def cancelled(self) -> bool:
        """Return True if the waiter was cancelled."""
        return self._cancelled is not None

    def result(self) -> None:
        """Return None if the waiter was woken; raise CancelledError if it was cancelled."""
        if self._cancelled is not None:
            raise asyncio.CancelledError(*(part for part in self._cancelled if part is not None))
        if not self._done:
            raise asyncio.InvalidStateError("the waiter was neither woken nor cancelled")

    def exception(self) -> None:
        """Return None like `result`: a waiter has no exception, and its task finds the cause."""
        self.result()

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Call a function when the waiter is done; in a later turn of the loop if it already is."""
        if self._done:
            self._loop.call_soon(callback, self, context=context)
        else:
            self._callbacks.append((callback, context))

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        """Remove a callback; return how many times it had been added."""
        kept = [entry for entry in self._callbacks if entry[0] != callback]
        removed = len(self._callbacks) - len(kept)
        self._callbacks = kept
        return removed

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the wait; return False if it was already done."""
        if self._done:
            return False
        self._cancelled = (msg,)
        self.wake_soon()
        return True

    def wake_soon(self) -> None:
        """Wake the waiter; its task continues in a later turn of the loop."""
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            self._loop.call_soon(callback, self, context=context)

    def take_callbacks(self) -> list[tuple[Callable[[Any], object], Context | None]]:
        """Mark the waiter as done, and return the callbacks to call in a later turn."""
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        return callbacks

    def wake_now(self) -> None:
        """Wake the waiter and step its task at once, or in a later turn if no task can run here.

        Call this only as the last step of a call from the browser that delivers a message: the
        task may run long, or suspend this call, and the next message may arrive meanwhile.
        """
        if self._done:
            return
        loop = self._loop
        if not prepare_task_entry(loop):
            self.wake_soon()
            return
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            try:
                if context is None:
                    callback(self)
                else:
                    context.run(callback, self)
            except RuntimeError:
                # The task could not be entered, so it did not run, and nothing else would wake it.
                loop.call_soon(callback, self, context=context)
            except BaseException as error:  # noqa: BLE001 - no exception stops the next message
                report("a step of a task failed", error)


def wake_all(waiters: Iterable[Waiter]) -> None:
    """Wake every waiter that is not done; its task continues in a later turn of the loop."""
    for waiter in waiters:
        if not waiter.done():
            waiter.wake_soon()


def wake_together(waiters: Iterable[Waiter]) -> None:
    """Wake many waiters in one later turn of the loop, since thousands of turns would be slow."""
    steps = deque(
        (waiter, callback, context)
        for waiter in waiters
        if not waiter.done()
        for callback, context in waiter.take_callbacks()
    )
    if steps:  # else there may be no loop: a port can be closed after its loop has ended
        loop = asyncio.get_event_loop()
        loop.call_soon(_step_all, loop, steps, [])


def _step_all(
    loop: asyncio.AbstractEventLoop,
    steps: deque[tuple[Waiter, Callable[[Any], object], Context | None]],
    scheduled: list[bool],
) -> None:
    scheduled.clear()
    entered = prepare_task_entry(loop)
    while steps:
        waiter, callback, context = steps.popleft()
        if not entered:
            loop.call_soon(callback, waiter, context=context)
            continue
        if steps and not scheduled:  # this task may block in `run_sync` until the next one has run
            scheduled.append(True)
            loop.call_soon(_step_all, loop, steps, scheduled)
        try:
            if context is None:
                callback(waiter)
            else:
                context.run(callback, waiter)
        except RuntimeError:  # the task could not be entered, so it did not run
            loop.call_soon(callback, waiter, context=context)
        except BaseException as error:  # noqa: BLE001 - no exception stops the next one
            report("a step of a task failed", error)

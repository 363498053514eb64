"""The wait for a message: a future-like object that the message itself wakes.

An asyncio future would cost one or two turns of the event loop, each dearer than the message. A
message arrives at the top of the browser's loop, where no task runs, so the waiting task can be
stepped right there. Everything else (close, transfer, cancellation) goes through the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextvars import Context
from typing import Any, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry

__all__ = ["Waiter", "is_being_cancelled", "wake_together"]


def is_being_cancelled() -> bool:
    """Return True if the running task was asked to end: its cleanup must wait for nobody."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@final
class Waiter:
    """One task's wait. Awaiting it returns None once it was woken, or raises CancelledError."""

    __slots__ = ("_asyncio_future_blocking", "_callbacks", "_cancelled", "_done", "_loop", "served")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._asyncio_future_blocking = False
        self._loop = loop
        self._callbacks: list[tuple[Callable[[Any], object], Context | None]] = []
        self._done = False
        self._cancelled: tuple[Any] | None = None
        self.served = False

    def __await__(self) -> Generator[Any, None, None]:
        """Suspend the task until the waiter is woken, and in any case for a turn."""
        self._asyncio_future_blocking = True
        yield self  # also if it is done: those who were woken before take their messages first
        self.result()

    __iter__ = __await__

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop whose task waits."""
        return self._loop

    def done(self) -> bool:
        """Return True if it was woken or cancelled."""
        return self._done

    def cancelled(self) -> bool:
        """Return True if it was cancelled."""
        return self._cancelled is not None

    def result(self) -> None:
        """Raise what the wait ended with, if that was a cancellation."""
        if self._cancelled is not None:
            raise asyncio.CancelledError(*(part for part in self._cancelled if part is not None))
        if not self._done:
            raise asyncio.InvalidStateError("the wait is not over")

    def exception(self) -> None:
        """Never an exception of its own: whoever waits looks for the reason itself."""
        self.result()

    def add_done_callback(
        self, callback: Callable[[Any], object], *, context: Context | None = None
    ) -> None:
        """Call back once it is done; through the loop if it is so already."""
        if self._done:
            self._loop.call_soon(callback, self, context=context)
        else:
            self._callbacks.append((callback, context))

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        """Forget a callback; return how many there were."""
        kept = [entry for entry in self._callbacks if entry[0] != callback]
        removed = len(self._callbacks) - len(kept)
        self._callbacks = kept
        return removed

    def cancel(self, msg: Any = None) -> bool:
        """Cancel the wait; False if it was over before."""
        if self._done:
            return False
        self._cancelled = (msg,)
        self.wake_soon()
        return True

    def wake_soon(self) -> None:
        """End the wait; the task goes on in a later turn of the loop."""
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback, context in callbacks:
            self._loop.call_soon(callback, self, context=context)

    def take_callbacks(self) -> list[tuple[Callable[[Any], object], Context | None]]:
        """End the wait; whoever calls this calls what it returns in a later turn of the loop."""
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        return callbacks

    def wake_now(self) -> None:
        """End the wait and step the task at once, if the loop allows it here.

        Only for the entry of a native message, and as its last act: the task may run long, or
        suspend this very call, and the next message comes in meanwhile.
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
            except (
                RuntimeError
            ):  # the task could not be entered, so it did not run: nobody else would wake it
                loop.call_soon(callback, self, context=context)
            except BaseException as error:  # noqa: BLE001 - no exception stops the next message
                report("a step of a task failed", error)


def wake_together(waiters: Iterable[Waiter]) -> None:
    """Wake many in one later turn of the loop: turns are dear, and there may be thousands."""
    loop = asyncio.get_event_loop()
    steps = deque(
        (waiter, callback, context)
        for waiter in waiters
        if not waiter.done()
        for callback, context in waiter.take_callbacks()
    )
    if steps:
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
        if steps and not scheduled:  # this one may block, in run_sync, on what the next one does
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

"""The actions that a protocol returned, performed in order when the messages were stored."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, final

from pyodide_msgchan._bridge.event_loop import prepare_task_entry
from pyodide_msgchan._port.waiter import Waiter

__all__ = ["ActionQueue"]


@final
class ActionQueue:
    """Performs actions in order, as the last act of their arrival or in a later turn of the loop.

    Attributes:
        waiting: the actions that were not performed yet.
    """

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self._at_end: Callable[[], None] | None = None
        self._scheduled = False

    def wake(
        self, to_wake: list[Waiter], perform: Callable[[Any], None]
    ) -> Callable[[], None] | None:
        """Wake the waiters that are not done; return what the caller has to call at last."""
        waiting = [waiter for waiter in to_wake if not waiter.done()]
        if len(waiting) == 1 and not self.waiting:
            return waiting[0].wake_now
        for waiter in waiting:
            waiter.wake_soon()
        return partial(self.drain, perform) if self.waiting else None

    def drain(self, perform: Callable[[Any], None]) -> None:
        """Pass each action to `perform`, which may block in `run_sync`."""
        loop = asyncio.get_event_loop()
        if not prepare_task_entry(loop):
            loop.call_soon(self.drain, perform)
            return
        self._scheduled = False
        while self.waiting:
            action = self.waiting.popleft()
            # This action may block in run_sync until a later one has run.
            if self.waiting and not self._scheduled:
                self._scheduled = True
                loop.call_soon(self.drain, perform)
            perform(action)
        if self._at_end is not None:
            self._at_end()
            self._at_end = None

    def end(self, at_end: Callable[[], None], *, drop: bool) -> None:
        """Call `at_end` when all actions were performed, or at once if they are dropped."""
        if drop:
            self.waiting.clear()
        if self.waiting:
            self._at_end = at_end
        else:
            at_end()

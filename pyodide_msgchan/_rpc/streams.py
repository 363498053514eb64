"""Asynchronous iteration across a port: items are sent ahead, as many as there is credit for.

The reader says ``{type: "PULL", credit}`` at its first step, and again whenever it took half of
what that allowed; the source answers with one ``{type: "ITEM", item: Wire}`` for each, and at last
with ``{type: "END"}``, whose `item` is a "throw" if it failed. ``{type: "CLOSE"}`` asks for that
end; ``{type: "THROW", item}`` throws an error into the source, and the ITEM that comes of it says
``thrown: true``, since those before it were sent ahead.

A Comlink peer calls `next`, `return` and `throw` on the same port instead.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from types import GeneratorType
from typing import Any, Final, Protocol, Self, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._codec.wire import Wire
from pyodide_msgchan._port.waiter import Waiter, is_being_cancelled
from pyodide_msgchan._printing import error_text
from pyodide_msgchan.errors import PortStateError

__all__ = ["MAX_CREDIT", "RemoteIterator", "StreamSource", "as_async"]


MAX_CREDIT: Final = 256
"""Items that a reader can have sent ahead, whatever it asks for."""


class StreamSession(Protocol):
    """What the two halves need of the port below them.

    Attributes:
        waiting: the iterator for whose next item a task waits. Nobody else may refer to that task:
            the event loop does not, and a loop that was left closes its iterator in one.
    """

    waiting: Any

    def post(self, message: Wire) -> None:
        """Send a message as it is."""

    def post_item(self, message: Wire, value: Any) -> None:
        """Send a message with the Wire of a value as its `item`."""

    def post_error(self, message: Wire, error: BaseException) -> None:
        """Send a message with the Wire of an error as its `item`."""

    def value(self, wire: Any, options: Any = None) -> Any:
        """Return what a Wire stands for, or raise it.

        Args:
            wire: that came.
            options: those of the Remote by which it came, for what it brings.
        """

    def finish(self) -> None:
        """Close the port: all was said on it."""


async def as_async(items: Generator[Any, Any, Any]) -> AsyncIterator[Any]:
    """Return the items of an ordinary generator."""
    try:
        for item in items:
            yield item
    finally:
        items.close()


class StreamSource:
    """The sending half: runs an asynchronous iterator as far as it has credit."""

    def __init__(self, session: StreamSession, items: Any) -> None:
        self._session = session
        self._items: Any = as_async(items) if isinstance(items, GeneratorType) else items
        self._credit = 0
        self._thrown: list[BaseException] = []
        self._closing = False
        self._finished = False
        self._task: asyncio.Task[None] | None = None
        self._waiter: Waiter | None = None
        self._turn = asyncio.Lock()

    def on_request(self, message: Wire) -> None:
        """Take PULL, CLOSE or THROW."""
        kind, credit = message["type"], message.get("credit")
        if kind == "PULL":
            if type(credit) is int and credit > 0:
                self._credit = min(self._credit + credit, MAX_CREDIT)
        elif kind == "CLOSE":
            self._closing = True
            if self._task is not None and self._waiter is None:
                self._task.cancel()  # in the midst of an item that nobody wants
        else:
            try:
                self._session.value(message.get("item"))
            except Exception as error:  # noqa: BLE001 - it is the one to be thrown
                self._thrown.append(error)
        if self._task is None:
            self._task = asyncio.get_event_loop().create_task(self._run())
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.wake_soon()

    def ended(self) -> None:
        """The port is over: close the iterator."""
        self._closing = True
        if self._finished:
            return
        if self._task is not None:
            self._task.cancel()
        else:
            with contextlib.suppress(RuntimeError):  # no loop is left to close it in
                self._task = asyncio.get_running_loop().create_task(self._close())

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Return what a JavaScript peer calls."""
        return {"next": self._next, "return": self._return, "throw": self._throw}

    async def _run(self) -> None:
        failure: BaseException | None = None
        try:
            await self._send_all()
        except StopAsyncIteration:
            pass
        except GeneratorExit as error:  # the loop was left: nothing can be awaited any more
            self._say_end(error)
            raise
        except BaseException as error:  # noqa: BLE001 - it goes to the reader
            failure = self._cause_of_end(error)
        try:
            await self._close()
        except BaseException as error:  # noqa: BLE001 - as above
            failure = self._cause_of_end(error) or failure
        self._say_end(failure)

    def _cause_of_end(self, error: BaseException) -> BaseException | None:
        """Return what the reader is told; nothing if it asked for that end itself."""
        return None if self._closing and isinstance(error, asyncio.CancelledError) else error

    def _say_end(self, failure: BaseException | None) -> None:
        """Tell the reader that there are no more items, and why if something went wrong."""
        self._finished = True
        with contextlib.suppress(PortStateError):  # the reader is gone
            if failure is None:
                self._session.post({"type": "END"})
            else:
                self._session.post_error({"type": "END"}, failure)
        self._session.finish()
        if isinstance(failure, (SystemExit, KeyboardInterrupt)):
            report("a remote generator asked for an exit", failure)

    async def _send_all(self) -> None:
        while not self._closing:
            if self._thrown:
                item = await self._items.athrow(self._thrown.pop(0))
                self._session.post_item({"type": "ITEM", "thrown": True}, item)
            elif self._credit:
                item = await anext(self._items)
                self._credit -= 1
                self._session.post_item({"type": "ITEM"}, item)
            else:
                self._waiter = Waiter(asyncio.get_running_loop())
                try:
                    await self._waiter
                finally:
                    self._waiter = None

    async def _close(self) -> None:
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()

    async def _next(self, value: Any = None) -> dict[str, Any]:
        return await self._step("asend", value) if value is not None else await self._step("")

    async def _throw(self, error: Any = None) -> dict[str, Any]:
        if not isinstance(error, BaseException):
            error = RuntimeError(error_text(error))
        return await self._step("athrow", error)

    async def _return(self, value: Any = None) -> dict[str, Any]:
        async with self._turn:
            await self._close()
        return {"value": value, "done": True}

    async def _step(self, how: str, *arguments: Any) -> dict[str, Any]:
        async with self._turn:  # JavaScript may ask for several at once
            try:
                step = getattr(self._items, how)(*arguments) if how else anext(self._items)
                return {"value": await step, "done": False}
            except StopAsyncIteration:
                return {"value": None, "done": True}


@final
class RemoteIterator:
    """A remote asynchronous iterator, for one task; items are sent up to `prefetch` in advance.

    `aclose()` ends the remote iterator and waits for that; `close_nowait()` and dropping the last
    reference end it without waiting. `athrow()` throws an error into the remote iterator where it
    stands, which may be up to `prefetch` items ahead of what was consumed here.
    """

    def __init__(self, session: StreamSession, handle: Any, prefetch: int) -> None:
        self._session = session
        self._handle = handle
        self._window = prefetch
        self._consumed = 0
        self._items: deque[Wire] = deque()
        self._started = False
        self._skipping = False
        self._closing = False
        self._end: Callable[[], Any] | None = None
        self._waiter: Waiter | None = None

    def __aiter__(self) -> Self:
        """Return this iterator; its items can be iterated over once."""
        return self

    async def __anext__(self) -> Any:
        """Wait for the next item. A cancelled call loses no item.

        Raises:
            StopAsyncIteration: the remote iterator ended.
            RemoteError: it raised; all items before that are returned first.
            PortClosedError: the port was closed here, or by the other side (PeerClosedError).
            PeerLostError: the other side vanished.
            RuntimeError: another task waits for the next item already.
        """
        if not self._started:
            self._started = True
            if self._end is None:
                self._session.post({"type": "PULL", "credit": self._window})
        while not self._items:
            if self._end is not None:
                self._raise_end()
            if self._closing:
                raise StopAsyncIteration
            await self._wait()
        wire = self._items.popleft()
        self._on_item_consumed()
        return self._session.value(wire, self._handle.options)

    async def aclose(self) -> None:
        """End the remote iterator and wait until it has ended.

        Items that were not consumed are dropped. Cancelling ends the wait at once. In a task that
        is being cancelled already (by a timeout or a `TaskGroup`) this tells the other side to end
        the iterator and does not wait.

        Raises:
            RemoteError: the remote iterator raised while it ended.
            RuntimeError: another task waits for the next item.
        """
        over = self._end is not None
        self.close_nowait()
        if over or is_being_cancelled():
            return
        while self._end is None:
            await self._wait()
        with contextlib.suppress(StopAsyncIteration, PortStateError):
            self._raise_end()

    def close_nowait(self) -> None:
        """End the remote iterator without waiting. Items that were not consumed are dropped."""
        self._started = self._skipping = True
        self._items.clear()
        if self._end is None and not self._closing:  # a second CLOSE would cut its cleanup off
            self._closing = True
            with contextlib.suppress(Exception):  # the port is over: so is the iterator
                self._session.post({"type": "CLOSE"})

    async def athrow(self, error: BaseException) -> Any:
        """Throw an error into the remote iterator, and return the item that it yields next.

        Items that were sent in advance are dropped.

        Raises:
            StopAsyncIteration: the remote iterator ended.
            RemoteError: it raised, perhaps that same error.
            PortStateError: the port ended.
            RuntimeError: another task waits for the next item.
        """
        if self._end is None:
            self._started = self._skipping = True
            while self._items:
                self._items.popleft()
                self._on_item_consumed()
            self._session.post_error({"type": "THROW"}, error)
        while not self._items and self._end is None:
            await self._wait()
        if not self._items:
            self._raise_end()
        return self._session.value(self._items.popleft(), self._handle.options)

    def _on_item(self, message: Wire) -> Waiter | None:
        """Take ITEM or END; return who is to be woken."""
        if self._end is not None:
            return None
        if message["type"] == "END":
            self._end = self._ending(message.get("item"))
            self._session.finish()
        elif self._skipping and message.get("thrown") is not True:
            self._on_item_consumed()
            return None
        else:
            self._skipping = False
            self._items.append(message["item"])
        return self._waiter

    def _on_end(self, end: Callable[[], Exception]) -> None:
        """The port is over."""
        if self._end is None:

            def gone() -> None:
                raise end()

            self._end = gone
        if self._waiter is not None and not self._waiter.done():
            self._waiter.wake_soon()

    def _ending(self, wire: Any) -> Callable[[], Any]:
        def over() -> None:
            if wire is not None:
                self._session.value(wire)

        return over

    def _raise_end(self) -> None:
        end, self._end = self._end, _already_raised
        if end is not None:
            end()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("another task waits for this iterator's next item")
        self._waiter = Waiter(asyncio.get_running_loop())
        self._session.waiting = self
        try:
            await self._waiter
        finally:
            self._waiter = self._session.waiting = None

    def _on_item_consumed(self) -> None:
        self._consumed += 1
        if self._consumed * 2 >= self._window and self._end is None:
            with contextlib.suppress(PortStateError):  # what came before that end is still here
                self._session.post({"type": "PULL", "credit": self._consumed})
            self._consumed = 0


def _already_raised() -> None:
    """Stand for an end whose error was raised once."""

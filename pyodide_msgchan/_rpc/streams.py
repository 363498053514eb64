"""Asynchronous iteration across a port, with flow control by credit.

The reader sends ``{type: "PULL", credit}`` when it starts, and again whenever it has consumed half
of its window. The source answers with one ``{type: "ITEM", item}`` for each item, where `item` is a
wire value, and finally with ``{type: "END"}``, whose `item` is a "throw" if the iterator failed.
``{type: "CLOSE"}`` asks the source to end. ``{type: "THROW", item}`` throws an error into the
iterator; the ITEM that results has ``thrown: true``, which tells it from items sent in advance.

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
"""The largest number of items in advance, whatever the reader asks for."""


class StreamSession(Protocol):
    """The part of a session that both halves of a stream use.

    Attributes:
        waiting_iterator: the iterator for whose next item a task waits. Nothing else may refer to
            that task: the event loop does not, and leaving an ``async for`` closes its iterator in
            such a task.
    """

    waiting_iterator: Any

    def post(self, message: Wire) -> None:
        """Post a message without marshalling."""

    def post_item(self, message: Wire, value: Any) -> None:
        """Post a message with the wire value of `value` as its `item`."""

    def post_error(self, message: Wire, error: BaseException) -> None:
        """Post a message with the wire value of an error as its `item`."""

    def from_wire(self, wire: Any, options: Any = None) -> Any:
        """Return the value of a wire value; raise it if that is an error.

        Args:
            wire: as received.
            options: of the Remote through which it was received; what it contains inherits them.
        """

    def finish(self) -> None:
        """Close the port, because nothing more is sent on it."""


async def as_async(items: Generator[Any, Any, Any]) -> AsyncIterator[Any]:
    """Iterate asynchronously over an ordinary generator."""
    try:
        for item in items:
            yield item
    finally:
        items.close()


class StreamSource:
    """The sending half: runs an iterator and sends items for as long as it has credit."""

    def __init__(self, session: StreamSession, items: Any) -> None:
        self._session = session
        self._items: Any = as_async(items) if isinstance(items, GeneratorType) else items
        self._credit = 0
        self._thrown: list[BaseException] = []
        self._closing = False
        self._finished = False
        self._task: asyncio.Task[None] | None = None
        self._waiter: Waiter | None = None
        self._step_lock = asyncio.Lock()

    def on_request(self, message: Wire) -> None:
        """Handle a PULL, CLOSE or THROW."""
        kind, credit = message["type"], message.get("credit")
        if kind == "PULL":
            if type(credit) is int and credit > 0:
                self._credit = min(self._credit + credit, MAX_CREDIT)
        elif kind == "CLOSE":
            self._closing = True
            if self._task is not None and self._waiter is None:
                self._task.cancel()  # it is computing an item that nobody wants
        else:
            try:
                self._session.from_wire(message.get("item"))
            except Exception as error:  # noqa: BLE001 - this error is to be thrown
                self._thrown.append(error)
        if self._task is None:
            self._task = asyncio.get_event_loop().create_task(self._run())
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.wake_soon()

    def close(self) -> None:
        """Close the iterator, because the port ended."""
        self._closing = True
        if self._finished:
            return
        if self._task is not None:
            self._task.cancel()
        else:
            with contextlib.suppress(RuntimeError):  # there is no event loop left to close it in
                self._task = asyncio.get_running_loop().create_task(self._close_iterator())

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Return the methods that a JavaScript peer calls."""
        return {"next": self._next, "return": self._return, "throw": self._throw}

    async def _run(self) -> None:
        failure: BaseException | None = None
        try:
            await self._send_all()
        except StopAsyncIteration:
            pass
        except GeneratorExit as error:  # the event loop is gone, so nothing can be awaited
            self._send_end(error)
            raise
        except BaseException as error:  # noqa: BLE001 - it is sent to the reader
            failure = self._cause_of_end(error)
        try:
            await self._close_iterator()
        except BaseException as error:  # noqa: BLE001 - as above
            failure = self._cause_of_end(error) or failure
        self._send_end(failure)

    def _cause_of_end(self, error: BaseException) -> BaseException | None:
        """Return the error to send to the reader; None if the reader asked for the end."""
        return None if self._closing and isinstance(error, asyncio.CancelledError) else error

    def _send_end(self, failure: BaseException | None) -> None:
        """Send END, with the error if the iterator failed, and close the port."""
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

    async def _close_iterator(self) -> None:
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
        async with self._step_lock:
            await self._close_iterator()
        return {"value": value, "done": True}

    async def _step(self, method: str, *arguments: Any) -> dict[str, Any]:
        async with self._step_lock:  # JavaScript may ask for several items at once
            try:
                step = getattr(self._items, method)(*arguments) if method else anext(self._items)
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
        return self._session.from_wire(wire, self._handle.options)

    async def aclose(self) -> None:
        """End the remote iterator and wait until it has ended.

        Items that were not consumed are dropped. Cancelling ends the wait at once. In a task that
        is being cancelled already (by a timeout or a `TaskGroup`) this tells the other side to end
        the iterator and does not wait.

        Raises:
            RemoteError: the remote iterator raised while it ended.
            RuntimeError: another task waits for the next item.
        """
        has_ended = self._end is not None
        self.close_nowait()
        if has_ended or is_being_cancelled():
            return
        while self._end is None:
            await self._wait()
        with contextlib.suppress(StopAsyncIteration, PortStateError):
            self._raise_end()

    def close_nowait(self) -> None:
        """End the remote iterator without waiting. Items that were not consumed are dropped."""
        self._started = self._skipping = True
        self._items.clear()
        if self._end is None and not self._closing:  # a second CLOSE would cancel its cleanup
            self._closing = True
            with contextlib.suppress(Exception):  # if the port ended, the iterator ends too
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
        return self._session.from_wire(self._items.popleft(), self._handle.options)

    def _on_item(self, message: Wire) -> Waiter | None:
        """Handle an ITEM or END; return the waiter to wake."""
        if self._end is not None:
            return None
        if message["type"] == "END":
            self._end = self._end_raiser(message.get("item"))
            self._session.finish()
        elif self._skipping and message.get("thrown") is not True:
            self._on_item_consumed()
            return None
        else:
            self._skipping = False
            self._items.append(message["item"])
        return self._waiter

    def _on_end(self, end: Callable[[], Exception]) -> None:
        """End the iteration, because the port ended."""
        if self._end is None:

            def raise_end() -> None:
                raise end()

            self._end = raise_end
        if self._waiter is not None and not self._waiter.done():
            self._waiter.wake_soon()

    def _end_raiser(self, wire: Any) -> Callable[[], Any]:
        def raise_end() -> None:
            if wire is not None:
                self._session.from_wire(wire)

        return raise_end

    def _raise_end(self) -> None:
        end, self._end = self._end, _already_raised
        if end is not None:
            end()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("another task waits for this iterator's next item")
        self._waiter = Waiter(asyncio.get_running_loop())
        self._session.waiting_iterator = self
        try:
            await self._waiter
        finally:
            self._waiter = self._session.waiting_iterator = None

    def _on_item_consumed(self) -> None:
        self._consumed += 1
        if self._consumed * 2 >= self._window and self._end is None:
            with contextlib.suppress(
                PortStateError
            ):  # after the port ended, buffered items can still be consumed
                self._session.post({"type": "PULL", "credit": self._consumed})
            self._consumed = 0


def _already_raised() -> None:
    """Raise nothing: the error of the end was raised before."""

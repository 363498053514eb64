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
from functools import partial
from types import GeneratorType
from typing import Any, Final, Self, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._codec.exceptions import post_thrown
from pyodide_msgchan._codec.wire import Wire
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.waiter import Waiter, is_being_cancelled
from pyodide_msgchan._printing import error_text
from pyodide_msgchan._rpc.marshalling import Attachments, Marshaller, with_caller_path
from pyodide_msgchan._rpc.remote import RemoteHandle
from pyodide_msgchan.errors import DataCloneError, PortStateError

__all__ = ["MAX_CREDIT", "RemoteIterator", "StreamPort", "StreamReader", "StreamSource", "as_async"]


MAX_CREDIT: Final = 256
"""The largest number of items in advance, whatever the reader asks for."""


@final
class StreamPort:
    """The port of one stream: posts its messages, with items and errors as wire values.

    Args:
        port: on which the stream is sent or received.
        marshaller: converts items and errors.

    Attributes:
        post: posts a message as it is.
        from_wire: as for `Marshaller`.
        close: closes the port, because nothing more is sent on it.
    """

    def __init__(self, port: MessagePort, marshaller: Marshaller) -> None:
        self._marshaller = marshaller
        self.post: Callable[..., None] = port.post_message
        self.close: Callable[[], None] = port.close
        self.from_wire: Callable[..., Any] = marshaller.from_wire

    def post_item(self, message: Wire, value: Any) -> None:
        """Post a message with the wire value of `value` as its `item`."""
        attachments = Attachments()
        try:
            message["item"] = self._marshaller.to_wire(value, attachments)
            self.post(message, transfer=attachments.transfer)
        except BaseException as error:
            attachments.undo()
            if isinstance(error, DataCloneError):
                raise with_caller_path(error) from None
            raise

    def post_error(self, message: Wire, error: BaseException) -> None:
        """Post a message with the wire value of an error as its `item`."""
        wire = self._marshaller.error_to_wire(error)
        post_thrown(wire, lambda wire: self.post({**message, "item": wire}))


async def as_async(items: Generator[Any, Any, Any]) -> AsyncIterator[Any]:
    """Iterate asynchronously over an ordinary generator."""
    try:
        for item in items:
            yield item
    finally:
        items.close()


class StreamSource:
    """The sending half: runs an iterator and sends items for as long as it has credit."""

    def __init__(self, port: StreamPort, items: Any) -> None:
        self._port = port
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
                self._port.from_wire(message["item"])
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
                self._port.post({"type": "END"})
            else:
                self._port.post_error({"type": "END"}, failure)
        self._port.close()
        if isinstance(failure, (SystemExit, KeyboardInterrupt)):
            report("a remote generator asked for an exit", failure)

    async def _send_all(self) -> None:
        while not self._closing:
            if self._thrown:
                item = await self._items.athrow(self._thrown.pop(0))
                self._port.post_item({"type": "ITEM", "thrown": True}, item)
            elif self._credit:
                item = await anext(self._items)
                self._credit -= 1
                self._port.post_item({"type": "ITEM"}, item)
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
class StreamReader:
    """The receiving half: buffers items, and grants credit for more.

    Args:
        port: on which the stream is received.
        window: items that may be sent in advance.

    Attributes:
        items: the wire values of the items that were not consumed.
        started: whether the first items were asked for, or are not wanted.
        ended: whether the stream ended; items may be left.
        closing: whether the source was asked to end.
    """

    def __init__(self, port: StreamPort, window: int) -> None:
        self.port = port
        self.items: deque[Wire] = deque()
        self.started: bool = False
        self.ended: bool = False
        self.closing: bool = False
        self._window = window
        self._consumed = 0
        self._skipping = False
        self._raise_error: Callable[[], Any] | None = None
        self._waiter: Waiter | None = None

    def start(self) -> None:
        """Ask for the first items."""
        self.started = True
        if not self.ended:
            self.port.post({"type": "PULL", "credit": self._window})

    async def wait(self) -> None:
        """Wait for an item or the end.

        Raises:
            RuntimeError: another task does.
        """
        if self._waiter is not None:
            raise RuntimeError("another task waits for this iterator's next item")
        self._waiter = Waiter(asyncio.get_running_loop())
        try:
            await self._waiter
        finally:
            self._waiter = None

    def on_consumed(self) -> None:
        """Count an item that was consumed or dropped, and grant credit for more if half is used."""
        self._consumed += 1
        if self._consumed * 2 >= self._window and not self.ended:
            with contextlib.suppress(
                PortStateError
            ):  # after the port ended, buffered items can still be consumed
                self.port.post({"type": "PULL", "credit": self._consumed})
            self._consumed = 0

    def close(self) -> None:
        """Drop all items, and ask the source to end."""
        self.started = self._skipping = True
        self.items.clear()
        if not self.ended and not self.closing:  # a second CLOSE would cancel its cleanup
            self.closing = True
            with contextlib.suppress(Exception):  # if the port ended, the iterator ends too
                self.port.post({"type": "CLOSE"})

    def throw(self, error: BaseException) -> None:
        """Drop all items, and throw an error into the source."""
        self.started = self._skipping = True
        while self.items:
            self.items.popleft()
            self.on_consumed()
        self.port.post_error({"type": "THROW"}, error)

    def raise_end(self) -> None:
        """Raise the error of the end; StopAsyncIteration if there is none, or it was raised."""
        raise_error, self._raise_error = self._raise_error, None
        if raise_error is not None:
            raise_error()
        raise StopAsyncIteration

    def on_message(self, message: Wire) -> list[Waiter]:
        """Handle an ITEM or END; return the waiters to wake."""
        if self.ended:
            return []
        if message["type"] == "END":
            item = message.get("item")
            self.ended = True
            self._raise_error = None if item is None else partial(self.port.from_wire, item)
            self.port.close()
        elif self._skipping and message.get("thrown") is not True:
            self.on_consumed()
            return []
        else:
            self._skipping = False
            self.items.append(message["item"])
        return [] if self._waiter is None else [self._waiter]

    def on_end(self, end: Callable[[], Exception]) -> None:
        """End the stream, because the port ended."""
        if not self.ended:

            def raise_error() -> None:
                raise end()

            self.ended, self._raise_error = True, raise_error
        if self._waiter is not None and not self._waiter.done():
            self._waiter.wake_soon()


@final
class RemoteIterator:
    """A remote asynchronous iterator, for one task; items are sent up to `prefetch` in advance.

    `aclose()` ends the remote iterator and waits for that; `close_nowait()` and dropping the last
    reference end it without waiting. `athrow()` throws an error into the remote iterator where it
    stands, which may be up to `prefetch` items ahead of what was consumed here.
    """

    def __init__(self, reader: StreamReader, handle: RemoteHandle) -> None:
        self._reader = reader
        self._handle = handle  # the last reference to it releases the remote iterator

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
        reader = self._reader
        if not reader.started:
            reader.start()
        while not reader.items:
            if reader.ended:
                reader.raise_end()
            if reader.closing:
                raise StopAsyncIteration
            await reader.wait()
        wire = reader.items.popleft()
        reader.on_consumed()
        return reader.port.from_wire(wire, self._handle.options)

    async def aclose(self) -> None:
        """End the remote iterator and wait until it has ended.

        Items that were not consumed are dropped. Cancelling ends the wait at once. In a task that
        is being cancelled already (by a timeout or a `TaskGroup`) this tells the other side to end
        the iterator and does not wait.

        Raises:
            RemoteError: the remote iterator raised while it ended.
            RuntimeError: another task waits for the next item.
        """
        reader = self._reader
        had_ended = reader.ended
        reader.close()
        if had_ended or is_being_cancelled():
            return
        while not reader.ended:
            await reader.wait()
        with contextlib.suppress(StopAsyncIteration, PortStateError):
            reader.raise_end()

    def close_nowait(self) -> None:
        """End the remote iterator without waiting. Items that were not consumed are dropped."""
        self._reader.close()

    async def athrow(self, error: BaseException) -> Any:
        """Throw an error into the remote iterator, and return the item that it yields next.

        Items that were sent in advance are dropped.

        Raises:
            StopAsyncIteration: the remote iterator ended.
            RemoteError: it raised, perhaps that same error.
            PortStateError: the port ended.
            RuntimeError: another task waits for the next item.
        """
        reader = self._reader
        if not reader.ended:
            reader.throw(error)
        while not reader.items and not reader.ended:
            await reader.wait()
        if not reader.items:
            reader.raise_end()
        return reader.port.from_wire(reader.items.popleft(), self._handle.options)

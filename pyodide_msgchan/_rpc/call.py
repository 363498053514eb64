"""A call that was sent: awaited for its result, iterated over, or left alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final, Self, final

from pyodide_msgchan._port.waiter import Waiter

__all__ = ["Call"]


_PENDING: Final = 0


_DONE: Final = 1


_FAILED: Final = 2


_HEARD: Final = 3


@final
class Call:
    """A call on its way. It was sent when it was made; awaiting it gives the result or raises.

    ``async for`` over it awaits the result and iterates over that. Cancelling the task that waits
    cancels the call at a Python end; a call that nobody awaits goes on. `asyncio.gather` and
    `asyncio.wait_for` take it; `asyncio.create_task` takes coroutines only.
    """

    __slots__ = (
        "__weakref__",
        "_cancel",
        "_handle",
        "_id",
        "_ignored",
        "_outcome",
        "_state",
        "_waiters",
    )  # fmt: skip

    def __init__(self, handle: Any, cancel: Callable[[Call], None]) -> None:
        self._handle = handle  # what it was made on lives as long
        self._cancel = cancel
        self._state = _PENDING
        self._ignored = False
        self._outcome: Any = None
        self._waiters: list[Waiter] = []
        self._id: Any = None  # by which the machine knows it

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result.

        Raises:
            RemoteError: the other side raised; it is an instance of the matching class too.
            PortClosedError: this side closed the port; PeerClosedError: the other side did.
            PeerLostError: the other side vanished.
        """
        if self._state == _PENDING:
            waiter = Waiter(asyncio.get_running_loop())
            self._waiters.append(waiter)
            waiter._asyncio_future_blocking = True
            try:
                yield waiter  # as its own `__await__` does, a generator dearer
                waiter.result()
            finally:
                self._waiters.remove(waiter)
                if self._state == _PENDING and not self._waiters:
                    self._cancel(self)
                elif self._state == _FAILED:  # who is cancelled meanwhile needs no report of it
                    self._state = _HEARD
        if self._state == _DONE:
            return self._outcome
        self._state = _HEARD
        raise self._outcome

    def __aiter__(self) -> AsyncIterator[Any]:
        """Wait for the result, and give the items of that; leaving early closes it.

        Leaving the loop, by ``break``, an exception or a cancellation, waits for nobody. The
        iterator has `aclose()`, which waits until the other side has ended it.
        """
        return _Items(self)

    def _ignore(self) -> None:
        """Report no error of it: nobody needs to hear of the outcome."""
        self._ignored = True

    def done(self) -> bool:
        """Return True if the answer is there."""
        return self._state != _PENDING

    def _settle(self, value: Any) -> list[Waiter]:
        """Take the result; return who is to be woken."""
        self._state, self._outcome = _DONE, value
        return self._waiters

    def _fail(self, error: BaseException) -> list[Waiter]:
        """Take the error; return who is to be woken."""
        self._state, self._outcome = _FAILED, error
        return self._waiters

    def __del__(self) -> None:
        """Report an error that nobody heard of."""
        if self._state == _FAILED and not self._ignored:
            with contextlib.suppress(RuntimeError):  # no loop is left to report to
                asyncio.get_event_loop().call_exception_handler(
                    {"message": "a remote call failed, unheard", "exception": self._outcome}
                )


@final
class _Items:
    """Iterates over the result of a call. No async generator: that could be closed by waiting only.

    An exception, of the other side or a cancellation, ends the iteration there and here.
    """

    __slots__ = ("_call", "_iterator", "_over")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._iterator: AsyncIterator[Any] | None = None
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._over:
            raise StopAsyncIteration
        try:
            if self._iterator is None:
                self._iterator = aiter(await self._call)
            return await anext(self._iterator)
        except BaseException:
            # What nobody refers to is released in any case; but an exception that somebody keeps
            # keeps the iterator too.
            self._over = True
            close = getattr(self._iterator, "close_nowait", None)
            if close is not None:
                close()
            raise

    async def aclose(self) -> None:
        iterator, self._iterator, self._over = self._iterator, None, True
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()

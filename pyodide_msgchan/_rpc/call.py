"""The call that a remote request returns: await it for its result, or iterate over that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Final, Self, final

from pyodide_msgchan._port.waiter import Waiter

__all__ = ["Call", "ClientCall"]


_PENDING: Final = 0


_DONE: Final = 1


_FAILED: Final = 2


_RETRIEVED: Final = 3


class Call:
    """A remote call, sent when it is made; awaiting it returns its result or raises its error.

    ``async for`` over a call awaits its result and iterates over that. It can be awaited any number
    of times. Cancelling the only task that waits for it cancels the call on a Python end; a call
    that nobody awaits runs to its end. `asyncio.gather` and `asyncio.wait_for` accept a call;
    `asyncio.create_task` accepts coroutines only.
    """

    __slots__ = (
        "__weakref__",
        "_cancel",
        "_handle",
        "_ignored",
        "_outcome",
        "_state",
        "_waiters",
    )

    def __init__(self, handle: Any, cancel: Callable[[Any], object]) -> None:
        self._handle = handle  # keeps the remote object from being released during the call
        self._cancel = cancel
        self._state = _PENDING
        self._ignored = False
        self._outcome: Any = None
        self._waiters: list[Waiter] = []

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the result.

        Raises:
            RemoteError: the other side raised; the error is also an instance of the matching class.
            MessageError: the request or its reply can't be decoded.
            PortClosedError: this side closed the port.
            PeerClosedError: the other side closed it.
            PeerLostError: the other side vanished.
        """
        if self._state == _PENDING:
            waiter = Waiter(asyncio.get_running_loop())
            self._waiters.append(waiter)
            try:
                yield waiter  # inlined from `Waiter.__await__`: saves one generator per call
                waiter.result()
            finally:
                self._waiters.remove(waiter)
                if self._state == _PENDING and not self._waiters:
                    self._cancel(self)
                elif self._state == _FAILED:  # also if the wait was cancelled: a task did wait
                    self._state = _RETRIEVED
        if self._state == _DONE:
            return self._outcome
        self._state = _RETRIEVED
        raise self._outcome

    def __aiter__(self) -> AsyncIterator[Any]:
        """Wait for the result, and iterate over its items.

        Leaving the loop, by ``break``, an exception or a cancellation, closes the remote iterator
        without waiting for the other side. The iterator's `aclose()` waits until it has ended.
        """
        return _ResultIterator(self)

    def done(self) -> bool:
        """Return True if the call has a result or an error."""
        return self._state != _PENDING

    def __del__(self) -> None:
        """Report an error that was never retrieved."""
        if self._state == _FAILED and not self._ignored:
            with contextlib.suppress(RuntimeError):  # there is no event loop left to report to
                asyncio.get_event_loop().call_exception_handler(
                    {
                        "message": "a remote call failed, and its error was never retrieved",
                        "exception": self._outcome,
                    }
                )


@final
class ClientCall(Call):
    """A call with what its client does to it, which is not for its users.

    Args:
        handle: the handle through which it was made.
        cancel: called with the call when the last task stops waiting for it.

    Attributes:
        number: the number of the request in the protocol.
    """

    __slots__ = ("number",)

    number: int

    @property
    def options(self) -> Any:
        """The options of the remote object that was called; None if there are none."""
        return self._handle and self._handle.options

    def ignore(self) -> None:
        """Don't report an error of this call if it is never retrieved."""
        self._ignored = True

    def settle(self, value: Any) -> list[Waiter]:
        """Store the result; return the waiters to wake."""
        self._state, self._outcome = _DONE, value
        return self._waiters

    def fail(self, error: BaseException) -> list[Waiter]:
        """Store the error; return the waiters to wake."""
        self._state, self._outcome = _FAILED, error
        return self._waiters


@final
class _ResultIterator:
    """Iterates over the result of a call.

    An exception, raised by the other side or by a cancellation, ends the iteration on both sides.
    This is no async generator, because closing one of those has to be awaited.
    """

    __slots__ = ("_call", "_finished", "_iterator")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._iterator: AsyncIterator[Any] | None = None
        self._finished = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if self._finished:
            raise StopAsyncIteration
        try:
            if self._iterator is None:
                self._iterator = aiter(await self._call)
            return await anext(self._iterator)
        except BaseException:
            # Dropping the iterator would release it too, but its traceback keeps the iterator alive
            # for as long as somebody keeps the exception.
            self._finished = True
            close = getattr(self._iterator, "close_nowait", None)
            if close is not None:
                close()
            raise

    async def aclose(self) -> None:
        iterator, self._iterator, self._finished = self._iterator, None, True
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()

"""Receiving: a buffer that keeps order, and whoever waits or listens; nothing is lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Self, cast

from ._clone import Notice
from ._event import Listener, MessageEvent, call
from ._types import DATA, EVENT, Endpoint, NativeEvent, Reader
from ._waiter import Waiter
from .errors import MessageError, PortClosedError, PortStateError

__all__ = ["Receiver"]

TURN = 0.008
"""Seconds that a task may take from a full buffer before timers and painting get their turn."""


class Receiver:
    """Takes messages from an endpoint, and gives them to tasks or listeners in order."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._end: Callable[[], PortStateError] | None = None
        self._buffer: deque[Any] = deque()
        self._natives: deque[NativeEvent] | None = None
        self._batch = 0
        self._taken = 0
        self._waiters: deque[Waiter] = deque()
        self._reserved = 0
        self._listeners: list[Listener] = []
        self._error_listeners: list[Listener] = []
        self._reader: Reader | None = None
        self._dispatching = 0
        self._turn = 0.0

    # For tasks

    async def receive(self) -> Any:
        """Wait for the next message and take it.

        A message belongs to the task whose `receive` returned. Cancelling this call, or a timeout
        around it, loses none; cancelling a `gather` around a call that returned may drop it.

        Raises:
            PortStateError: a listener reads this port.
            PortClosedError: this side closed it.
            PeerClosedError: the other side did, and all it sent was taken.
            PortDetachedError: it was transferred.
            PeerLostError: the other side vanished.
        """
        if not self._buffer or self._waiters:
            await self._wait()
        elif monotonic() - self._turn > TURN:
            await self._pause()
        if self._natives:
            self._natives.popleft()
        return self._buffer.popleft()

    async def receive_event(self) -> MessageEvent:
        """Wait for the next message and take it with its event, as `receive` does."""
        self._use_events()
        if not self._buffer or self._waiters:
            await self._wait()
        elif monotonic() - self._turn > TURN:
            await self._pause()
        return self._pop_event()

    def __aiter__(self) -> Self:
        """Iterate over the messages until the channel ends."""
        return self

    async def __anext__(self) -> Any:
        """Take the next message; the iteration ends when either side closed."""
        try:
            return await self.receive()
        except PortClosedError:
            raise StopAsyncIteration from None

    async def events(self) -> AsyncIterator[MessageEvent]:
        """Iterate over the messages with their events until the channel ends."""
        while True:
            try:
                event = await self.receive_event()
            except PortClosedError:
                return
            yield event

    def take_buffered(self) -> list[Any]:
        """Take the messages that came and that nobody asked for yet, without waiting.

        These stand in the way of a transfer. Messages still in the browser's own queue stay there.
        """
        if self._end is None:
            while self._endpoint.queued() and (
                batch := self._endpoint.want(DATA if self._natives is None else EVENT)
            ):
                self._store(*batch)
        taken = [self._buffer.pop() for _ in range(len(self._buffer) - self._reserved)]
        if self._natives is not None:
            for _ in taken:
                self._natives.pop()
        return taken[::-1]

    @property
    def buffered(self) -> int:
        """How many messages came that nobody took; those in the browser's own queue not counted."""
        return len(self._buffer) + (0 if self._end else self._endpoint.queued())

    # For callbacks

    def on_message(self, callback: Callable[[MessageEvent], Any]) -> Listener:
        """Call back with every MessageEvent, from now on and in a later turn, until `cancel()`.

        The first listener gets what was buffered; after the last is cancelled messages are kept
        again. A coroutine function runs as a task of its own for each message. What a listener
        raises goes to the event loop's exception handler.

        Raises:
            TypeError: the callback can't be called.
            PortStateError: the port ended, or a `receive` waits on it.
        """
        self._check_callback(callback)
        if self._end is not None and not self._buffer:
            raise self._end()
        if self._waiters:
            raise PortStateError(
                "a task waits for this port's messages; a listener would take them away"
            )
        if self._reader is not None:
            raise PortStateError("remote calls read this port")
        listener = Listener(self._listeners, callback, self._listener_gone)
        self._use_events()
        self._listeners.append(listener)
        if len(self._listeners) == 1:
            if self._end is None:
                self._endpoint.hold(self._arrive)
                self._endpoint.listen()
            if self._buffer:
                asyncio.get_event_loop().call_soon(self._dispatch)
        return listener

    def on_message_error(self, callback: Callable[[MessageError], Any]) -> Listener:
        """Call back with a MessageError for every message that can't be read; reading goes on.

        Without such a listener the event loop's exception handler gets it.
        """
        self._check_callback(callback)
        listener = Listener(self._error_listeners, callback, lambda: None)
        self._error_listeners.append(listener)
        return listener

    @staticmethod
    def _check_callback(callback: Any) -> None:
        if not callable(callback):
            raise TypeError(
                f"a listener is called with the event, and {callback!r:.80} can't be called"
            )

    def _listener_gone(self) -> None:
        if not self._listeners and self._end is None:
            self._endpoint.rest()

    # For the modules above

    def _feed(self, reader: Reader) -> None:
        """Hand every message to a reader from now on; nobody else can read this port any more.

        Raises:
            PortStateError: the port ended, or somebody reads it already.
        """
        if self._end is not None and not self._buffer:
            raise self._end()
        if self._waiters or self._listeners or self._reader is not None:
            raise PortStateError("this port is read already, by a task, a listener or remote calls")
        self._reader, self._natives = reader, None
        if self._end is None:
            self._endpoint.hold(self._arrive)
            self._endpoint.listen()
        if self._buffer:
            asyncio.get_event_loop().call_soon(self._hand_over)

    def _hand_over(self, *, first: bool = False) -> None:
        reader, messages = self._reader, list(self._buffer)
        if reader is None:
            return
        self._buffer.clear()
        self._natives = None
        run = reader.take(messages)
        if run is not None:
            if first:
                self._endpoint.step(run)
            else:
                run()
        if self._end is not None:
            self._reader = None
            reader.ended(self._end)

    # Arrival

    def _arrive(self, messages: list[Any], events: Sequence[Any] | None) -> None:
        """Store what the browser brings, and say what is to run for it."""
        self._store(messages, events)
        if self._reader is not None:
            if self._end is None:
                self._endpoint.hold(self._arrive)
            self._hand_over(first=True)
        elif self._listeners:
            if self._end is None:
                self._endpoint.hold(self._arrive)
            self._endpoint.step(self._dispatch)
        else:
            self._serve(first=True)

    def _store(self, messages: list[Any], events: Sequence[Any] | None) -> None:
        if self._natives is not None or Notice in map(type, messages):
            natives = [
                self._endpoint.event(events[i] if events is not None else None, i)
                for i in range(len(messages))
            ]
            notices = [message for message in messages if type(message) is Notice]
            if notices:
                natives = [
                    native
                    for native, message in zip(natives, messages, strict=True)
                    if type(message) is not Notice
                ]
                messages = [message for message in messages if type(message) is not Notice]
                self._heed(notices)
            if self._natives is not None:
                self._natives.extend(natives)
        self._batch = len(self._buffer) + len(messages)
        self._buffer.extend(messages)
        self._taken += len(messages)

    def _use_events(self) -> None:
        """Keep the events of messages from now on, and fetch those of what is buffered."""
        if self._natives is None:
            missing = self._batch - len(self._buffer)
            self._natives = deque(
                self._endpoint.event(None, i) for i in range(missing, self._batch)
            )

    def _heed(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if notice.kind == "messageerror":
                self._taken += 1  # it was posted, so the other side has counted it
                error = MessageError("the browser could not read a message (messageerror)")
                if self._error_listeners:
                    call(self._error_listeners, error)
                else:
                    asyncio.get_event_loop().call_exception_handler(
                        {"message": str(error), "exception": error}
                    )

    def _pop_event(self) -> MessageEvent:
        natives = cast(
            "deque[NativeEvent]", self._natives
        )  # since whoever comes here called _use_events
        return MessageEvent(self._buffer.popleft(), natives.popleft())

    def _dispatch(self) -> bool:
        self._dispatching += 1
        try:
            while self._buffer and self._listeners:
                call(self._listeners, self._pop_event())
        finally:
            self._dispatching -= 1
        if self._end is not None:
            self._listeners.clear()
        return not self._buffer

    def _serve(self, *, first: bool = False) -> None:
        """Reserve what is buffered for those who wait, in their order, and wake them.

        Args:
            first: a native message brought it, so that the first of them can be stepped directly.
        """
        unserved = False
        for waiter in self._waiters:
            if waiter.done() or waiter.served:
                continue
            if self._reserved == len(self._buffer):
                unserved = True
                break
            waiter.served = True
            if first and self._reserved == 0:
                self._endpoint.step(partial(self._wake, waiter))
            else:
                waiter.wake_soon()
            self._reserved += 1
        if unserved and self._end is None:
            self._ask()

    def _wake(self, waiter: Waiter) -> bool:
        if not waiter.done():
            waiter.wake_now()
        return not self._buffer

    def _ask(self) -> None:
        """Ask the endpoint for more, since somebody waits."""
        batch = self._endpoint.want(DATA if self._natives is None else EVENT)
        if batch is None:
            self._endpoint.hold(self._arrive)
        else:
            self._store(*batch)
            self._serve()

    async def _wait(self) -> None:
        """Return when the head of the buffer belongs to this task."""
        if self._listeners:
            raise PortStateError("a listener reads this port; cancel it before receiving")
        if self._reader is not None:
            raise PortStateError("remote calls read this port")
        while True:
            if not self._waiters:
                if self._buffer:
                    return
                if self._end is None and (
                    batch := self._endpoint.want(DATA if self._natives is None else EVENT)
                ):
                    self._store(*batch)
                    if self._buffer:
                        return
                    continue
            if self._end is not None and len(self._buffer) <= self._reserved:
                raise self._end()
            waiter = Waiter(asyncio.get_running_loop())
            self._waiters.append(waiter)
            if self._end is None and len(self._waiters) == 1:
                self._endpoint.hold(self._arrive)
            else:
                self._serve()
            if await self._woken(waiter):
                return

    async def _woken(self, waiter: Waiter) -> bool:
        """Wait in the line; say whether the head of the buffer belongs to this task now."""
        try:
            await waiter
        except BaseException:
            self._give_up(waiter)
            raise
        self._waiters.remove(waiter)
        if waiter.served:
            self._reserved -= 1
            self._turn = monotonic()
        return waiter.served

    def _give_up(self, waiter: Waiter) -> None:
        """Pass on what was reserved for a wait that was cancelled."""
        self._waiters.remove(waiter)
        if waiter.served:
            self._reserved -= 1
            self._serve()
        if (
            self._end is None
            and not self._listeners
            and all(other.done() for other in self._waiters)
        ):
            self._endpoint.rest()

    async def _pause(self) -> None:
        """Let the page breathe; the message stays where it is meanwhile."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop)
        self._waiters.append(waiter)  # nobody who asks later gets it first
        loop.call_soon(self._serve)
        if not await self._woken(waiter):
            await self._wait()

    # The end

    def _finish(self, end: Callable[[], PortStateError], *, drop: bool) -> None:
        """End: whoever waits for more than what is buffered is woken, in a later turn."""
        self._end = end
        if drop:
            self._buffer.clear()
            self._natives = None
            self._reserved = 0
        if not self._buffer:  # else once they have it
            self._listeners.clear()
            if self._reader is not None:
                reader, self._reader = self._reader, None
                reader.ended(end)
        for waiter in self._waiters:
            if drop:
                waiter.served = False
            if not waiter.done():
                waiter.wake_soon()

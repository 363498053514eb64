"""Receiving: a buffer that keeps order, and whoever waits or listens; nothing is lost."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic
from typing import Any, Self, cast

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry
from pyodide_msgchan._interfaces import DATA, EVENT, Batch, CallSink, Endpoint, NativeEvent, Notice
from pyodide_msgchan._port.events import Listener, MessageEvent, call_listeners
from pyodide_msgchan._port.unreadable import message_error
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan.errors import MessageError, PortClosedError, PortStateError

__all__ = ["Receiver"]


TIME_SLICE = 0.008
"""Seconds that a task may take from a full buffer before timers and painting get their turn."""


class Receiver:
    """Takes messages from an endpoint, and gives them to tasks or listeners in order."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._end_error: Callable[[], Exception] | None = None
        self._buffer: deque[Any] = deque()
        self._events: deque[NativeEvent] | None = None
        self._received_count = 0
        # Those who wait, in the order of their calls: an OrderedDict, since both its first and any
        # other leave it in constant time. And those for whom a message at the head is reserved.
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._served: set[Waiter] = set()
        self._listeners: list[Listener] = []
        self._error_listeners: list[Listener] = []
        self._reader: CallSink | None = None
        self._dispatching = 0
        self._slice_start = 0.0
        self._expected_count: int | None = None
        self._on_consumed: Callable[[], None] | None = None  # while the sender wants to know

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
        buffer = self._buffer
        if not buffer or self._waiters or self._served:
            while (
                waiter := self._enqueue_waiter()
            ) is not None:  # inlined from `_wait`: saves a call for each message
                try:
                    await waiter
                except BaseException:
                    self._release_reservation(waiter)
                    raise
                if self._dequeue_waiter(waiter):
                    break
        elif self._slice_expired():
            await self._yield_to_loop()
        if self._events:
            self._events.popleft()
        message = buffer.popleft()
        if self._on_consumed is not None:
            self._on_consumed()
        return message

    async def receive_event(self) -> MessageEvent:
        """Wait for the next message and take it with its event, as `receive` does."""
        self._use_events()
        if not self._buffer or self._waiters or self._served:
            await self._wait()
        elif self._slice_expired():
            await self._yield_to_loop()
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
        if self._end_error is None:
            while self._endpoint.queued() and (batch := self._poll()):
                self._store(*batch)
        if self._served:  # these stay, and the others no longer stand behind them
            self._use_events()
        taken = [self._buffer.pop() for _ in range(len(self._buffer) - len(self._served))]
        if self._events is not None:
            for _ in taken:
                self._events.pop()
        if self._on_consumed is not None:
            self._on_consumed()
        return taken[::-1]

    @property
    def buffered(self) -> int:
        """How many messages came that nobody took; those in the browser's own queue not counted."""
        return len(self._buffer) + (0 if self._end_error else self._endpoint.queued())

    # For callbacks

    def on_message(self, callback: Callable[[MessageEvent], Any]) -> Listener:
        """Call back with every MessageEvent, from now on and in a later turn, until `cancel()`.

        The first listener gets what was buffered; after the last is cancelled messages are kept
        again. A coroutine function runs as a task of its own for each message. What a listener
        raises, CancelledError included, goes to the event loop's exception handler, and an exit
        goes where the loop sends exits; the next listener and the next message come all the same.

        Raises:
            TypeError: the callback can't be called.
            PortStateError: the port ended, or a `receive` waits on it.
        """
        listener = Listener(self._listeners, callback, self._on_listener_cancelled)
        if self._end_error is not None and not self._buffer:
            raise self._end_error()
        if self._waiters or self._served or self._reader is not None:
            who = "a task waits for" if self._reader is None else "remote calls read"
            raise PortStateError(f"{who} this port's messages; a listener would take them away")
        self._use_events()
        self._listeners.append(listener)
        if len(self._listeners) == 1:
            if self._end_error is None:
                self._endpoint.listen(self)
            if self._buffer:
                asyncio.get_event_loop().call_soon(self._dispatch)
        return listener

    def on_message_error(self, callback: Callable[[MessageError], Any]) -> Listener:
        """Call back with a MessageError for every message that can't be read; reading goes on.

        A message that was under way when this port was transferred may still come here (Firefox).
        It comes as a MessageError with the `data` and `ports` of the message, and isn't forwarded.

        Without such a listener the event loop's exception handler gets it.
        """
        listener = Listener(self._error_listeners, callback, lambda: None)
        self._error_listeners.append(listener)
        return listener

    def _on_listener_cancelled(self) -> None:
        if not self._listeners and self._end_error is None:
            self._endpoint.disarm()

    # Arrival

    def _store_batch(
        self, messages: list[Any], events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """Store what the endpoint brings; return what is to be called for it as the last act."""
        self._store(messages, events)
        return self._dispatch_to_listeners if self._listeners else self._serve_waiters(first=True)

    def _store_message(self, message: Any) -> Callable[[], None] | None:
        """Do the same for one message without its event, for which mostly one task waits."""
        waiters, buffer = self._waiters, self._buffer
        if (
            len(waiters) != 1
            or buffer
            or self._events is not None
            or self._expected_count is not None
        ):
            return self._store_batch([message], None)
        waiter = next(iter(waiters))
        if waiter.done():
            return self._store_batch([message], None)
        del waiters[waiter]
        buffer.append(message)
        self._served.add(waiter)
        self._received_count += 1
        waiter.served = True
        return waiter.wake_now

    def _has_buffered(self) -> bool:
        """Return True if there are messages that nobody took."""
        return bool(self._buffer)

    def _store(self, messages: list[Any], events: Sequence[Any] | None) -> None:
        notices: list[Notice] = []
        if self._events is not None or Notice in map(type, messages):
            count = len(messages)
            if self._events is None:
                held = range(-count - len(self._buffer), -count)
                self._events = deque(self._endpoint.event(None, i) for i in held)
            natives = [
                self._endpoint.event(None if events is None else events[i], i - count)
                for i in range(count)
            ]
            notices = [message for message in messages if type(message) is Notice]
            if notices:
                _number(messages, self._received_count)
                for native, message in zip(natives, messages, strict=True):
                    if type(message) is Notice and message.error is not None:
                        message.attachments = (*message.attachments, *native.ports)
                natives = [
                    native
                    for native, message in zip(natives, messages, strict=True)
                    if type(message) is not Notice
                ]
                messages = [message for message in messages if type(message) is not Notice]
            self._events.extend(natives)
        self._buffer.extend(messages)
        self._received_count += len(messages) + sum(
            notice.kind == "messageerror" for notice in notices
        )
        if notices:
            self._handle_notices(notices)

    def _use_events(self) -> None:
        """Keep the events of messages from now on, and fetch those of what is buffered."""
        if self._events is None:
            held = range(-len(self._buffer), 0)
            self._events = deque(self._endpoint.event(None, i) for i in held)

    def _handle_notices(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if notice.kind == "messageerror":
                error = message_error(notice)
                for item in notice.attachments:
                    if isinstance(item, Receiver):
                        cast("Any", item).close()  # a port that nobody else can have
                self._report_error(error)

    def _report_error(self, error: MessageError) -> None:
        if self._error_listeners:
            call_listeners(self._error_listeners, error)
        else:
            report(str(error), error)

    def _pop_event(self) -> MessageEvent:
        natives = cast(
            "deque[NativeEvent]", self._events
        )  # since whoever comes here called _use_events
        event = MessageEvent(self._buffer.popleft(), natives.popleft())
        if self._on_consumed is not None:
            self._on_consumed()
        return event

    def _dispatch_to_listeners(self) -> None:
        """Call the listeners, at the top of the browser's loop."""
        loop = asyncio.get_event_loop()
        if prepare_task_entry(loop):
            self._dispatch()
        else:
            loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatching += 1
        try:
            while self._buffer and self._listeners:
                call_listeners(self._listeners, self._pop_event())
        finally:
            self._dispatching -= 1
        if self._end_error is not None:
            self._listeners.clear()

    def _serve_waiters(self, *, first: bool = False) -> Callable[[], None] | None:
        """Reserve what is buffered for those who wait, in their order, and wake them.

        Args:
            first: a native message brought it, so that the first of them can be stepped directly.

        Returns:
            What steps the first, where that is possible.
        """
        step = None
        while (waiter := self._first()) is not None and len(self._served) < len(self._buffer):
            del self._waiters[waiter]
            waiter.served = True
            if first and not self._served:
                step = waiter.wake_now
            else:
                waiter.wake_soon()
            self._served.add(waiter)
        if waiter is not None and self._end_error is None:
            self._poll_and_serve()
        return step

    def _first(self) -> Waiter | None:
        """Return who has waited longest and still does; those who do not are in line no longer."""
        waiters = self._waiters
        while waiters:
            waiter = next(iter(waiters))
            if not waiter.done():
                return waiter
            del waiters[waiter]
        return None

    def _poll(self) -> Batch | None:
        mode = DATA if self._events is None else EVENT
        return self._endpoint.poll_or_arm(mode, len(self._buffer), self)

    def _poll_and_serve(self) -> None:
        """Ask the endpoint for more, since somebody waits."""
        batch = self._poll()
        if batch is not None:
            self._store(*batch)
            self._serve_waiters()

    async def _wait(self) -> None:
        """Return when the head of the buffer belongs to this task."""
        while (waiter := self._enqueue_waiter()) is not None:
            if await self._wait_in_line(waiter):
                return

    def _enqueue_waiter(self) -> Waiter | None:
        """Give what to await, in the line; None if the head of the buffer is there to be taken."""
        if self._listeners:
            raise PortStateError("a listener reads this port; cancel it before receiving")
        if self._reader is not None:
            raise PortStateError("remote calls read this port's messages")
        alone = not self._waiters and not self._served
        if alone:
            while not self._buffer and self._end_error is None:
                batch = self._poll()
                if batch is None:
                    break
                self._store(*batch)
            if self._buffer:
                self._slice_start = self._slice_start or monotonic()
                return None
        if self._end_error is not None and len(self._buffer) <= len(self._served):
            raise self._end_error()
        waiter = Waiter(asyncio.get_running_loop())
        self._waiters[waiter] = None
        if self._end_error is not None or not alone:
            self._serve_waiters()
        return waiter

    async def _wait_in_line(self, waiter: Waiter) -> bool:
        """Wait in the line; say whether the head of the buffer belongs to this task now."""
        try:
            await waiter
        except BaseException:
            self._release_reservation(waiter)
            raise
        return self._dequeue_waiter(waiter)

    def _dequeue_waiter(self, waiter: Waiter) -> bool:
        """Leave the line; say whether the head of the buffer belongs to this task now."""
        if not waiter.served:
            self._waiters.pop(waiter, None)
            return False
        self._served.remove(waiter)
        # Asking for the time is dear; mostly there is nothing that could take a while.
        self._slice_start = monotonic() if len(self._buffer) > 1 else 0.0
        return True

    def _release_reservation(self, waiter: Waiter) -> None:
        """Pass on what was reserved for a wait that was cancelled."""
        self._waiters.pop(waiter, None)
        if waiter.served:
            self._served.remove(waiter)
            self._serve_waiters()
        if self._end_error is None and not self._listeners and self._first() is None:
            self._endpoint.disarm()

    def _slice_expired(self) -> bool:
        """Return True if what is buffered has been taken for long, without a turn for others."""
        now = monotonic()
        if self._slice_start == 0.0:
            self._slice_start = now
        return now - self._slice_start > TIME_SLICE

    async def _yield_to_loop(self) -> None:
        """Let the page breathe; the message stays where it is meanwhile."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop)
        self._waiters[waiter] = None  # nobody who asks later gets it first
        loop.call_soon(self._serve_waiters)
        if not await self._wait_in_line(waiter):
            await self._wait()

    # The end

    def _mark_closed(self, end: Callable[[], Exception], *, drop: bool) -> None:
        """End: whoever waits for more than what is buffered is woken, in a later turn."""
        self._end_error = end
        if drop:
            self._buffer.clear()
            self._events = None
        if not self._buffer:  # else once they have it
            self._listeners.clear()
        for waiter in (*self._served, *self._waiters):
            if drop:
                waiter.served = False
            if not waiter.done():
                waiter.wake_soon()
        if drop:
            self._served.clear()


def _number(messages: Sequence[Any], before: int) -> None:
    """Tell the notices among messages which message of the port each of them stands for."""
    for message in messages:
        if type(message) is not Notice:
            before += 1
        elif message.kind == "messageerror":
            before += 1
            message.number = before

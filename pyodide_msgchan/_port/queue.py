"""Receiving: the buffer of a port, and the tasks and listeners that consume its messages."""

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
"""Seconds that a task may consume buffered messages before timers and painting run."""


class Receiver:
    """Receives messages from an endpoint, and delivers them in order to tasks or listeners."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._end_error: Callable[[], Exception] | None = None
        self._buffer: deque[Any] = deque()
        self._events: deque[NativeEvent] | None = None
        self._received_count = 0
        # The waiters in the order of their calls. An OrderedDict removes its first entry and any
        # other in constant time.
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        # The waiters for which a message at the head of the buffer is reserved.
        # The waiters for which a message at the head of the buffer is reserved.
        self._served: set[Waiter] = set()
        self._listeners: list[Listener] = []
        self._error_listeners: list[Listener] = []
        self._reader: CallSink | None = None
        self._dispatching = 0
        self._slice_start = 0.0
        self._expected_count: int | None = None
        self._on_consumed: Callable[[], None] | None = (
            None  # set while the sender uses flow control
        )

    # For tasks

    async def receive(self) -> Any:
        """Wait for the next message and return it.

        Cancelling this call, or a timeout around it, loses no message: a message is consumed only
        when `receive` returns. Cancelling a `gather` of several calls drops the results of those
        that had already returned.

        Returns:
            The message, as Python values.

        Raises:
            PortStateError: a listener or a remote call reads this port.
            PortClosedError: this side closed the port.
            PeerClosedError: the other side closed its port, and all its messages were consumed.
            PortDetachedError: the port was transferred.
            PeerLostError: the other side vanished.
        """
        buffer = self._buffer
        if not buffer or self._waiters or self._served:
            # Inlined from `_wait`: saves a call for each message.
            while (waiter := self._enqueue_waiter()) is not None:
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
        """Wait for the next message and return it as a `MessageEvent`.

        Raises the same errors as `receive`; cancelling this call loses no message.
        """
        self._use_events()
        if not self._buffer or self._waiters or self._served:
            await self._wait()
        elif self._slice_expired():
            await self._yield_to_loop()
        return self._pop_event()

    def __aiter__(self) -> Self:
        """Iterate over the messages until either side closes the channel."""
        return self

    async def __anext__(self) -> Any:
        """Return the next message; the iteration ends when either side has closed the channel."""
        try:
            return await self.receive()
        except PortClosedError:
            raise StopAsyncIteration from None

    async def events(self) -> AsyncIterator[MessageEvent]:
        """Iterate over the messages as `MessageEvent` until either side closes the channel.

        Cancelling it loses no message. It raises PeerLostError if the other side vanished, and
        PortDetachedError if the port was transferred.
        """
        while True:
            try:
                event = await self.receive_event()
            except PortClosedError:
                return
            yield event

    def take_buffered(self) -> list[Any]:
        """Consume and return all buffered messages, without waiting.

        A port with buffered messages can't be transferred; this empties the buffer first. Messages
        that a pending `receive` is about to return are left out, and so are messages that are
        still in the browser's own queue.

        Returns:
            The messages in their order; an empty list if there are none.
        """
        if self._end_error is None:
            while self._endpoint.queued() and (batch := self._poll()):
                self._store(*batch)
        if self._served:  # the reserved messages stay, so their events must stay with them
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
        """The number of received messages that were not consumed.

        Messages that are still in the browser's own queue are not counted.
        """
        return len(self._buffer) + (0 if self._end_error else self._endpoint.queued())

    # For callbacks

    def on_message(self, callback: Callable[[MessageEvent], Any]) -> Listener:
        """Call a function with each message from now on, until `Listener.cancel()`.

        The first listener is also called with the buffered messages, in a later turn of the event
        loop. When the last listener is cancelled, messages are buffered again. An exception in a
        listener, CancelledError included, goes to the event loop's exception handler; SystemExit
        and KeyboardInterrupt go where the loop sends exits. Neither stops the other listeners or
        the next message.

        Args:
            callback: called with a `MessageEvent`. If it is a coroutine function, each call runs
                as a task.

        Returns:
            The listener, whose `cancel()` stops the calls.

        Raises:
            TypeError: the callback is not callable.
            PortStateError: the port has ended, a task waits in `receive`, or remote calls read it.
        """
        listener = Listener(self._listeners, callback, self._on_listener_cancelled)
        if self._end_error is not None and not self._buffer:
            raise self._end_error()
        if self._waiters or self._served or self._reader is not None:
            reader = "a task waits for" if self._reader is None else "remote calls read"
            raise PortStateError(f"{reader} this port's messages; a listener would take them away")
        self._use_events()
        self._listeners.append(listener)
        if len(self._listeners) == 1:
            if self._end_error is None:
                self._endpoint.listen(self)
            if self._buffer:
                asyncio.get_event_loop().call_soon(self._dispatch)
        return listener

    def on_message_error(self, callback: Callable[[MessageError], Any]) -> Listener:
        """Call a function with a `MessageError` for each message that can't be read.

        Receiving goes on with the next message. Without such a listener the error goes to the
        event loop's exception handler.

        In Firefox a message that was on its way when this port was transferred may still arrive
        here. It is reported as a MessageError with its `data` and `ports`, and not forwarded.

        Args:
            callback: called with the `MessageError`. If it is a coroutine function, each call runs
                as a task.

        Returns:
            The listener, whose `cancel()` stops the calls.

        Raises:
            TypeError: the callback is not callable.
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
        """Store messages; return the step that delivers them, which must be called last."""
        self._store(messages, events)
        return self._dispatch_to_listeners if self._listeners else self._serve_waiters(first=True)

    def _store_message(self, message: Any) -> Callable[[], None] | None:
        """Store one message without its event; usually exactly one task waits for it."""
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
        """Return True if the buffer holds messages."""
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
                _number_notices(messages, self._received_count)
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
                        cast(
                            "Any", item
                        ).close()  # a port that arrived with it, which nobody else can close
                self._report_error(error)

    def _report_error(self, error: MessageError) -> None:
        if self._error_listeners:
            call_listeners(self._error_listeners, error)
        else:
            report(str(error), error)

    def _pop_event(self) -> MessageEvent:
        # Every caller has called `_use_events` before.
        natives = cast("deque[NativeEvent]", self._events)
        event = MessageEvent(self._buffer.popleft(), natives.popleft())
        if self._on_consumed is not None:
            self._on_consumed()
        return event

    def _dispatch_to_listeners(self) -> None:
        """Call the listeners now if tasks can run here, else in a later turn of the loop."""
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
        """Reserve buffered messages for the waiters, in their order, and wake them.

        Args:
            first: True if a native message has just arrived, so that the first waiter's task can
                be stepped directly.

        Returns:
            The function that steps the first waiter's task, if `first` and one was served.
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
        """Return the waiter that has waited longest; remove those that are done."""
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
        """Ask the endpoint for more messages, because a task waits."""
        batch = self._poll()
        if batch is not None:
            self._store(*batch)
            self._serve_waiters()

    async def _wait(self) -> None:
        """Return when the message at the head of the buffer is reserved for this task."""
        while (waiter := self._enqueue_waiter()) is not None:
            if await self._wait_in_line(waiter):
                return

    def _enqueue_waiter(self) -> Waiter | None:
        """Return a waiter to await; None if the head of the buffer can be consumed at once."""
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
        """Await a waiter; return True if the head of the buffer is reserved for this task."""
        try:
            await waiter
        except BaseException:
            self._release_reservation(waiter)
            raise
        return self._dequeue_waiter(waiter)

    def _dequeue_waiter(self, waiter: Waiter) -> bool:
        """Remove a woken waiter; return True if the head of the buffer is reserved for it."""
        if not waiter.served:
            self._waiters.pop(waiter, None)
            return False
        self._served.remove(waiter)
        # Reading the clock costs more than the rest; with one message no slice can expire.
        self._slice_start = monotonic() if len(self._buffer) > 1 else 0.0
        return True

    def _release_reservation(self, waiter: Waiter) -> None:
        """Serve the next waiter with the message that was reserved for a cancelled one."""
        self._waiters.pop(waiter, None)
        if waiter.served:
            self._served.remove(waiter)
            self._serve_waiters()
        if self._end_error is None and not self._listeners and self._first() is None:
            self._endpoint.disarm()

    def _slice_expired(self) -> bool:
        """Return True if buffered messages were consumed for a whole time slice."""
        now = monotonic()
        if self._slice_start == 0.0:
            self._slice_start = now
        return now - self._slice_start > TIME_SLICE

    async def _yield_to_loop(self) -> None:
        """Let timers and painting run before the next message is consumed."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop)
        self._waiters[waiter] = None  # keeps this task first in line
        loop.call_soon(self._serve_waiters)
        if not await self._wait_in_line(waiter):
            await self._wait()

    # The end

    def _mark_closed(self, end: Callable[[], Exception], *, drop: bool) -> None:
        """Record the end, and wake every waiter in a later turn of the loop.

        Args:
            end: returns the error that receiving raises from now on.
            drop: True to discard the buffered messages; else they can still be consumed.
        """
        self._end_error = end
        if drop:
            self._buffer.clear()
            self._events = None
        if not self._buffer:  # else `_dispatch` does it after the last message
            self._listeners.clear()
        for waiter in (*self._served, *self._waiters):
            if drop:
                waiter.served = False
            if not waiter.done():
                waiter.wake_soon()
        if drop:
            self._served.clear()


def _number_notices(messages: Sequence[Any], count: int) -> None:
    """Set the number of each unreadable message, among all that the port has received.

    Args:
        messages: the messages and notices that arrived.
        count: the number of messages that were received before.
    """
    for message in messages:
        if type(message) is not Notice:
            count += 1
        elif message.kind == "messageerror":
            count += 1
            message.number = count

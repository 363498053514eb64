"""`MessageQueue`: the buffer of received messages, and the tasks and listeners that empty it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, final

from pyodide_msgchan._bridge.callbacks import report
from pyodide_msgchan._bridge.event_loop import prepare_task_entry
from pyodide_msgchan._interfaces import (
    DATA,
    EVENT,
    Batch,
    CallSink,
    Endpoint,
    NativeEvent,
    Notice,
)
from pyodide_msgchan._port.events import Listener, MessageEvent, call_listeners
from pyodide_msgchan._port.unreadable import close_ports, message_error
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan.errors import MessageError, PortStateError

__all__ = ["MessageQueue"]


TIME_SLICE = 0.008
"""Seconds that a task may consume buffered messages before timers and painting run."""


@final
class MessageQueue:
    """The sink of an endpoint: it keeps the messages in order until somebody consumes them.

    Attributes:
        endpoint: where the messages come from.
        buffer: the messages that were received and not consumed.
        received: the number of messages received so far, including those that can't be read.
        waiters: the tasks that wait for a message, in the order of their calls.
        served: the waiters for which a message at the head of the buffer is reserved.
        listeners: the functions that are called with each message.
        error_listeners: the functions that are called for each message that can't be read.
        dispatching: how many calls of the listeners are under way.
        reader: the remote calls that get the messages instead of tasks and listeners, or None.
        end_error: returns the error that receiving raises after the last message; None before
            the end.
        on_consumed: called after messages were consumed, while the sender uses flow control.
        on_received: called after messages were received, while the peer has ended.
        on_notices: called with the notices among the messages; None for `report_unreadable`.
        holder: the object that the user holds, while listeners keep it alive.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.buffer: deque[Any] = deque()
        self.received: int = 0
        # An OrderedDict removes its first entry and any other in constant time.
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()
        self.served: set[Waiter] = set()
        self.listeners: list[Listener] = []
        self.error_listeners: list[Listener] = []
        self.dispatching: int = 0
        self.reader: CallSink | None = None
        self.end_error: Callable[[], Exception] | None = None
        self.on_consumed: Callable[[], None] | None = None
        self.on_received: Callable[[], None] | None = None
        self.on_notices: Callable[[Sequence[Notice]], None] | None = None
        self.holder: object = None
        self._events: deque[NativeEvent] | None = None
        self._slice_start = 0.0

    # Arrival

    def on_batch(
        self, messages: list[Any], events: Sequence[Any] | None
    ) -> Callable[[], None] | None:
        """Store messages; return the step that delivers them, which must be called last."""
        self._store(messages, events)
        return self._dispatch_to_listeners if self.listeners else self._serve_waiters(first=True)

    def on_message(self, message: Any) -> Callable[[], None] | None:
        """Store one message without its event; usually exactly one task waits for it."""
        waiters, buffer = self.waiters, self.buffer
        if len(waiters) != 1 or buffer or self._events is not None or self.on_received is not None:
            return self.on_batch([message], None)
        waiter = next(iter(waiters))
        if waiter.done():
            return self.on_batch([message], None)
        del waiters[waiter]
        buffer.append(message)
        self.served.add(waiter)
        self.received += 1
        waiter.served = True
        return waiter.wake_now

    def has_buffered(self) -> bool:
        """Return True if the buffer holds messages."""
        return bool(self.buffer)

    def _store(self, messages: list[Any], events: Sequence[Any] | None) -> None:
        notices: list[Notice] = []
        if self._events is not None or Notice in map(type, messages):
            messages, notices = self._store_events(messages, events)
        self.buffer.extend(messages)
        self.received += len(messages) + sum(notice.kind == "messageerror" for notice in notices)
        if notices:
            (self.on_notices or self.report_unreadable)(notices)
        if self.on_consumed is not None:  # a message that can't be read counts as consumed
            self.on_consumed()
        if self.on_received is not None:
            self.on_received()

    def _store_events(
        self, messages: list[Any], events: Sequence[Any] | None
    ) -> tuple[list[Any], list[Notice]]:
        """Store the events of messages; return the messages, and the notices among them."""
        count = len(messages)
        if self._events is None:
            held = range(-count - len(self.buffer), -count)
            self._events = deque(self.endpoint.event(None, i) for i in held)
        natives = [
            self.endpoint.event(None if events is None else events[i], i - count)
            for i in range(count)
        ]
        notices = [message for message in messages if type(message) is Notice]
        if notices:
            _number_notices(messages, self.received)
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
        return messages, notices

    def report_unreadable(self, notices: Sequence[Notice]) -> None:
        """Report every message that can't be read, and close the ports that came with it."""
        for notice in notices:
            if notice.kind == "messageerror":
                error = message_error(notice)
                close_ports(notice.attachments)
                self.report_error(error)

    def report_error(self, error: MessageError) -> None:
        """Call the listeners for messages that can't be read, or the loop's exception handler."""
        if self.error_listeners:
            call_listeners(self.error_listeners, error)
        else:
            report(str(error), error)

    # Consuming

    def keep_events(self) -> None:
        """Keep the events of messages from now on, and fetch those of what is buffered."""
        if self._events is None:
            held = range(-len(self.buffer), 0)
            self._events = deque(self.endpoint.event(None, i) for i in held)

    def drop_events(self) -> None:
        """Keep no events any more: only remote calls read the messages from now on."""
        self._events = None

    def pop(self) -> Any:
        """Consume the message at the head of the buffer."""
        if self._events:
            self._events.popleft()
        message = self.buffer.popleft()
        if self.on_consumed is not None:
            self.on_consumed()
        return message

    def pop_event(self) -> MessageEvent:
        """Consume the message at the head of the buffer, with its event.

        Every caller has called `keep_events` before.
        """
        assert self._events is not None  # noqa: S101 - for the type checker
        event = MessageEvent(self.buffer.popleft(), self._events.popleft())
        if self.on_consumed is not None:
            self.on_consumed()
        return event

    def pop_unreserved(self) -> list[Any]:
        """Consume all messages that are not reserved for a task, and those of the endpoint."""
        if self.end_error is None:
            while self.endpoint.queued() and (batch := self._poll()):
                self._store(*batch)
        if self.served:  # the reserved messages stay, so their events must stay with them
            self.keep_events()
        taken = [self.buffer.pop() for _ in range(len(self.buffer) - len(self.served))]
        if self._events is not None:
            for _ in taken:
                self._events.pop()
        if self.on_consumed is not None:
            self.on_consumed()
        return taken[::-1]

    def pop_all(self) -> list[Any]:
        """Consume all messages without their events, for remote calls."""
        messages = list(self.buffer)
        self.buffer.clear()
        self._events = None
        if self.on_consumed is not None:
            self.on_consumed()
        return messages

    def size(self) -> int:
        """Return the number of messages in the buffer, and in the endpoint's."""
        return len(self.buffer) + (0 if self.end_error else self.endpoint.queued())

    def check_unread(self) -> None:
        """Check that no task, listener or remote call reads the messages.

        Raises:
            PortStateError: one does, or the port has ended.
        """
        if self.end_error is not None and not self.buffer:
            raise self.end_error()
        if self.waiters or self.served or self.listeners or self.reader is not None:
            raise PortStateError("a task, a listener or remote calls read this port already")

    # Listeners

    def add_listener(self, callback: Callable[[MessageEvent], Any], holder: object) -> Listener:
        """Add a function that is called with each message; the arguments are described there."""
        listener = Listener(self.listeners, callback, self._on_listener_cancelled)
        if self.end_error is not None and not self.buffer:
            raise self.end_error()
        if self.waiters or self.served or self.reader is not None:
            reader = "a task waits for" if self.reader is None else "remote calls read"
            raise PortStateError(f"{reader} this port's messages; a listener would take them away")
        self.keep_events()
        self.listeners.append(listener)
        if len(self.listeners) == 1:
            if self.end_error is None:
                self.holder = holder
                self.endpoint.listen(self)
            if self.buffer:
                asyncio.get_event_loop().call_soon(self._dispatch)
        return listener

    def _on_listener_cancelled(self) -> None:
        if not self.listeners and self.end_error is None:
            self.endpoint.disarm()
            self.holder = None

    def _dispatch_to_listeners(self) -> None:
        """Call the listeners now if tasks can run here, else in a later turn of the loop."""
        loop = asyncio.get_event_loop()
        if prepare_task_entry(loop):
            self._dispatch()
        else:
            loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self.dispatching += 1
        try:
            while self.buffer and self.listeners:
                call_listeners(self.listeners, self.pop_event())
        finally:
            self.dispatching -= 1
        if self.end_error is not None:
            self.listeners.clear()

    # Waiting tasks

    def _serve_waiters(self, *, first: bool = False) -> Callable[[], None] | None:
        """Reserve buffered messages for the waiters, in their order, and wake them.

        Args:
            first: True if a native message has just arrived, so that the first waiter's task can
                be stepped directly.

        Returns:
            The function that steps the first waiter's task, if `first` and it alone was served.
        """
        direct: Waiter | None = None
        while (waiter := self._first()) is not None and len(self.served) < len(self.buffer):
            del self.waiters[waiter]
            waiter.served = True
            if first and not self.served:
                direct = waiter
            else:
                if direct is not None:  # its step may be called after this waiter's turn
                    direct.wake_soon()
                    direct = None
                waiter.wake_soon()
            self.served.add(waiter)
        if waiter is not None and self.end_error is None:
            self._poll_and_serve()
        return None if direct is None else direct.wake_now

    def _first(self) -> Waiter | None:
        """Return the waiter that has waited longest; remove those that are done."""
        waiters = self.waiters
        while waiters:
            waiter = next(iter(waiters))
            if not waiter.done():
                return waiter
            del waiters[waiter]
        return None

    def _poll(self) -> Batch | None:
        mode = DATA if self._events is None else EVENT
        return self.endpoint.poll_or_arm(mode, len(self.buffer), self)

    def _poll_and_serve(self) -> None:
        """Ask the endpoint for more messages, because a task waits."""
        batch = self._poll()
        if batch is not None:
            self._store(*batch)
            self._serve_waiters()

    async def wait(self) -> None:
        """Return when the message at the head of the buffer is reserved for this task."""
        while (waiter := self.enqueue_waiter()) is not None:
            if await self._wait_in_line(waiter):
                return

    def enqueue_waiter(self) -> Waiter | None:
        """Return a waiter to await; None if the head of the buffer can be consumed at once."""
        if self.listeners:
            raise PortStateError("a listener reads this port; cancel it before receiving")
        if self.reader is not None:
            raise PortStateError("remote calls read this port's messages")
        alone = not self.waiters and not self.served
        if alone:
            while not self.buffer and self.end_error is None:
                batch = self._poll()
                if batch is None:
                    break
                self._store(*batch)
            if self.buffer:
                self._slice_start = self._slice_start or monotonic()
                return None
        if self.end_error is not None and len(self.buffer) <= len(self.served):
            raise self.end_error()
        waiter = Waiter(asyncio.get_running_loop())
        self.waiters[waiter] = None
        if self.end_error is not None or not alone:
            self._serve_waiters()
        return waiter

    async def _wait_in_line(self, waiter: Waiter) -> bool:
        """Await a waiter; return True if the head of the buffer is reserved for this task."""
        try:
            await waiter
        except BaseException:
            self.release_reservation(waiter)
            raise
        return self.dequeue_waiter(waiter)

    def dequeue_waiter(self, waiter: Waiter) -> bool:
        """Remove a woken waiter; return True if the head of the buffer is reserved for it."""
        if not waiter.served:
            self.waiters.pop(waiter, None)
            return False
        self.served.remove(waiter)
        # Reading the clock costs more than the rest; with one message no slice can expire.
        self._slice_start = monotonic() if len(self.buffer) > 1 else 0.0
        return True

    def release_reservation(self, waiter: Waiter) -> None:
        """Serve the next waiter with the message that was reserved for a cancelled one."""
        self.waiters.pop(waiter, None)
        if waiter.served:
            self.served.remove(waiter)
            self._serve_waiters()
        if self.end_error is None and not self.listeners and self._first() is None:
            self.endpoint.disarm()

    def slice_expired(self) -> bool:
        """Return True if buffered messages were consumed for a whole time slice."""
        now = monotonic()
        if self._slice_start == 0.0:
            self._slice_start = now
        return now - self._slice_start > TIME_SLICE

    async def yield_to_loop(self) -> None:
        """Let timers and painting run before the next message is consumed."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(loop)
        self.waiters[waiter] = None  # keeps this task first in line
        loop.call_soon(self._serve_waiters)
        if not await self._wait_in_line(waiter):
            await self.wait()

    # The end

    def end(self, error: Callable[[], Exception], *, drop: bool) -> None:
        """Record the end, and wake every waiter in a later turn of the loop.

        Args:
            error: returns the error that receiving raises from now on.
            drop: True to discard the buffered messages; else they can still be consumed.
        """
        self.end_error = error
        # These refer to objects that refer to this queue, so they would keep each other alive.
        self.on_received = self.on_notices = self.holder = None
        if drop:
            self.buffer.clear()
            self._events = None
        if not self.buffer:  # else `_dispatch` does it after the last message
            self.listeners.clear()
        for waiter in (*self.served, *self.waiters):
            if drop:
                waiter.served = False
            if not waiter.done():
                waiter.wake_soon()
        if drop:
            self.served.clear()


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

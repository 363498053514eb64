"""`Receiver`: the public methods of everything that receives messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from pyodide_msgchan._port.events import Listener, MessageEvent
from pyodide_msgchan._port.queue import MessageQueue
from pyodide_msgchan.errors import MessageError, PortClosedError

__all__ = ["Receiver"]


class Receiver:
    """Receives messages, in order, by tasks or by listeners."""

    _queue: MessageQueue

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
        queue = self._queue
        if not queue.buffer or queue.waiters or queue.served:
            # Inlined from `MessageQueue.wait`: saves a call for each message.
            while (waiter := queue.enqueue_waiter()) is not None:
                try:
                    await waiter
                except BaseException:
                    queue.release_reservation(waiter)
                    raise
                if queue.dequeue_waiter(waiter):
                    break
        elif queue.slice_expired():
            await queue.yield_to_loop()
        return queue.pop()

    async def receive_event(self) -> MessageEvent:
        """Wait for the next message and return it as a `MessageEvent`.

        Raises the same errors as `receive`; cancelling this call loses no message.
        """
        queue = self._queue
        queue.keep_events()
        if not queue.buffer or queue.waiters or queue.served:
            await queue.wait()
        elif queue.slice_expired():
            await queue.yield_to_loop()
        return queue.pop_event()

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
        return self._queue.pop_unreserved()

    @property
    def buffered(self) -> int:
        """The number of received messages that were not consumed.

        Messages that are still in the browser's own queue are not counted.
        """
        return self._queue.size()

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
        return self._queue.add_listener(callback, self)

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
        listeners = self._queue.error_listeners
        listener = Listener(listeners, callback, lambda: None)
        listeners.append(listener)
        return listener

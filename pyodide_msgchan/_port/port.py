"""`MessagePort`: one end of a channel, which sends, receives, requests and can be transferred."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Self

from pyodide_msgchan._interfaces import Endpoint
from pyodide_msgchan._port.endpoint import BrowserEndpoint, adopt_port, set_port_factory
from pyodide_msgchan._port.queue import Receiver
from pyodide_msgchan._port.transfer import check_transfer
from pyodide_msgchan._port.unreadable import message_error
from pyodide_msgchan._port.waiter import Waiter, wake_together
from pyodide_msgchan.errors import (
    MessageError,
    PeerClosedError,
    PeerLostError,
    PortClosedError,
    PortDetachedError,
    PortStateError,
)

__all__ = ["MessagePort", "entangle"]


ANSWER_GRACE = 1.0
"""Seconds without an answer after which the port stops waiting for those that the peer had sent."""


REPLY_GRACE = 0.25
"""Seconds that an answer may still take after the peer closed the port, if it can't be counted."""


_STATE_NAMES: dict[object, str] = {PortDetachedError: "transferred", PortClosedError: "closed"}


_awaited_ports: set[MessagePort] = set()


class MessagePort(Receiver):
    """One end of a channel (HTML standard, 9.4.4 "Message ports").

    Messages stay in the browser's queue until the first `receive`, iteration, listener or
    `start()`. A port is read either by tasks (`receive`, ``async for``) or by listeners
    (`on_message`), not by both at the same time.

    If the other end of a bare port has left this page, nobody can tell whether it still exists,
    because no browser fires a ``close`` event. A `receive` on such a port may wait forever: use
    `asyncio.timeout`, or a `Connection`, which detects the end. If both ends are in this
    interpreter, closing one closes the other.

    Args:
        js_port: a native JavaScript MessagePort to wrap. Wrapping the same port again returns the
            same object.
        stack_switching: True to let tasks that a message wakes call `run_sync`, where the browser
            supports it; this costs 15-40 µs per message. False for the plain, faster call.

    Raises:
        TypeError: `js_port` is not a JavaScript MessagePort.
        NotInBrowserError: this Python has no JavaScript.
    """

    _peer_lost = False
    _received_answers = 0
    """The number of answers to requests that were received."""
    _expected_answers: int | None = None
    """The number of answers that the other end had sent when it closed; None if unknown."""
    _answer_count_uncertain = False
    """True if that number may include answers to cancelled requests, which never arrive here."""
    _partner: weakref.ref[MessagePort] | None = None
    _requests: set[MessagePort]
    _request_number = 0
    """On a port that receives one answer: the request's number among all messages sent."""
    _close_waiters: dict[Waiter, None]

    def __new__(cls, js_port: Any, *, stack_switching: bool = True) -> Self:
        """Return the wrapper of a native port: the existing one, or a new one."""
        return cls._from_endpoint(adopt_port(js_port, stack_switching=stack_switching))

    def __init__(self, js_port: Any = None, *, stack_switching: bool = True) -> None:
        """Change nothing: `__new__` may have returned a port that is already in use."""

    @classmethod
    def _from_endpoint(cls, endpoint: Endpoint) -> Self:
        owner = endpoint.owner
        known = None if owner is None else owner()
        if known is not None:
            return known  # type: ignore[no-any-return]
        self = super().__new__(cls)
        Receiver.__init__(self, endpoint)
        endpoint.owner = weakref.ref(self)
        self._requests = set()
        self._close_waiters = {}
        return self

    @property
    def js(self) -> Any:
        """The native port as a JsProxy.

        Messages that JavaScript posts on it count as sent by this port.

        Raises:
            PortStateError: the port was closed or transferred.
        """
        if self._end_error is not None:
            raise self._end_error()
        return self._endpoint.js

    # Sending

    def post_message(self, message: Any, *, transfer: Sequence[Any] = ()) -> None:
        """Send a message, without waiting (HTML standard, 9.4.4 "Message ports").

        Args:
            message: any value listed in the README's table of values. Buffers are copied once
                out of Python's memory, and the copy is transferred; the Python object stays
                usable.
            transfer: ports, and JavaScript objects to move instead of copying them. The receiver
                finds a port in ``event.ports``, and also at its place in the message if it is
                part of it. Transfer ports before you start them: Firefox delivers messages that
                are on their way to a started port at its old place, where `on_message_error`
                reports them.

        Raises:
            DataCloneError: the message or the transfer list contains something that can't be
                sent; the error has its path. Nothing was transferred.
            PortClosedError: this side closed the port.
            PeerClosedError: the other side closed its port.
            PortDetachedError: this port, or one in the transfer list, was transferred before.
            PortStateError: a port in the transfer list holds messages that were not consumed.
        """
        if self.closed:
            raise self._closed_error()
        if transfer:
            moved = check_transfer(transfer, self)
            self._endpoint.post(message, moved)
            moved.detach_ports()
            if isinstance(moved.items[-1], MessagePort):
                # The other side counts what it posts on the transferred port as an answer.
                self._answer_count_uncertain = True
        else:
            self._endpoint.post(message, None)

    async def request(self, message: Any, *, transfer: Sequence[Any] = ()) -> Any:
        """Send a message together with a private port for one answer, and wait for the answer.

        The other side answers with ``event.reply(value)``; JavaScript posts on the last port of
        the event. Answers that the other side sent before it closed its port still arrive.
        Cancelling this call discards the answer; no other message is lost.

        If Python at the other end of a `Connection` can't read the request, this call raises
        MessageError. JavaScript, and Python at the other end of a bare port, can't report that,
        since the browser there does not say which message it was: use `asyncio.timeout` if the
        other side may be unable to read your message.

        Args:
            message: as for `post_message`.
            transfer: as for `post_message`.

        Returns:
            The answer, as Python values.

        Raises:
            MessageError: the answer can't be read here, or the other side can't read the request.
            PortClosedError: this side closed the port while waiting.
            PeerClosedError: the other side closed its port without answering.
            DataCloneError, PortStateError: as for `post_message`.
        """
        ours, theirs = (MessagePort._from_endpoint(endpoint) for endpoint in self._endpoint.pair())
        if self._endpoint.packed:
            ours._endpoint.enable_packing()
        answer_count_uncertain = self._answer_count_uncertain
        try:
            self.post_message(message, transfer=[*transfer, theirs])
            self._answer_count_uncertain = answer_count_uncertain
        except BaseException:
            theirs.close()
            ours.close()
            raise
        ours._request_number = self._endpoint.sent()
        self._requests.add(ours)
        try:
            return await ours.receive()
        finally:
            self._requests.discard(ours)
            if ours._received_count:
                self._received_answers += 1
            else:
                self._answer_count_uncertain = True
            ours.close()
            if self._end_error is not None and self._has_answers():
                self._give_up_requests()

    # The end

    def start(self) -> None:
        """Move messages from the browser's queue into the buffer from now on.

        Receiving and listening start a port as well, so this is rarely needed.

        Raises:
            PortClosedError: this side closed the port.
            PeerClosedError: the other side closed its port.
            PortDetachedError: the port was transferred.
        """
        if self._end_error is not None:
            raise self._end_error()
        self._endpoint.start()

    def close(self) -> None:
        """Close the channel from this side, without waiting. Closing twice is no error.

        Buffered messages are dropped, iterations end, and pending `receive` and `request` calls
        raise PortClosedError. Messages that were sent before are still delivered, with one
        exception: Firefox loses them if the other end of a bare channel is being transferred at
        this moment. A `Connection` waits for the transfer first.
        """
        if self._end_error is not None:
            return
        partner, sent = self._local_partner(), self._endpoint.sent()
        answers = None if partner is None else self._endpoint.answers()
        self._mark_closed(PortClosedError, drop=True)
        self._close_endpoint()
        if partner is not None:
            partner._peer_ended(sent, lost=False, answers=answers)

    @property
    def closed(self) -> bool:
        """True if nothing can be sent any more: either side closed it, or it was transferred."""
        return self._end_error is not None or self._expected_count is not None

    async def wait_closed(self) -> None:
        """Wait until either side closes the port, or it is transferred.

        Cancelling this call has no effect on the port.
        """
        if not self.closed:
            await self._wait_or_closed(Waiter(asyncio.get_running_loop()))

    async def _wait_or_closed(self, waiter: Waiter) -> None:
        """Wait until the waiter is woken, or the port is closed or transferred."""
        self._close_waiters[waiter] = None
        _awaited_ports.add(self)
        try:
            await waiter
        finally:
            self._close_waiters.pop(waiter, None)
            if not self._close_waiters:
                _awaited_ports.discard(self)

    async def __aenter__(self) -> Self:
        """Return the port itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the port."""
        self.close()

    def __del__(self) -> None:
        """Warn that the port was not closed, and release the native port."""
        if getattr(self, "_end_error", self) is not None:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        with contextlib.suppress(Exception):  # the interpreter may be shutting down
            self._finalize()

    def _finalize(self) -> None:
        """Close the native port, or only release it if JavaScript may still use it."""
        if not self._endpoint.private:
            self._endpoint.release()
            return
        partner, sent = self._local_partner(), self._endpoint.sent()
        answers = None if partner is None else self._endpoint.answers()
        self._close_endpoint()
        if partner is not None:
            partner._peer_ended(sent, lost=True, answers=answers)

    def __repr__(self) -> str:
        """Return the state of the port and the number of buffered messages."""
        if self._end_error is not None:
            state = _STATE_NAMES.get(self._end_error, "ended")
        else:
            state = "open" if self._expected_count is None else "peer gone"
        return f"<MessagePort {state}{f', {len(self._buffer)} buffered' if self._buffer else ''}>"

    def _local_partner(self) -> MessagePort | None:
        """Return the other end if it is in this interpreter, else None."""
        return None if self._partner is None else self._partner()

    def _close_endpoint(self) -> None:
        """Close the native port."""
        self._endpoint.close()

    def _peer_end_error(self) -> PortStateError:
        return PeerLostError() if self._peer_lost else PeerClosedError()

    def _mark_closed(self, end: Callable[[], Exception], *, drop: bool) -> None:
        """Mark this side as closed, and wake every pending call."""
        super()._mark_closed(end, drop=drop)
        if self._reader is not None and not self._buffer:  # else once they are consumed
            reader, self._reader = self._reader, None
            reader.on_end(end)
        for waiter in self._close_waiters:
            if not waiter.done():
                waiter.wake_soon()
        for port in tuple(self._requests):
            port._mark_closed(end, drop=False)
            port._endpoint.close()

    def _peer_ended(self, sent: int, *, lost: bool, answers: int | None = None) -> None:
        """Record that the other end has ended; the messages that it had sent are delivered first.

        Args:
            sent: the number of messages that the other end had sent.
            lost: True if the other end vanished, False if it was closed.
            answers: the number of requests that it has answered, if that is known.
        """
        if self._end_error is not None or self._expected_count is not None:
            return
        self._expected_count, self._peer_lost, self._expected_answers = sent, lost, answers
        for waiter in self._close_waiters:
            if not waiter.done():
                waiter.wake_soon()
        self._check_end()

    def _closed_error(self) -> Exception:
        """Return the error that using this closed port raises."""
        return self._peer_end_error() if self._end_error is None else self._end_error()

    def _count_received(self) -> None:
        """Count a message that was received without passing through the buffer."""
        self._received_count += 1
        if self._on_consumed is not None:
            self._on_consumed()
        if self._expected_count is not None:
            self._check_end()

    def _check_end(self) -> None:
        if (
            self._end_error is not None
            or self._expected_count is None
            or self._received_count < self._expected_count
        ):
            return
        self._use_events()
        requests, self._requests = self._requests, set()
        self._mark_closed(self._peer_end_error, drop=False)
        self._close_endpoint()
        if requests:  # an answer may have been sent before the end, on its own channel
            self._requests = requests
            self._await_answers(-1)

    def _has_answers(self) -> bool:
        """Return True if all answers that the other side had sent were received."""
        return (
            self._expected_answers is not None and self._received_answers >= self._expected_answers
        )

    def _await_answers(self, previous: int) -> None:
        """End the open requests once all answers were received, or none arrived for a while."""
        if self._has_answers() or self._received_answers == previous:
            self._give_up_requests()
            return
        certain = self._expected_answers is not None and not self._answer_count_uncertain
        grace = ANSWER_GRACE if certain else REPLY_GRACE
        asyncio.get_event_loop().call_later(grace, self._await_answers, self._received_answers)

    def _give_up_requests(self) -> None:
        ports = [port for port in self._requests if port._end_error is None]
        wake_together([waiter for port in ports if not port._buffer for waiter in port._waiters])
        for port in ports:
            port._mark_closed(self._peer_end_error, drop=False)
            port._endpoint.close()

    def _store(self, messages: list[Any], events: Sequence[Any] | None) -> None:
        super()._store(messages, events)
        if self._on_consumed is not None:  # a message that can't be read counts as consumed
            self._on_consumed()
        if self._expected_count is not None:
            self._check_end()

    def _handle_notices(self, notices: Sequence[Any]) -> None:
        if self._request_number:  # this port receives one answer, and one task waits for it
            for notice in notices:
                if notice.kind == "messageerror":
                    self._fail_answer(message_error(notice))
            return
        super()._handle_notices(notices)
        if any(notice.kind == "close" for notice in notices):
            asyncio.get_event_loop().call_soon(self._on_native_close)

    def _fail_answer(self, error: MessageError) -> None:
        """Let the request that waits on this port raise an error."""
        if self._end_error is None:
            self._mark_closed(lambda: error, drop=False)
            self._endpoint.close()

    def _on_native_close(self) -> None:
        """End this port on the browser's own `close` event, which comes after all messages."""
        self._peer_ended(self._received_count, lost=False)

    def _detach(self) -> None:
        """Mark this port as transferred: its native port lives on elsewhere."""
        partner = self._local_partner()
        if partner is not None:
            partner._partner = None
        self._mark_closed(PortDetachedError, drop=True)
        self._endpoint.detach()


def entangle(first: MessagePort, second: MessagePort) -> None:
    """Record that two ports are the ends of one channel in this interpreter."""
    first._partner, second._partner = weakref.ref(second), weakref.ref(first)


def _wrap(endpoint: BrowserEndpoint) -> MessagePort:
    return MessagePort._from_endpoint(endpoint)


set_port_factory(_wrap)

"""The port: one end of a channel, for sending, receiving, requesting and passing on."""

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
"""Seconds without an answer after which the rest of those that the peer had sent is given up."""


REPLY_GRACE = 0.25
"""Seconds that an answer may still take after the port of its request was closed by the peer."""


_STATE_NAMES: dict[object, str] = {PortDetachedError: "transferred", PortClosedError: "closed"}


_awaited_ports: set[MessagePort] = set()


class MessagePort(Receiver):
    """One end of a channel (HTML standard, 9.4.4 "Message ports").

    A port takes nothing out of the browser's queue before somebody asks: the first `receive`,
    iteration, listener or `start()`. It is read by tasks (`receive`, ``async for``) or by
    listeners (`on_message`), not by both at once.

    On a bare port whose other end left this page nobody can tell whether that end still exists:
    no browser fires a ``close`` event. A `receive` there may wait for ever; use
    `asyncio.timeout`, or a `Connection`, which knows. Two ends in one interpreter end together.

    Args:
        js_port: a native JavaScript MessagePort to adopt. Adopting it again gives the same object.
        stack_switching: enter Python so that woken tasks may call `run_sync`, where the browser
            can (15-40 µs a message); False for the plain, faster call.

    Raises:
        TypeError: `js_port` is no native port.
        NotInBrowserError: there is no JavaScript here.
    """

    _peer_lost = False
    _received_answers = 0
    """Answers to requests that came."""
    _expected_answers: int | None = None
    """How many the other side had sent at its end; None where that is not known."""
    _answer_count_uncertain = False
    """Whether it may count answers that never come here: to requests that were given up."""
    _partner: weakref.ref[MessagePort] | None = None
    _requests: set[MessagePort]
    _request_number = 0
    """On the port of an answer: the number of the request, among all messages of its port."""
    _close_waiters: dict[Waiter, None]

    def __new__(cls, js_port: Any, *, stack_switching: bool = True) -> Self:
        """Return the wrapper of a native port: the one it has, or a new one."""
        return cls._from_endpoint(adopt_port(js_port, stack_switching=stack_switching))

    def __init__(self, js_port: Any = None, *, stack_switching: bool = True) -> None:
        """Leave everything as `__new__` made it: the port may be in use already."""

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
        """The native port. Messages that JavaScript posts on it are counted as this port's own.

        Raises:
            PortStateError: the port was closed or transferred.
        """
        if self._end_error is not None:
            raise self._end_error()
        return self._endpoint.js

    # Sending

    def post_message(self, message: Any, *, transfer: Sequence[Any] = ()) -> None:
        """Send a message; never waits.

        Args:
            message: any value of the table in the README. Buffers are copied out of Python's
                memory once, and that copy is moved; the Python object stays usable.
            transfer: ports, and JavaScript objects to move instead of copying them. A port that
                is also part of the message arrives there. Transfer ports before you start them:
                Firefox delivers what is under way to a started port at its old place, where it
                goes to `on_message_error`.

        Raises:
            DataCloneError: something in it can't be sent; the error says where. Nothing was moved.
            PortClosedError: this side closed the port.
            PeerClosedError: the other side did.
            PortDetachedError: this port, or one in the list, was transferred before.
            PortStateError: a port in the list holds messages that nobody took.
        """
        if self.closed:
            raise self._closed_error()
        if transfer:
            moved = check_transfer(transfer, self)
            self._endpoint.post(message, moved)
            moved.detach_ports()
            if isinstance(moved.items[-1], MessagePort):
                self._answer_count_uncertain = (
                    True  # what is posted on that counts as an answer over there
                )
        else:
            self._endpoint.post(message, None)

    async def request(self, message: Any, *, transfer: Sequence[Any] = ()) -> Any:
        """Send a message with a private channel for one answer, and wait for it.

        The other side answers with ``event.reply(value)``; JavaScript posts on the last port of
        the event. Cancelling gives the answer up: it goes nowhere, quietly. When the other side
        closes, answers that it had sent before still come.

        A Python at the other end of a `Connection` tells of a request that it can't read. From
        JavaScript, or on a bare port, nothing comes then: the browser there tells nobody which
        message it was. Use `asyncio.timeout` where you send what another page may refuse.

        Raises:
            MessageError: the answer can't be read here, or the request over there.
            PortClosedError: this side closed the port meanwhile.
            PeerClosedError: the other side did, without an answer.
            DataCloneError, PortStateError: as `post_message`.
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
        """Take messages out of the browser's queue from now on, and keep them until asked for."""
        if self._end_error is not None:
            raise self._end_error()
        self._endpoint.start()

    def close(self) -> None:
        """End the channel from this side, at once. Doing it twice is no error.

        Messages that nobody took are dropped; iteration ends, whoever waits gets PortClosedError.
        What was sent before is delivered, with one exception: if the other end of a bare channel
        is being transferred at this moment, Firefox loses it. A `Connection` waits for that.
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
        """Whether nothing can be sent any more: closed by either side, or transferred."""
        return self._end_error is not None or self._expected_count is not None

    async def wait_closed(self) -> None:
        """Wait until the port is closed by either side, or transferred."""
        if not self.closed:
            await self._wait_or_closed(Waiter(asyncio.get_running_loop()))

    async def _wait_or_closed(self, waiter: Waiter) -> None:
        """Wait until it is woken, or the port is closed or transferred."""
        self._close_waiters[waiter] = None
        _awaited_ports.add(self)
        try:
            await waiter
        finally:
            self._close_waiters.pop(waiter, None)
            if not self._close_waiters:
                _awaited_ports.discard(self)

    async def __aenter__(self) -> Self:
        """Enter with the port itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Warn of a port that nobody closed, and let go of the native one."""
        if getattr(self, "_end_error", self) is not None:
            return
        warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
        with contextlib.suppress(Exception):  # the interpreter may be on its way out
            self._finalize()

    def _finalize(self) -> None:
        """Release the native port, which somebody else may still have."""
        if not self._endpoint.private:
            self._endpoint.release()
            return
        partner, sent = self._local_partner(), self._endpoint.sent()
        answers = None if partner is None else self._endpoint.answers()
        self._close_endpoint()
        if partner is not None:
            partner._peer_ended(sent, lost=True, answers=answers)

    def __repr__(self) -> str:
        """Say in which state it is."""
        if self._end_error is not None:
            state = _STATE_NAMES.get(self._end_error, "ended")
        else:
            state = "open" if self._expected_count is None else "peer gone"
        return f"<MessagePort {state}{f', {len(self._buffer)} buffered' if self._buffer else ''}>"

    def _local_partner(self) -> MessagePort | None:
        """Return the other end, where it is known and lives in this interpreter."""
        return None if self._partner is None else self._partner()

    def _close_endpoint(self) -> None:
        """Close the native port."""
        self._endpoint.close()

    def _peer_end_error(self) -> PortStateError:
        return PeerLostError() if self._peer_lost else PeerClosedError()

    def _mark_closed(self, end: Callable[[], Exception], *, drop: bool) -> None:
        """Be over on this side: everybody who waits for anything learns of it."""
        super()._mark_closed(end, drop=drop)
        if self._reader is not None and not self._buffer:  # else once they have it
            reader, self._reader = self._reader, None
            reader.on_end(end)
        for waiter in self._close_waiters:
            if not waiter.done():
                waiter.wake_soon()
        for port in tuple(self._requests):
            port._mark_closed(end, drop=False)
            port._endpoint.close()

    def _peer_ended(self, sent: int, *, lost: bool, answers: int | None = None) -> None:
        """Note that the other end is gone, having sent so many; they are delivered first.

        Args:
            sent: messages.
            lost: whether it vanished, instead of being closed.
            answers: how many requests it has answered, if that is known.
        """
        if self._end_error is not None or self._expected_count is not None:
            return
        self._expected_count, self._peer_lost, self._expected_answers = sent, lost, answers
        for waiter in self._close_waiters:
            if not waiter.done():
                waiter.wake_soon()
        self._check_end()

    def _closed_error(self) -> Exception:
        """Return the error of using a port that is closed."""
        return self._peer_end_error() if self._end_error is None else self._end_error()

    def _count_received(self) -> None:
        """Note that a message was taken past the buffer."""
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
        """Return True if all answers came that the other side had sent."""
        return (
            self._expected_answers is not None and self._received_answers >= self._expected_answers
        )

    def _await_answers(self, before: int) -> None:
        """End the open requests once all answers are here, or none came for a while."""
        if self._has_answers() or self._received_answers == before:
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
        if self._on_consumed is not None:  # one that can't be read counts as taken
            self._on_consumed()
        if self._expected_count is not None:
            self._check_end()

    def _handle_notices(self, notices: Sequence[Any]) -> None:
        if self._request_number:  # this is the port of an answer, for which one task waits
            for notice in notices:
                if notice.kind == "messageerror":
                    self._fail_answer(message_error(notice))
            return
        super()._handle_notices(notices)
        if any(notice.kind == "close" for notice in notices):
            asyncio.get_event_loop().call_soon(self._on_native_close)

    def _fail_answer(self, error: MessageError) -> None:
        """End the wait for the answer that this port is for."""
        if self._end_error is None:
            self._mark_closed(lambda: error, drop=False)
            self._endpoint.close()

    def _on_native_close(self) -> None:
        """Believe the browser's own `close` event, should it ever come after all was delivered."""
        self._peer_ended(self._received_count, lost=False)

    def _detach(self) -> None:
        """Be over here, since the native port lives on elsewhere."""
        partner = self._local_partner()
        if partner is not None:
            partner._partner = None
        self._mark_closed(PortDetachedError, drop=True)
        self._endpoint.detach()


def entangle(first: MessagePort, second: MessagePort) -> None:
    """Let two ports know that they are the ends of one channel in this interpreter."""
    first._partner, second._partner = weakref.ref(second), weakref.ref(first)


def _wrap(endpoint: BrowserEndpoint) -> MessagePort:
    return MessagePort._from_endpoint(endpoint)


set_port_factory(_wrap)

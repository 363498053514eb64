"""`HandshakeDriver`: carries out a handshake's actions and delivers its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final, final

from pyodide_msgchan._connection.connection import Connection, Peer, open_connection
from pyodide_msgchan._connection.control import ControlChannel
from pyodide_msgchan._connection.environment import ChannelPair, Environment, WindowListener
from pyodide_msgchan._connection.handshake.initiator import RETRY_DELAY, Initiator
from pyodide_msgchan._connection.handshake.responder import Responder
from pyodide_msgchan._connection.options import ConnectOptions, hold_lock, would_pack
from pyodide_msgchan._connection.wire import (
    Action,
    Adopt,
    Close,
    Connected,
    Discard,
    Envelope,
    Fail,
    Offer,
    PeerInfo,
    PeerReplaced,
    Post,
    Send,
    SetTimer,
    StopTimer,
)
from pyodide_msgchan._interfaces import Notice
from pyodide_msgchan._port.waiter import Waiter, wake_all
from pyodide_msgchan.errors import HandshakeError, PortClosedError, RemoteError

__all__ = ["EarlierConnections", "HandshakeDriver"]


START_GRACE: Final = 1.0
"""Seconds to wait for a worker's hello after its script has raised an error."""


MAX_EARLY: Final = 64
"""The limit of envelopes kept until this side announces itself.

Losing one costs only time: the other side answers the announcement.
"""


@final
class EarlierConnections:
    """The connections that this page made to one place under one name.

    Of each it keeps `ChannelPair.awaits_farewell` only, which keeps nothing else alive. These
    records outlive the connections, and the channels would keep the connection and its frame.
    """

    def __init__(self) -> None:
        self._open: set[Callable[[], bool]] = set()
        self._last: tuple[Callable[[], bool], float] | None = None

    def opened(self, channels: ChannelPair) -> None:
        """Note that a connection has been opened."""
        self._open.add(channels.awaits_farewell)

    def ended(self, channels: ChannelPair) -> None:
        """Note that a connection has ended. Calling it again has no effect."""
        if channels.awaits_farewell in self._open:
            self._open.remove(channels.awaits_farewell)
            self._last = channels.awaits_farewell, asyncio.get_event_loop().time()

    def may_be_ending(self) -> bool:
        """Return True if the other side may not know yet that the last connection has ended.

        While a connection is open the answer is False: a refusal is then about that one.
        """
        if self._open or self._last is None:
            return False
        awaits_farewell, since = self._last
        return asyncio.get_event_loop().time() - since < RETRY_DELAY or awaits_farewell()

    def can_be_dropped(self) -> bool:
        """Return True if these records can't affect a later call."""
        return not self._open and not self.may_be_ending()


@final
class HandshakeDriver:
    """Runs the state machine of one `connect`, `accept` or `listen` in an environment.

    It listens from its creation on, and holds this page's Web Lock if the peer may see its release.
    A `listen` announces itself at once. For `connect` and `accept`, `next` announces this side once
    the lock is held, because the description of this side contains the lock's name. What has
    arrived until then is handled after that.

    Args:
        environment: the page or worker.
        machine: the state machine, which decides everything.
        options: the options of the connections.
        source: the only window whose messages count; None for all windows and for a worker.
        targets: the windows that announcements are posted to, or the worker.
        many: whether to continue after the first connection.
        on_stopped: called when listening has stopped.
        earlier: where an initiator records its connections.

    Attributes:
        target_gone: whether the frame was removed or the window closed.
    """

    def __init__(
        self,
        environment: Environment,
        machine: Initiator | Responder,
        options: ConnectOptions,
        *,
        source: Any,
        targets: Sequence[Any],
        many: bool,
        on_stopped: Callable[[], None] = lambda: None,
        earlier: EarlierConnections | None = None,
    ) -> None:
        self._environment = environment
        self._machine = machine
        self._options = options
        self._targets = targets
        self._source = source
        self._many = many
        self._on_stopped = on_stopped
        self._earlier = earlier
        self._loop = asyncio.get_event_loop()
        self._channels: dict[int, tuple[ChannelPair, Any]] = {}
        self._controls: dict[int, ControlChannel] = {}
        self._results: deque[Connection] = deque()
        self._failure: BaseException | None = None
        self.target_gone: bool = False
        self._waiters: dict[Waiter, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._failure_timer: asyncio.TimerHandle | None = None
        self._arriving_from: WindowListener | ChannelPair | None = None
        place = targets[0] if options.origins is None else None
        self._listener: WindowListener | None = environment.listen(
            place, source, options.origins, options.name, self._on_envelope
        )
        lock = hold_lock(environment, options)
        self._lock = None if many else lock
        self._early: deque[tuple[Any, str, Any, Any]] | None = None
        if self._lock is None:
            self._perform(machine.start())
        else:
            self._early = deque(maxlen=MAX_EARLY)

    # What connect, accept and listen call

    async def next(self, seconds: float | None) -> Connection:
        """Wait for the next connection, at most `seconds`. Cancelling loses none.

        Raises:
            HandshakeError: the handshake failed or timed out.
            PortClosedError: the driver was closed.
        """
        if seconds is not None:
            self._deadline = self._loop.call_later(seconds, self._time_out, seconds)
        try:
            if self._lock is not None:
                await self._start_with(self._lock)
            while not self._results:
                if self._failure is not None:
                    raise self._failure
                waiter = Waiter(self._loop)
                self._waiters[waiter] = None
                try:
                    await waiter
                finally:
                    del self._waiters[waiter]
        finally:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        connection = self._results.popleft()
        if self._results:
            self._wake()
        return connection

    async def _start_with(self, lock: Awaitable[Any]) -> None:
        """Announce this side once the lock is held, and handle what has arrived meanwhile."""
        await lock
        self._lock = None
        early, self._early = self._early, None
        self._perform(self._machine.start())
        for event in early or ():
            self._on_envelope(*event)

    def close(self) -> None:
        """Stop listening and close connections not yet returned; those returned stay open."""
        self._stop_listening()
        while self._results:
            self._results.popleft().close()
        self._failure = self._failure or PortClosedError()
        wake_all(self._waiters)

    def _stop_listening(self) -> None:
        """Cancel the handshake, remove the listener and stop every timer."""
        if self._listener is None:
            return
        if self._many:  # frames that came later are told of the end too
            self._targets = self._environment.owners(include_all=True)
        self._perform(self._machine.cancel())
        self._listener.close()
        self._listener = None
        self._stop_timer()
        self._stop_failure_timer()
        self._on_stopped()

    # Events

    def _on_envelope(self, fields: Any, origin: str, sender: Any, ports: Any) -> None:
        if self._early is not None:
            self._early.append((fields, origin, sender, ports))
            return
        self._arriving_from = self._listener
        if sender is None:
            sender = self._targets[0] if self._targets else None
        try:
            if isinstance(fields, Notice):
                self._on_notice(fields)
            else:
                envelope = Envelope(*fields)
                if envelope.type != "goodbye":  # a goodbye comes from an earlier listener
                    self._stop_failure_timer()
                if envelope.type == "offer":
                    envelope = envelope._replace(ports=(ports, sender))
                self._perform(self._machine.heard(envelope, origin, sender))
        finally:
            self._arriving_from = None

    def _on_notice(self, notice: Notice) -> None:
        if notice.kind == "restored":
            self._perform(self._machine.restored())
        elif self._controls or self._failure is not None:
            return  # The control channel of a connection detects its end.
        elif notice.kind == "gone":
            self.target_gone = True
            self._fail(HandshakeError("the frame was removed, or the window closed", "gone"))
        elif notice.kind == "failed" and isinstance(notice.error, RemoteError):
            # The script may continue after an error, so it has failed only if no hello follows.
            failed = partial(self._on_worker_error, notice.error)
            self._failure_timer = self._failure_timer or self._loop.call_later(START_GRACE, failed)
        elif notice.kind == "failed":
            self._fail_worker("its script could not be loaded, or is no valid script")

    def _on_worker_error(self, error: RemoteError) -> None:
        if not self._controls and self._failure is None:
            self._fail_worker(f"{error.message} ({error.stack})", error)

    def _fail_worker(self, reason: str, cause: Exception | None = None) -> None:
        failure = HandshakeError(f"the worker did not start: {reason}", "worker-failed")
        failure.__cause__ = cause
        self._fail(failure)

    def _stop_failure_timer(self) -> None:
        if self._failure_timer is not None:
            self._failure_timer.cancel()
            self._failure_timer = None

    def _on_control_message(self, attempt: int, message: Any, ports: Sequence[Any]) -> None:
        if attempt in self._controls:
            self._controls[attempt].on_message(message, ports)
        elif attempt in self._channels and isinstance(message, dict):
            self._arriving_from = self._channels[attempt][0]
            try:
                self._perform(self._machine.control(attempt, message))
            finally:
                self._arriving_from = None

    def _time_out(self, seconds: float) -> None:
        if self._listener is not None:
            for origin in self._listener.rejected():
                self._machine.rejected(origin)
        self._failure = self._machine.timeout(seconds)
        self._wake()

    def _on_peer_left(self, attempt: int) -> None:
        """Make room for the next peer; this one has left, though its messages may be unread."""
        if self._earlier is not None and attempt in self._channels:
            self._earlier.ended(self._channels[attempt][0])
        self._perform(self._machine.release(attempt))
        if not self._many:
            self._stop_listening()

    def _on_ended(self, attempt: int) -> None:
        """Remove a connection that has ended."""
        self._on_peer_left(attempt)
        self._controls.pop(attempt, None)
        self._channels.pop(attempt, None)
        wake_all(self._waiters)  # The closed channels may have had a waiter to wake.

    # Actions of the state machine

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self._HANDLERS[type(action)](self, *action)

    def _post(self, envelope: Envelope, origin: str, sender: Any) -> None:
        for target in self._targets if sender is None else (sender,):
            self._environment.announce(target, origin, envelope)

    def _offer(self, attempt: int, envelope: Envelope, origin: str, sender: Any) -> None:
        target, switching = self._target(sender), self._options.stack_switching
        channels = self._environment.offer(target, origin, envelope, stack_switching=switching)
        self._add_channels(attempt, channels, target)

    def _adopt(self, attempt: int, offered: tuple[Any, Any]) -> None:
        ports, sender = offered
        target, switching = self._target(sender), self._options.stack_switching
        channels = self._environment.adopt(ports, target, stack_switching=switching)
        if channels is not None:
            self._add_channels(attempt, channels, target)

    def _discard(self, offered: tuple[Any, Any], message: dict[str, Any] | None) -> None:
        self._environment.discard(offered[0], message)

    def _send(self, attempt: int, message: dict[str, Any]) -> None:
        if attempt in self._channels:
            self._channels[attempt][0].send(message)

    def _close(self, attempt: int) -> None:
        if attempt in self._channels:
            self._channels.pop(attempt)[0].close(goodbye=False)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._wake()

    def _set_timer(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, self._on_timer)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        self._timer = None
        self._perform(self._machine.expired())

    def _peer_replaced(self, attempt: int) -> None:
        if attempt in self._controls:
            self._controls[attempt].verify_alive()

    def _target(self, sender: Any) -> Any:
        """Return the target of the other side: the given source, which may be a frame element."""
        return sender if self._source is None else self._source

    def _add_channels(self, attempt: int, channels: ChannelPair, target: Any) -> None:
        self._channels[attempt] = channels, target
        channels.listen(partial(self._on_control_message, attempt))

    def _connected(self, attempt: int, info: PeerInfo) -> None:
        channels, target = self._channels[attempt]
        on_ended = partial(self._on_ended, attempt)
        on_peer_left = partial(self._on_peer_left, attempt)
        control = ControlChannel(
            channels, self._options.heartbeat, on_ended, on_peer_left, lock_name=info.lock or ""
        )
        if self._earlier is not None:
            self._earlier.opened(channels)
        self._controls[attempt] = control
        peer = Peer(info.origin, info.runtime, info.version, info.capabilities)
        packs = would_pack(self._environment, self._options.lane, info.origin)
        lane = "packed" if packs and "packed" in info.capabilities else "clone"
        connection = open_connection(control, peer, target, lane)
        channels.watch(info.origin, info.lock or "")
        self._results.append(connection)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if waiter.done():
                continue
            if self._arriving_from is None:
                waiter.wake_soon()
            else:
                self._arriving_from.wake(partial(_wake_waiter, waiter))
            return

    _HANDLERS: ClassVar[dict[type, Callable[..., None]]] = {
        Post: _post,
        Offer: _offer,
        Adopt: _adopt,
        Discard: _discard,
        Send: _send,
        Close: _close,
        Connected: _connected,
        Fail: _fail,
        SetTimer: _set_timer,
        StopTimer: _stop_timer,
        PeerReplaced: _peer_replaced,
    }
    """The method that carries out each action of the handshake."""


def _wake_waiter(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.wake_now()

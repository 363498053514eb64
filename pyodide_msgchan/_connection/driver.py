"""One connect, accept or listen at work: does in its environment what the handshake decides."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, final

from pyodide_msgchan._connection.connection import Connection, Peer
from pyodide_msgchan._connection.control import ControlChannel
from pyodide_msgchan._connection.environment import ChannelPair, Environment, WindowListener
from pyodide_msgchan._connection.handshake.initiator import RETRY, Initiator
from pyodide_msgchan._connection.handshake.responder import Responder
from pyodide_msgchan._connection.options import ConnectOptions, would_pack
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
from pyodide_msgchan._port.waiter import Waiter
from pyodide_msgchan.errors import HandshakeError, PortClosedError, RemoteError

__all__ = ["EarlierConnections", "HandshakeDriver"]


START_GRACE: Final = 1.0
"""Seconds that a worker has for its hello after its script has raised an error."""


@final
class EarlierConnections:
    """The connections that this page made to one place under one name.

    Of each it keeps `Link.awaits_farewell` alone, which keeps nothing else alive: this outlives
    the connections, and a link leads to its connection and on to the frame.
    """

    def __init__(self) -> None:
        self._open: set[Callable[[], bool]] = set()
        self._last: tuple[Callable[[], bool], float] | None = None

    def opened(self, link: ChannelPair) -> None:
        """Take note of a connection that has begun."""
        self._open.add(link.awaits_farewell)

    def ended(self, link: ChannelPair) -> None:
        """Note that one is over, whichever side ended it; once."""
        if link.awaits_farewell in self._open:
            self._open.remove(link.awaits_farewell)
            self._last = link.awaits_farewell, asyncio.get_event_loop().time()

    def may_be_ending(self) -> bool:
        """Return True if the other side may still think that it has its caller here.

        While one is open the other side is taken by that, and means it.
        """
        if self._open or self._last is None:
            return False
        awaits_farewell, since = self._last
        return asyncio.get_event_loop().time() - since < RETRY or awaits_farewell()

    def is_over(self) -> bool:
        """Return True if nothing of this is of interest any more."""
        return not self._open and not self.may_be_ending()


@final
class HandshakeDriver:
    """Carries a state machine's actions out, and brings it what happens.

    Args:
        environment: where.
        machine: what decides.
        options: of the connections that are made.
        source: the only window to hear; None for all, and for a worker.
        targets: to whom the machine's announcements go, the worker if it is one.
        many: whether it goes on after a connection.
        over: called once nothing is heard any more.
        earlier: of a caller, where it notes its connections.

    Attributes:
        gone: whether the frame or window came to its end.
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
        over: Callable[[], None] = lambda: None,
        earlier: EarlierConnections | None = None,
    ) -> None:
        self._environment = environment
        self._machine = machine
        self._options = options
        self._targets = targets
        self._source = source
        self._many = many
        self._over = over
        self._earlier = earlier
        self._loop = asyncio.get_event_loop()
        self._links: dict[int, tuple[ChannelPair, Any]] = {}
        self._controls: dict[int, ControlChannel] = {}
        self._results: deque[Connection] = deque()
        self._failure: BaseException | None = None
        self.gone = False
        self._waiters: dict[Waiter, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._failing: asyncio.TimerHandle | None = None
        self._arriving_from: WindowListener | ChannelPair | None = None
        place = targets[0] if options.origins is None else None
        self._listener: WindowListener | None = environment.hear(
            place, source, options.origins, options.name, self._heard
        )
        self._perform(machine.start())

    # For whoever waits

    async def next(self, seconds: float | None) -> Connection:
        """Wait for a connection.

        Raises:
            HandshakeError: it failed, or the time ran out.
        """
        if seconds is not None:
            self._deadline = self._loop.call_later(seconds, self._time_out, seconds)
        try:
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
        found = self._results.popleft()
        if self._results:
            self._wake()
        return found

    def close(self) -> None:
        """Stop listening, give up what nobody took; connections that were given live on."""
        self._stop_listening()
        while self._results:
            self._results.popleft().close()
        self._failure = self._failure or PortClosedError()
        self._wake_soon()

    def _stop_listening(self) -> None:
        """Stop listening."""
        if self._listener is None:
            return
        self._perform(self._machine.cancel())
        self._listener.close()
        self._listener = None
        self._stop_timer()
        self._stop_failing()
        self._over()

    # What happens

    def _heard(self, words: Any, origin: str, sender: Any, ports: Any) -> None:
        self._arriving_from = self._listener
        if sender is None:
            sender = self._targets[0] if self._targets else None
        try:
            if isinstance(words, Notice):
                self._noticed(words)
            else:
                self._stop_failing()
                envelope = Envelope(*words)
                if envelope.type == "offer":
                    envelope = envelope._replace(ports=(ports, sender))
                self._perform(self._machine.heard(envelope, origin, sender))
        finally:
            self._arriving_from = None

    def _noticed(self, notice: Notice) -> None:
        if notice.kind == "restored":
            self._perform(self._machine.restored())
        elif self._controls or self._failure is not None:
            return  # a connection sees its end by itself
        elif notice.kind == "gone":
            self.gone = True
            self._fail(HandshakeError("the frame was removed, or the window closed", "gone"))
        elif notice.kind == "failed" and isinstance(notice.error, RemoteError):
            # It may go on after that: a script is only known to be dead if nothing comes.
            raised = partial(self._worker_raised, notice.error)
            self._failing = self._failing or self._loop.call_later(START_GRACE, raised)
        elif notice.kind == "failed":
            self._worker_failed("its script could not be loaded, or is no valid script")

    def _worker_raised(self, error: RemoteError) -> None:
        if not self._controls and self._failure is None:
            self._worker_failed(f"{error.message} ({error.stack})", error)

    def _worker_failed(self, why: str, cause: Exception | None = None) -> None:
        failure = HandshakeError(f"the worker did not start: {why}", "worker-failed")
        failure.__cause__ = cause
        self._fail(failure)

    def _stop_failing(self) -> None:
        if self._failing is not None:
            self._failing.cancel()
            self._failing = None

    def _control(self, key: Any, message: Any, ports: Sequence[Any]) -> None:
        if key in self._controls:
            self._controls[key].heard(message, ports)
        elif key in self._links and isinstance(message, dict):
            self._arriving_from = self._links[key][0]
            try:
                self._perform(self._machine.control(key, message))
            finally:
                self._arriving_from = None

    def _time_out(self, seconds: float) -> None:
        if self._listener is not None:
            for origin in self._listener.rejected():
                self._machine.rejected(origin)
        self._failure = self._machine.timeout(seconds)
        self._wake()

    def _peer_left(self, key: Any) -> None:
        """Let the next one have the place of a peer that is gone, whose messages may be unread."""
        if self._earlier is not None and key in self._links:
            self._earlier.ended(self._links[key][0])
        self._perform(self._machine.release(key))
        if not self._many:
            self._stop_listening()

    def _ended(self, key: Any) -> None:
        """Forget a connection that is over."""
        self._peer_left(key)
        self._controls.pop(key, None)
        self._links.pop(key, None)
        self._wake_soon()  # whom the closed link was to wake

    # What is to be done

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            _HANDLERS[type(action)](self, *action)

    def _post(self, envelope: Envelope, origin: str, sender: Any) -> None:
        for target in self._targets if sender is None else (sender,):
            self._environment.announce(target, origin, envelope)

    def _offer(self, key: int, envelope: Envelope, origin: str, sender: Any) -> None:
        target, switching = self._target(sender), self._options.stack_switching
        link = self._environment.offer(target, origin, envelope, stack_switching=switching)
        self._take(key, link, target)

    def _adopt(self, key: int, offered: tuple[Any, Any]) -> None:
        ports, sender = offered
        target, switching = self._target(sender), self._options.stack_switching
        link = self._environment.adopt(ports, target, stack_switching=switching)
        if link is not None:
            self._take(key, link, target)

    def _discard(self, offered: tuple[Any, Any], message: dict[str, Any] | None) -> None:
        self._environment.discard(offered[0], message)

    def _send(self, key: int, message: dict[str, Any]) -> None:
        if key in self._links:
            self._links[key][0].send(message)

    def _close(self, key: int) -> None:
        if key in self._links:
            self._links.pop(key)[0].close(goodbye=False)

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

    def _replaced(self, key: int) -> None:
        if key in self._controls:
            self._controls[key].verify_alive()

    def _target(self, sender: Any) -> Any:
        """Return what stands for the other side: a frame element tells more than its window."""
        return sender if self._source is None else self._source

    def _take(self, key: int, link: ChannelPair, target: Any) -> None:
        self._links[key] = link, target
        link.listen(partial(self._control, key))

    def _connected(self, key: int, info: PeerInfo) -> None:
        link, target = self._links[key]
        ended, peer_left = partial(self._ended, key), partial(self._peer_left, key)
        control = ControlChannel(link, self._options.heartbeat, ended, peer_left)
        if self._earlier is not None:
            self._earlier.opened(link)
        self._controls[key] = control
        peer = Peer(info.origin, info.runtime, info.version, info.capabilities)
        ours = would_pack(self._environment, self._options.lane, info.origin)
        lane = "packed" if ours and "packed" in info.capabilities else "clone"
        connection = Connection._open(control, peer, target, info.lock or "", lane)
        link.watch(info.origin, info.lock or "")
        self._results.append(connection)
        self._wake()

    def _wake_soon(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.wake_soon()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if waiter.done():
                continue
            if self._arriving_from is None:
                waiter.wake_soon()
            else:
                self._arriving_from.wake(partial(_wake_waiter, waiter))
            return


def _wake_waiter(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.wake_now()


_HANDLERS: Final[dict[type, Callable[..., None]]] = {
    Post: HandshakeDriver._post,
    Offer: HandshakeDriver._offer,
    Adopt: HandshakeDriver._adopt,
    Discard: HandshakeDriver._discard,
    Send: HandshakeDriver._send,
    Close: HandshakeDriver._close,
    Connected: HandshakeDriver._connected,
    Fail: HandshakeDriver._fail,
    SetTimer: HandshakeDriver._set_timer,
    StopTimer: HandshakeDriver._stop_timer,
    PeerReplaced: HandshakeDriver._replaced,
}
"""How each of the handshake's actions is done."""

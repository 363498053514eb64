"""One connect, accept or listen at work: does in a world what the handshake decides."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, final

from ._handshake import RETRY, Caller, Listener
from ._types import Hearing, Link, Notice, World
from ._version import __version__
from ._waiter import Waiter
from ._wire import (
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
from .connection import Connection, Control, Peer
from .errors import HandshakeError, PortClosedError, RemoteError

__all__ = ["Attempt", "EarlierConnections", "Terms", "describe", "hold_lock", "may_be_near"]

START_GRACE: Final = 1.0
"""Seconds that a worker has for its hello after its script has raised an error."""

CAPABILITIES: Final = ("clone", "credit", "packs")
"""What this side can do, as the other is told."""


def describe(world: World, lane: str | None, origin: str | None) -> dict[str, Any]:
    """Give what a peer of that origin is told of this side."""
    return {
        "version": __version__,
        "runtime": world.runtime,
        "capabilities": [*CAPABILITIES, *(["packed"] if packs(world, lane, origin) else [])],
        "loaded": world.loaded(),
        "lock": world.lock(),
    }


def packs(world: World, lane: str | None, origin: str | None) -> bool:
    """Say whether this side would speak the packed lane with a peer of that origin.

    Both sides ask this, and tell each other; they do if both would.
    """
    if lane is not None:
        return lane == "packed"
    return origin is None or (origin == world.origin and origin != "null")


class Terms(NamedTuple):
    """What was asked for, checked."""

    origins: frozenset[str] | None
    """Whom to hear, as in ``event.origin``; None for a worker, which has none."""
    name: str
    heartbeat: float | None
    stack_switching: bool
    lane: str | None
    """What the caller said, if anything."""


def may_be_near(world: World, terms: Terms) -> bool:
    """Say whether peers may be of this page's origin, and so see its lock come free."""
    return terms.origins is None or not terms.origins.isdisjoint({world.origin, "*"})


async def hold_lock(world: World, terms: Terms) -> None:
    """Let peers that may be near see this page's end by its lock."""
    if may_be_near(world, terms) and (held := world.hold_lock()) is not None:
        await held


@final
class EarlierConnections:
    """The connections that this page made to one place under one name.

    Of each it keeps `Link.awaits_farewell` alone, which keeps nothing else alive: this outlives
    the connections, and a link leads to its connection and on to the frame.
    """

    def __init__(self) -> None:
        self._open: set[Callable[[], bool]] = set()
        self._last: tuple[Callable[[], bool], float] | None = None

    def opened(self, link: Link) -> None:
        """Take note of a connection that has begun."""
        self._open.add(link.awaits_farewell)

    def ended(self, link: Link) -> None:
        """Take note that one is over, whichever side ended it; once."""
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
class Attempt:
    """Carries a state machine's actions out, and brings it what happens.

    Args:
        world: where.
        machine: what decides.
        terms: of the connections that are made.
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
        world: World,
        machine: Caller | Listener,
        terms: Terms,
        *,
        source: Any,
        targets: Sequence[Any],
        many: bool,
        over: Callable[[], None] = lambda: None,
        earlier: EarlierConnections | None = None,
    ) -> None:
        self._world = world
        self._machine = machine
        self._terms = terms
        self._targets = targets
        self._source = source
        self._many = many
        self._over = over
        self._earlier = earlier
        self._loop = asyncio.get_event_loop()
        self._links: dict[int, tuple[Link, Any]] = {}
        self._controls: dict[int, Control] = {}
        self._results: deque[Connection] = deque()
        self._failure: BaseException | None = None
        self.gone = False
        self._waiters: dict[Waiter, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._failing: asyncio.TimerHandle | None = None
        self._inbox: Hearing | Link | None = None
        place = targets[0] if terms.origins is None else None
        self._hearing: Hearing | None = world.hear(
            place, source, terms.origins, terms.name, self._heard
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
        """Hear no more, give up what nobody took; connections that were given live on."""
        self._deafen()
        while self._results:
            self._results.popleft().close()
        self._failure = self._failure or PortClosedError()
        self._wake_soon()

    def _deafen(self) -> None:
        """Hear no more."""
        if self._hearing is None:
            return
        if self._many:  # frames that came later are told of the end too
            self._targets = self._world.owners(everybody=True)
        self._perform(self._machine.cancel())
        self._hearing.close()
        self._hearing = None
        self._stop_timer()
        self._stop_failing()
        self._over()

    # What happens

    def _heard(self, words: Any, origin: str, sender: Any, ports: Any) -> None:
        self._inbox = self._hearing
        if sender is None:
            sender = self._targets[0] if self._targets else None
        try:
            if isinstance(words, Notice):
                self._noticed(words)
            else:
                envelope = Envelope(*words)
                if envelope.type != "goodbye":  # that is of a listener before
                    self._stop_failing()
                if envelope.type == "offer":
                    envelope = envelope._replace(ports=(ports, sender))
                self._perform(self._machine.heard(envelope, origin, sender))
        finally:
            self._inbox = None

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
            self._inbox = self._links[key][0]
            try:
                self._perform(self._machine.control(key, message))
            finally:
                self._inbox = None

    def _time_out(self, seconds: float) -> None:
        if self._hearing is not None:
            for origin in self._hearing.rejected():
                self._machine.rejected(origin)
        self._failure = self._machine.timeout(seconds)
        self._wake()

    def _peer_left(self, key: Any) -> None:
        """Let the next one have the place of a peer that is gone, whose messages may be unread."""
        if self._earlier is not None and key in self._links:
            self._earlier.ended(self._links[key][0])
        self._perform(self._machine.release(key))
        if not self._many:
            self._deafen()

    def _ended(self, key: Any) -> None:
        """Forget a connection that is over."""
        self._peer_left(key)
        self._controls.pop(key, None)
        self._links.pop(key, None)
        self._wake_soon()  # whom the closed link was to wake

    # What is to be done

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            _CARRY_OUT[type(action)](self, *action)

    def _post(self, envelope: Envelope, origin: str, sender: Any) -> None:
        for target in self._targets if sender is None else (sender,):
            self._world.announce(target, origin, envelope)

    def _offer(self, key: int, envelope: Envelope, origin: str, sender: Any) -> None:
        target, switching = self._target(sender), self._terms.stack_switching
        link = self._world.offer(target, origin, envelope, stack_switching=switching)
        self._take(key, link, target)

    def _adopt(self, key: int, offered: tuple[Any, Any]) -> None:
        ports, sender = offered
        target, switching = self._target(sender), self._terms.stack_switching
        link = self._world.adopt(ports, target, stack_switching=switching)
        if link is not None:
            self._take(key, link, target)

    def _discard(self, offered: tuple[Any, Any], message: dict[str, Any] | None) -> None:
        self._world.discard(offered[0], message)

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
        self._timer = self._loop.call_later(seconds, self._ring)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._perform(self._machine.expired())

    def _replaced(self, key: int) -> None:
        if key in self._controls:
            self._controls[key].doubt()

    def _target(self, sender: Any) -> Any:
        """Give what stands for the other side: a frame element tells more than its window."""
        return sender if self._source is None else self._source

    def _take(self, key: int, link: Link, target: Any) -> None:
        self._links[key] = link, target
        link.listen(partial(self._control, key))

    def _connected(self, key: int, info: PeerInfo) -> None:
        link, target = self._links[key]
        ended, peer_left = partial(self._ended, key), partial(self._peer_left, key)
        control = Control(link, self._terms.heartbeat, ended, peer_left)
        if self._earlier is not None:
            self._earlier.opened(link)
        self._controls[key] = control
        peer = Peer(info.origin, info.runtime, info.version, info.capabilities)
        ours = packs(self._world, self._terms.lane, info.origin)
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
            if self._inbox is None:
                waiter.wake_soon()
            else:
                self._inbox.wake(partial(_step, waiter))
            return


def _step(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.wake_now()


_CARRY_OUT: Final[dict[type, Callable[..., None]]] = {
    Post: Attempt._post,
    Offer: Attempt._offer,
    Adopt: Attempt._adopt,
    Discard: Attempt._discard,
    Send: Attempt._send,
    Close: Attempt._close,
    Connected: Attempt._connected,
    Fail: Attempt._fail,
    SetTimer: Attempt._set_timer,
    StopTimer: Attempt._stop_timer,
    PeerReplaced: Attempt._replaced,
}
"""How each of the handshake's actions is done."""

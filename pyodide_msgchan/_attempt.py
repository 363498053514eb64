"""One connect, accept or listen at work: does in a world what the handshake decides."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final, final

from ._handshake import Caller, Listener
from ._types import Hearing, Link, World
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
    PeerReplaced,
    Post,
    Send,
    SetTimer,
    StopTimer,
)
from .connection import Connection, Control, Peer
from .errors import PortClosedError

__all__ = ["Attempt", "describe"]

CAPABILITIES: Final = ("clone",)
"""What this side can do, as the other is told."""


def describe(world: World) -> dict[str, Any]:
    """Give what the other side is told of this one."""
    return {
        "version": __version__,
        "runtime": world.runtime,
        "capabilities": list(CAPABILITIES),
        "loaded": world.loaded(),
        "lock": world.lock(),
    }


@final
class Attempt:
    """Carries a state machine's actions out, and brings it what happens.

    Args:
        world: where.
        machine: what decides.
        place: the worker that speaks, else this page.
        source: the only window to hear, None for all.
        targets: to whom the machine's announcements go.
        origins: whom to hear, None for a worker.
        many: whether it goes on after a connection.
        stack_switching, heartbeat: of the connections that are made.
        over: called once nothing is heard any more.
    """

    def __init__(
        self,
        world: World,
        machine: Caller | Listener,
        *,
        place: Any,
        source: Any,
        targets: Sequence[Any],
        origins: Collection[str] | None,
        name: str,
        many: bool,
        stack_switching: bool,
        heartbeat: float | None,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self._world = world
        self._machine = machine
        self._targets = targets
        self._frame = targets[0] if source is not None and targets else None
        self._many = many
        self._stack_switching = stack_switching
        self._heartbeat = heartbeat
        self._over = over
        self._loop = asyncio.get_running_loop()
        self._links: dict[Any, tuple[Link, Any]] = {}
        self._controls: dict[Any, Control] = {}
        self._results: deque[Connection] = deque()
        self._failure: BaseException | None = None
        self._waiters: deque[Waiter] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._inbox: Hearing | Link | None = None
        self._hearing: Hearing | None = world.hear(place, source, origins, name, self._heard)
        self._perform(machine.start())

    # For whoever waits

    async def next(self, timeout: float | None) -> Connection:
        """Wait for a connection.

        Raises:
            HandshakeError: it failed, or the time ran out.
        """
        if timeout is not None and self._deadline is None:
            self._deadline = self._loop.call_later(timeout, self._time_out, timeout)
        try:
            while not self._results:
                if self._failure is not None:
                    raise self._failure
                waiter = Waiter(self._loop)
                self._waiters.append(waiter)
                try:
                    await waiter
                finally:
                    self._waiters.remove(waiter)
        finally:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        found = self._results.popleft()
        if self._results:
            self._wake()
        return found

    def close(self) -> None:
        """Hear no more and give up what is not connected yet; connections that were given live on."""
        if self._hearing is None:
            return
        self._perform(self._machine.cancel())
        self._hearing.close()
        self._hearing = None
        while self._results:
            self._results.popleft().close()
        self._stop_timer()
        self._failure = self._failure or PortClosedError()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.wake_soon()
        self._over()

    # What happens

    def _heard(self, words: Any, origin: str, sender: Any, ports: Any) -> None:
        self._inbox = self._hearing
        try:
            if words is None:
                self._perform(self._machine.restored())
            else:
                envelope = Envelope(*words)
                if envelope.type == "offer":
                    envelope = envelope._replace(ports=(ports, sender))
                self._perform(self._machine.heard(envelope, origin, sender))
        finally:
            self._inbox = None

    def _control(self, key: Any, message: Any) -> None:
        if key in self._controls:
            self._controls[key].heard(message)
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

    def _ended(self, key: Any) -> None:
        """Forget a connection that is over."""
        self._controls.pop(key, None)
        self._links.pop(key, None)
        self._perform(self._machine.release(key))
        if not self._many:
            self.close()

    # What is to be done

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Post(envelope, origin, sender):
                    for target in self._targets if sender is None else (sender,):
                        self._world.announce(target, origin, envelope)
                case Offer(key, envelope, origin, sender):
                    target = self._target(sender)
                    link = self._world.offer(
                        target, origin, envelope, stack_switching=self._stack_switching
                    )
                    self._take(key, link, sender)
                case Adopt(key, (ports, sender)):
                    adopted = self._world.adopt(ports, stack_switching=self._stack_switching)
                    if adopted is not None:
                        self._take(key, adopted, sender)
                case Send(key, message):
                    if key in self._links:
                        self._links[key][0].send(message)
                case Close(key):
                    link, _ = self._links.pop(key, (None, None))
                    if link is not None:
                        link.close(goodbye=False)
                case Discard((ports, _), message):
                    self._world.discard(ports, message)
                case Connected(key, peer):
                    self._connected(key, peer)
                case Fail(error):
                    self._failure = error
                    self._wake()
                case SetTimer(seconds):
                    self._stop_timer()
                    self._timer = self._loop.call_later(seconds, self._ring)
                case StopTimer():
                    self._stop_timer()
                case PeerReplaced(key):
                    if key in self._controls:
                        self._controls[key].replaced()

    def _target(self, sender: Any) -> Any:
        return sender if self._frame is None else self._frame

    def _take(self, key: Any, link: Link, sender: Any) -> None:
        self._links[key] = link, self._target(sender)
        link.listen(partial(self._control, key))

    def _connected(self, key: Any, info: Any) -> None:
        link, target = self._links[key]
        control = Control(link, self._heartbeat, partial(self._ended, key))
        self._controls[key] = control
        peer = Peer(info.origin, info.runtime, info.version, info.capabilities)
        connection = Connection._open(control, peer, target)
        same = info.origin is None or info.origin == self._world.origin != "null"
        link.watch(target, info.loaded, info.lock if same and info.lock else "")
        control.start()
        self._results.append(connection)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if waiter.done():
                continue
            if self._inbox is None:
                waiter.wake_soon()
            else:
                self._inbox.wake(partial(_step, waiter))
            return

    def _ring(self) -> None:
        self._perform(self._machine.expired())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _step(waiter: Waiter) -> bool:
    if not waiter.done():
        waiter.wake_now()
    return True

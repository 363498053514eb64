"""The handshake of a connection: two state machines, an event in, actions out; no clock, no loop.

**Who speaks first.** Whoever is there first: a listener says hello once to each window that may
call it, a caller sends one probe, and a listener answers a probe with a hello. One of the two is
lost if the other page has not loaded yet; the other one then finds it. Nobody polls.

**What each knows after each step.**

1. The caller heard a hello: the listener's id, its nonce (a secret), and from the browser its
   origin. It makes a data and a control channel and posts the far ends in an *offer*, to exactly
   that origin and id, and without the nonce.
2. The listener got the offer: here is a caller of that origin, which heard this hello. It answers
   on the control port with the *acceptance*, which carries its nonce.
3. The caller got the acceptance: who holds the ports is who said hello, since only that one knows
   the nonce. It is connected, and says so with a *confirm*.
4. The listener got the confirm: the caller is satisfied, and connected. Only now do users' messages
   flow; none was sent to somebody who had merely taken the listener's place.

**The turned direction.** A page of an opaque origin can't be named as a target, so an offer to it
would have to go to ``*``, ports and all, to whatever page is in that window by then. But such a
page can name the other. So if the listener alone is opaque it is the listener who offers: the
caller answers its hello with a probe, the nonce is the caller's, and steps 1 to 4 change sides.
Both can tell, from their own origin and from the browser's word for the other's. Only if both are
opaque does the caller offer to ``*``, and the nonce is all that protects them.

**What a third party could try.** Speak from another window or origin: the browser names both, and
what is not allowed is dropped unread. Navigate the frame between hello and offer: another origin
gets no offer; the same origin does not know the nonce, so its acceptance is refused and both ports
close. Guess a nonce: one guess in 2**128 for each offer, each in a message of its own, so a plain
comparison gives away nothing that could be used. Send an offer again: the id of an attempt is good
for one, until that has ended. Open attempts and let them lie: `accept` has one pending and a few
queued ones, and gives the pending one a few seconds once another waits; `listen` drops its oldest.

**What ends an attempt.** A goodbye to whoever is dropped while pending, so that nobody waits for a
port that closed in silence (no browser tells). A caller that is told so starts again. An offer may
still be on its way when its listener ends, so a listener that ends says goodbye to the windows that
it had announced itself to: who had followed its hello starts again too, and finds any other
listener of that window, which a second runtime in the page may have. An accepted
listener is *taken*, and refuses callers until it hears its caller's goodbye. A goodbye and a probe
travel apart, so the probe may come first: a caller whose page has just left that listener probes
once more after a second, and waits for the next hello meanwhile. Every other one fails at once.

**For the shell:** hand in what was heard, after the checks of the window and of types; do the
actions in their order; read the control port of each attempt from its `Offer` or `Adopt` on, and
hand in what comes until `Connected`; from then on it is the shell's, which calls `release` at its
end. The whole wire is in `_wire`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, final

from ._side import GOODBYE, TAKEN, WRONG_NONCE, Peer, Side, fresh_id, nothing, target, word
from ._wire import (
    VERSION,
    Action,
    Close,
    Discard,
    Envelope,
    Fail,
    PeerReplaced,
    Post,
    Send,
    SetTimer,
    StopTimer,
)
from .errors import HandshakeError, VersionMismatchError

__all__ = ["Caller", "Listener"]

PATIENCE: Final = 5.0
"""Seconds that a pending caller has to confirm once another one waits."""

MOST_QUEUED: Final = 8
"""Callers that wait for the pending one of an `accept`; further ones are refused."""

MOST_PENDING: Final = 256
"""Unconfirmed callers of a `listen`; the oldest makes room for the next."""

RETRY: Final = 1.0
"""Seconds after which a caller probes again that was refused while a goodbye was on its way."""

MOST_LEFT: Final = 8
"""Listeners that a caller remembers to have left."""


def _never() -> bool:
    return False


@final
class Caller(Side):
    """The side that calls, `connect`: it is connected once, or fails."""

    again = False  # whether to wait while somebody else is served, since it was connected before
    may_be_ending: Callable[[], bool] = staticmethod(_never)
    """Ask whether an earlier connection of this page may be what the other side is taken by."""

    _greeting = "probe"
    _counterpart = "accept"
    _worker_words = "the worker"
    _facing_hint = "both sides called connect: one of them must accept or listen"

    _attempt = 0
    _peer: Peer | None = None
    _connected = False
    _successor = ""
    _met = ""  # the listener whose hello or offer was followed last
    _left: tuple[str, ...] = ()  # listeners that were left for a newer one of the same window
    _retries = False  # whether the timer runs that ends in another probe

    def expired(self) -> list[Action]:
        """Probe again: a refusal may have been about a connection that has ended since."""
        if not self._retries:
            return []  # the timer was stopped as it rang
        self._retries = False
        return self.start()

    def restored(self) -> list[Action]:
        """Start again in a page that came out of the back/forward cache; a connection ends."""
        actions = self._abandon()
        if self._connected:
            actions.append(Close(self._attempt))
            self._over = True
        if self._over:
            return actions
        self._left = ()
        return [*actions, *self._start_anew()]

    def cancel(self) -> list[Action]:
        """Give up, unless it is connected already."""
        self._over = self._over or not self._connected
        return self._abandon()

    def release(self, attempt: int) -> list[Action]:
        """Take note that the connection has ended."""
        if self._connected and attempt == self._attempt:
            self._over, self._connected, self._peer = True, False, None
        return []

    def heard(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        """Take a window message from the window that is called."""
        if self._admits(envelope, origin):
            match envelope.type:
                case "hello":
                    return self._greeted(envelope, origin, sender)
                case "offer":
                    return self._offered(envelope, origin)
                case "refusal" if envelope.to and not self._connected:
                    return self._refused(envelope)
                case "goodbye" if envelope.id == self._met and not self._connected:
                    return self._parted()
                case "probe":
                    self._facing = True
        return self._discard(envelope)

    def _greeted(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        known = self._peer is not None and envelope.id == self._peer.id
        if self._connected:
            if known or envelope.id == self._successor:
                return []
            self._successor = envelope.id
            return [PeerReplaced(self._attempt)]
        if envelope.version != VERSION:
            return self._fail(VersionMismatchError(VERSION, envelope.version))
        if known or envelope.id in self._left or not envelope.nonce:
            return []
        if self._peer is not None:
            # Two listeners of one page might otherwise call it to and fro.
            self._left = (*self._left, self._peer.id)[-MOST_LEFT:]
        actions = self._abandon()
        self._met = envelope.id
        if self._is_turned(origin):
            probe = self._envelope("probe", to=envelope.id)
            return [*actions, Post(probe, target(origin), sender)]
        self._peer = Peer(envelope.id, origin, envelope.nonce, sender)
        self._attempt += 1
        return [*actions, self._offer(self._attempt, self._peer)]

    def _offered(self, envelope: Envelope, origin: str) -> list[Action]:
        if (
            self._connected
            or envelope.version != VERSION
            or not envelope.to
            or not self._is_turned(origin)
            or envelope.ports is None
            or (self._peer is not None and envelope.id == self._peer.id)
        ):
            return self._discard(envelope)
        actions = self._abandon()
        self._met = envelope.id
        self._peer = Peer(envelope.id, origin, "")
        self._attempt += 1
        offer = self._peer._replace(ports=envelope.ports)
        return [*actions, *self._accept(self._attempt, offer)]

    def _parted(self) -> list[Action]:
        """Start again: the listener has ended, and nobody will answer what it was sent."""
        self._left = ()
        return [*self._abandon(), *self._start_anew()]

    def _start_anew(self) -> list[Action]:
        self._met = ""
        return super()._start_anew()

    def _refused(self, envelope: Envelope) -> list[Action]:
        if envelope.version != VERSION:
            return self._fail(VersionMismatchError(VERSION, envelope.version))
        if envelope.reason != "taken":
            return []
        if self._peer is not None:
            # The offer is refused too, if it is the same listener.
            other = envelope.id != self._peer.id
            return [] if other or self._may_wait() else self._fail(self._taken())
        return self._was_taken()

    def _may_wait(self) -> bool:
        return self.again or self.may_be_ending()

    def _was_taken(self) -> list[Action]:
        """Fail, unless what the other side is taken by may be over already."""
        if not self._may_wait():
            return self._fail(self._taken())
        actions = self._lose()
        if not self.again and not self._retries:
            self._retries = True
            actions.append(SetTimer(RETRY))
        return actions

    def control(self, attempt: int, message: dict[str, Any]) -> list[Action]:
        """Take a control message of an attempt; whatever makes no sense is dropped."""
        peer = self._peer
        if peer is None or self._connected or attempt != self._attempt:
            return []
        match word(message, "type"):
            case "acceptance" if peer.nonce and word(message, "nonce") != peer.nonce:
                return [Send(attempt, WRONG_NONCE), *self._lose()]
            case "acceptance" | "confirm" as kind if (kind == "acceptance") == bool(peer.nonce):
                self._connected = True
                return self._agree(attempt, peer, message)
            case "refusal":
                return self._was_taken() if word(message, "reason") == "taken" else self._lose()
            case "goodbye":
                # It gave up on us, and won't greet again by itself. Under a new id, since others
                # may still hold what was begun under the old one.
                return [*self._lose(), *self._start_anew()]
        return []

    def _lose(self) -> list[Action]:
        """Be without an offer again; whoever says hello next gets one, even the same."""
        had_offer, self._peer, self._left = self._peer is not None, None, ()
        return [Close(self._attempt)] if had_offer else []

    def _is_turned(self, origin: str) -> bool:
        return not self._worker and not self._opaque and origin == "null"

    def _abandon(self) -> list[Action]:
        actions: list[Action] = [StopTimer()] if self._retries else []
        self._retries = False
        if self._peer is not None and not self._connected:
            self._peer = None
            actions += [Send(self._attempt, GOODBYE), Close(self._attempt)]
        return actions

    def _fail(self, error: HandshakeError) -> list[Action]:
        self._over = True
        return [*self._abandon(), Fail(error)]

    def _taken(self) -> HandshakeError:
        called = f" called {self._name!r}" if self._name else ""
        return HandshakeError(
            f"already taken: the accept{called} over there has its caller", "taken"
        )

    def _pending_hint(self) -> str:
        if self._retries:
            return "the accept over there is taken"
        return f"{self._named(self._peer)} answered and then fell silent" if self._peer else ""


@final
class Listener(Side):
    """The side that is called: by one caller (`accept`), or by many (`listen`)."""

    _greeting = "hello"
    _counterpart = "connect"
    _worker_words = "the owner of this worker"
    _facing_hint = "both sides wait to be called: one of them must connect"

    def __init__(
        self,
        name: str,
        *,
        opaque: bool,
        allowed: Iterable[str],
        many: bool,
        worker: bool = False,
        about: Callable[[str | None], dict[str, Any]] = nothing,
        make_id: Callable[[], str] = fresh_id,
    ) -> None:
        super().__init__(
            name, opaque=opaque, allowed=allowed, worker=worker, about=about, make_id=make_id
        )
        self._many = many
        self._pending: dict[int, Peer] = {}
        self._connected: dict[int, Peer] = {}
        self._queue: list[Peer] = []
        self._known: set[tuple[str, str]] = set()
        self._last_attempt = 0

    @property
    def _taken(self) -> bool:
        return bool(self._connected) and not self._many

    def restored(self) -> list[Action]:
        """Start again in a page that came out of the back/forward cache; connections end."""
        actions: list[Action] = [*self._abandon(), *map(Close, self._connected)]
        self._over = self._over or self._taken
        self._connected.clear()
        self._known.clear()
        if self._over:
            return actions
        return [*actions, *self._start_anew()]

    def cancel(self) -> list[Action]:
        """Take no more callers; connections live on, and the one of an `accept` refuses others."""
        actions = self._abandon()
        return actions if self._taken else [*actions, *self._end()]

    def _end(self) -> list[Action]:
        """Be over, and tell so: offers that are on their way get no answer any more."""
        if self._over:
            return []
        self._over = True
        return self._announce("goodbye")

    def release(self, attempt: int) -> list[Action]:
        """Take note that a connection has ended."""
        peer = self._connected.pop(attempt, None)
        if peer is not None:
            self._known.discard((peer.origin, peer.id))
            if not self._many:
                return self._end()
        return []

    def expired(self) -> list[Action]:
        """Drop the pending caller, whose patience another one bore; the next is taken."""
        if not self._queue:
            return []  # the timer was stopped as it rang
        return self._drop(next(iter(self._pending)), GOODBYE)

    def heard(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        """Take a window message from a window that may call."""
        if self._admits(envelope, origin):
            match envelope.type:
                case "probe":
                    return self._probed(envelope, origin, sender)
                case "offer":
                    return self._offered(envelope, origin)
                case "hello":
                    self._facing = True
        return self._discard(envelope)

    def _probed(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        if envelope.version != VERSION:
            return [self._refusal(envelope.id, origin, sender, "version")]
        if (origin, envelope.id) in self._known or not envelope.nonce:
            return []
        if self._taken:
            return [self._refusal(envelope.id, origin, sender, "taken")]
        if self._is_turned(origin):
            return self._consider(Peer(envelope.id, origin, envelope.nonce, sender))
        return [Post(self._envelope("hello", to=envelope.id), target(origin), sender)]

    def _offered(self, envelope: Envelope, origin: str) -> list[Action]:
        if (
            envelope.version != VERSION
            or not envelope.to
            or (origin, envelope.id) in self._known
            or self._is_turned(origin)
            or envelope.ports is None
        ):
            return self._discard(envelope)
        if self._taken:
            return self._discard(envelope, TAKEN)
        return self._consider(Peer(envelope.id, origin, "", ports=envelope.ports))

    def _consider(self, peer: Peer) -> list[Action]:
        """Take a new caller on, or let it wait."""
        if self._many or not self._pending:
            full = len(self._pending) >= MOST_PENDING
            actions = self._drop(next(iter(self._pending)), GOODBYE) if full else []
            return [*actions, *self._take(peer)]
        if len(self._queue) >= MOST_QUEUED:
            return [self._turn_away(peer)]
        self._queue.append(peer)
        self._known.add((peer.origin, peer.id))
        return [SetTimer(PATIENCE)] if len(self._queue) == 1 else []

    def _take(self, peer: Peer) -> list[Action]:
        attempt = self._last_attempt = self._last_attempt + 1
        self._pending[attempt] = peer._replace(ports=None)
        self._known.add((peer.origin, peer.id))
        return [self._offer(attempt, peer)] if peer.nonce else self._accept(attempt, peer)

    def control(self, attempt: int, message: dict[str, Any]) -> list[Action]:
        """Take a control message of an attempt; whatever makes no sense is dropped."""
        peer = self._pending.get(attempt)
        if peer is None:
            return []
        match word(message, "type"):
            case "acceptance" if peer.nonce:
                if word(message, "nonce") != peer.nonce:
                    return self._drop(attempt, WRONG_NONCE)
                return self._connect(attempt, message)
            case "confirm" if not peer.nonce:
                return self._connect(attempt, message)
            case "refusal" | "goodbye":
                return self._drop(attempt)
        return []

    def _connect(self, attempt: int, message: dict[str, Any]) -> list[Action]:
        peer = self._connected[attempt] = self._pending.pop(attempt)
        actions: list[Action] = [StopTimer()] if self._queue else []
        actions += map(self._turn_away, self._queue)
        self._known.difference_update((rival.origin, rival.id) for rival in self._queue)
        self._queue.clear()
        return [*actions, *self._agree(attempt, peer, message)]

    def _drop(self, attempt: int, message: dict[str, Any] | None = None) -> list[Action]:
        """End a pending attempt, with a last word; the next in the queue comes up."""
        peer = self._pending.pop(attempt)
        self._known.discard((peer.origin, peer.id))
        actions: list[Action] = [] if message is None else [Send(attempt, message)]
        actions.append(Close(attempt))
        if self._queue:
            actions += self._take(self._queue.pop(0))
            actions.append(SetTimer(PATIENCE) if self._queue else StopTimer())
        return actions

    def _abandon(self) -> list[Action]:
        actions: list[Action] = [StopTimer()] if self._queue else []
        actions += (Discard(rival.ports, GOODBYE) for rival in self._queue if not rival.nonce)
        self._known.difference_update((rival.origin, rival.id) for rival in self._queue)
        self._queue.clear()
        for attempt in list(self._pending):
            actions += self._drop(attempt, GOODBYE)
        return actions

    def _turn_away(self, peer: Peer) -> Action:
        if peer.nonce:
            return self._refusal(peer.id, peer.origin, peer.sender, "taken")
        return Discard(peer.ports, TAKEN)

    def _refusal(self, to: str, origin: str, sender: Any, reason: str) -> Post:
        return Post(self._envelope("refusal", to=to, reason=reason), target(origin), sender)

    def _is_turned(self, origin: str) -> bool:
        return not self._worker and self._opaque and origin != "null"

    def _pending_hint(self) -> str:
        for peer in self._pending.values():
            return f"{self._named(peer)} called and then fell silent"
        return ""

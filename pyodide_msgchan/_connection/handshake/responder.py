"""`Responder`: the state machine of the side that calls `accept` or `listen`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, final

from pyodide_msgchan._connection.handshake.base import (
    GOODBYE,
    TAKEN,
    WRONG_NONCE,
    HandshakeBase,
    HandshakePeer,
    fresh_id,
    no_description,
    str_field,
    target_for,
)
from pyodide_msgchan._connection.wire import (
    VERSION,
    Action,
    Close,
    Discard,
    Envelope,
    Post,
    Send,
    SetTimer,
    StopTimer,
)

__all__ = ["Responder"]


CONFIRM_TIMEOUT: Final = 5.0
"""Seconds that a pending initiator has to confirm once another one waits."""


MAX_QUEUED: Final = 8
"""The limit of initiators that wait for the pending one of an `accept`; others are refused."""


MAX_PENDING: Final = 256
"""The limit of pending initiators of a `listen`; the oldest is dropped for the next."""


@final
class Responder(HandshakeBase):
    """The side that calls `accept`, for one connection, or `listen`, for many."""

    _greeting = "hello"
    _peer_function = "connect"
    _worker_peer = "the owner of this worker"
    _same_role_hint = "both sides called accept or listen: one of them must connect"

    def __init__(
        self,
        name: str,
        *,
        opaque: bool,
        allowed: Iterable[str],
        many: bool,
        worker: bool = False,
        describe: Callable[[str | None], dict[str, Any]] = no_description,
        make_id: Callable[[], str] = fresh_id,
    ) -> None:
        super().__init__(
            name,
            opaque=opaque,
            allowed=allowed,
            worker=worker,
            describe=describe,
            make_id=make_id,
        )
        self._many = many
        self._pending: dict[int, HandshakePeer] = {}
        self._connected: dict[int, HandshakePeer] = {}
        self._queue: list[HandshakePeer] = []
        self._known: set[tuple[str, str]] = set()
        self._last_attempt = 0

    @property
    def _is_taken(self) -> bool:
        return bool(self._connected) and not self._many

    def restored(self) -> list[Action]:
        """Start again in a page that came out of the back/forward cache; connections end."""
        actions: list[Action] = [*self._abandon(), *map(Close, self._connected)]
        self._finished = self._finished or self._is_taken
        self._connected.clear()
        self._known.clear()
        if self._finished:
            return actions
        return [*actions, *self._start_anew()]

    def cancel(self) -> list[Action]:
        """End pending attempts; connections stay open, and that of an `accept` refuses others."""
        actions = self._abandon()
        return actions if self._is_taken else [*actions, *self._end()]

    def _end(self) -> list[Action]:
        """Finish, and post a goodbye: offers that are under way get no answer."""
        if self._finished:
            return []
        self._finished = True
        return self._announce("goodbye")

    def release(self, attempt: int) -> list[Action]:
        """Note that a connection has ended."""
        peer = self._connected.pop(attempt, None)
        if peer is not None:
            self._known.discard((peer.origin, peer.id))
            if not self._many:
                return self._end()
        return []

    def expired(self) -> list[Action]:
        """Drop the pending initiator, which did not confirm in time, and admit the next one."""
        if not self._queue:
            return []  # The timer was stopped too late.
        return self._drop(next(iter(self._pending)), GOODBYE)

    def heard(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        """Handle a window message from a window that may connect."""
        if self._is_for_us(envelope, origin):
            match envelope.type:
                case "probe":
                    return self._on_probe(envelope, origin, sender)
                case "offer":
                    return self._on_offer(envelope, origin)
                case "hello":
                    self._same_role_heard = True
        return self._discard(envelope)

    def _on_probe(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        if envelope.version != VERSION:
            return [self._refusal(envelope.id, origin, sender, "version")]
        if (origin, envelope.id) in self._known or not envelope.nonce:
            return []
        if self._is_taken:
            return [self._refusal(envelope.id, origin, sender, "taken")]
        if self._roles_reversed(origin):
            return self._admit(HandshakePeer(envelope.id, origin, envelope.nonce, sender))
        return [Post(self._envelope("hello", to=envelope.id), target_for(origin), sender)]

    def _on_offer(self, envelope: Envelope, origin: str) -> list[Action]:
        if (
            envelope.version != VERSION
            or not envelope.to
            or (origin, envelope.id) in self._known
            or self._roles_reversed(origin)
            or envelope.ports is None
        ):
            return self._discard(envelope)
        if self._is_taken:
            return self._discard(envelope, TAKEN)
        return self._admit(HandshakePeer(envelope.id, origin, "", ports=envelope.ports))

    def _admit(self, peer: HandshakePeer) -> list[Action]:
        """Start an attempt with a new initiator, queue it, or refuse it."""
        if self._many or not self._pending:
            full = len(self._pending) >= MAX_PENDING
            actions = self._drop(next(iter(self._pending)), GOODBYE) if full else []
            return [*actions, *self._start_attempt(peer)]
        if len(self._queue) >= MAX_QUEUED:
            return [self._refuse(peer)]
        self._queue.append(peer)
        self._known.add((peer.origin, peer.id))
        return [SetTimer(CONFIRM_TIMEOUT)] if len(self._queue) == 1 else []

    def _start_attempt(self, peer: HandshakePeer) -> list[Action]:
        attempt = self._last_attempt = self._last_attempt + 1
        self._pending[attempt] = peer._replace(ports=None)
        self._known.add((peer.origin, peer.id))
        return [self._offer(attempt, peer)] if peer.nonce else self._accept(attempt, peer)

    def control(self, attempt: int, message: dict[str, Any]) -> list[Action]:
        """Handle a control message of an attempt; one that does not fit its state is ignored."""
        peer = self._pending.get(attempt)
        if peer is None:
            return []
        match str_field(message, "type"):
            case "acceptance" if peer.nonce:
                if str_field(message, "nonce") != peer.nonce:
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
        actions += map(self._refuse, self._queue)
        self._known.difference_update((rival.origin, rival.id) for rival in self._queue)
        self._queue.clear()
        return [*actions, *self._complete(attempt, peer, message)]

    def _drop(self, attempt: int, message: dict[str, Any] | None = None) -> list[Action]:
        """End a pending attempt, after sending `message` if given; start the next in the queue."""
        peer = self._pending.pop(attempt)
        self._known.discard((peer.origin, peer.id))
        actions: list[Action] = [] if message is None else [Send(attempt, message)]
        actions.append(Close(attempt))
        if self._queue:
            actions += self._start_attempt(self._queue.pop(0))
            actions.append(SetTimer(CONFIRM_TIMEOUT) if self._queue else StopTimer())
        return actions

    def _abandon(self) -> list[Action]:
        actions: list[Action] = [StopTimer()] if self._queue else []
        actions += (Discard(rival.ports, GOODBYE) for rival in self._queue if not rival.nonce)
        self._known.difference_update((rival.origin, rival.id) for rival in self._queue)
        self._queue.clear()
        for attempt in list(self._pending):
            actions += self._drop(attempt, GOODBYE)
        return actions

    def _refuse(self, peer: HandshakePeer) -> Action:
        if peer.nonce:
            return self._refusal(peer.id, peer.origin, peer.sender, "taken")
        return Discard(peer.ports, TAKEN)

    def _refusal(self, to: str, origin: str, sender: Any, reason: str) -> Post:
        return Post(self._envelope("refusal", to=to, reason=reason), target_for(origin), sender)

    def _roles_reversed(self, origin: str) -> bool:
        return not self._worker and self._opaque and origin != "null"

    def _pending_hint(self) -> str:
        for peer in self._pending.values():
            return f"{self._format_peer(peer)} called and then fell silent"
        return ""

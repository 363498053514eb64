"""`Initiator`: the state machine of the side that calls `connect`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from pyodide_msgchan._connection.handshake.base import (
    GOODBYE,
    WRONG_NONCE,
    HandshakeBase,
    HandshakePeer,
    str_field,
    target_for,
)
from pyodide_msgchan._connection.wire import (
    VERSION,
    Action,
    Close,
    Envelope,
    Fail,
    PeerReplaced,
    Post,
    Send,
    SetTimer,
    StopTimer,
)
from pyodide_msgchan.errors import HandshakeError, VersionMismatchError

__all__ = ["RETRY_DELAY", "Initiator"]


RETRY_DELAY: Final = 1.0
"""Seconds until an initiator probes again that was refused while a goodbye was on its way."""


MAX_SUPERSEDED: Final = 8
"""The limit of superseded responders that an initiator remembers."""


def _never() -> bool:
    """Return False: this page has had no earlier connection to the target."""
    return False


@final
class Initiator(HandshakeBase):
    """The side that calls `connect`: it gets one connection or fails."""

    wait_if_taken = False
    """Whether to wait, instead of failing, while the other side has another connection."""
    may_be_ending: Callable[[], bool] = staticmethod(_never)
    """Return True if an earlier connection of this page may be the reason of a refusal."""

    _greeting = "probe"
    _peer_function = "accept"
    _worker_peer = "the worker"
    _same_role_hint = "both sides called connect: one of them must accept or listen"

    _attempt = 0
    _peer: HandshakePeer | None = None
    _connected = False
    _successor = ""
    _met = ""  # the responder whose hello was followed last, until its offer came
    _superseded_ids: tuple[str, ...] = ()  # responders that a newer one of the window has replaced
    _retries = False  # whether the timer for another probe runs

    def expired(self) -> list[Action]:
        """Probe again, since the connection that caused the refusal may have ended."""
        if not self._retries:
            return []  # The timer was stopped too late.
        self._retries = False
        return self.start()

    def restored(self) -> list[Action]:
        """Start again in a page that came out of the back/forward cache; a connection ends."""
        actions = self._abandon()
        if self._connected:
            actions.append(Close(self._attempt))
            self._finished = True
        if self._finished:
            return actions
        self._superseded_ids = ()
        return [*actions, *self._start_anew()]

    def cancel(self) -> list[Action]:
        """End the attempt; a connection stays open."""
        self._finished = self._finished or not self._connected
        return self._abandon()

    def release(self, attempt: int) -> list[Action]:
        """Note that the connection has ended."""
        if self._connected and attempt == self._attempt:
            self._finished, self._connected, self._peer = True, False, None
        return []

    def heard(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        """Handle a window message from the target window."""
        if self._is_for_us(envelope, origin):
            match envelope.type:
                case "hello":
                    return self._on_hello(envelope, origin, sender)
                case "offer":
                    return self._on_offer(envelope, origin)
                case "refusal" if envelope.to and not self._connected:
                    return self._on_refusal(envelope)
                case "goodbye" if envelope.id == self._met and not self._connected:
                    return self._parted()
                case "probe":
                    self._same_role_heard = True
        return self._discard(envelope)

    def _on_hello(self, envelope: Envelope, origin: str, sender: Any) -> list[Action]:
        known = self._peer is not None and envelope.id == self._peer.id
        if self._connected:
            if known or envelope.id == self._successor:
                return []
            self._successor = envelope.id
            return [PeerReplaced(self._attempt)]
        if envelope.version != VERSION:
            return self._fail(VersionMismatchError(VERSION, envelope.version))
        if known or envelope.id in self._superseded_ids or not envelope.nonce:
            return []
        self._met = envelope.id
        if self._roles_reversed(origin):
            # An offer that was taken stays until the next one comes: a responder that accepts
            # again at once posts a hello, which may overtake its confirm on the control port.
            has_taken = self._peer is not None and not self._peer.nonce
            actions = [] if has_taken else self._supersede()
            probe = self._envelope("probe", to=envelope.id)
            return [*actions, Post(probe, target_for(origin), sender)]
        actions = self._supersede()
        self._peer = HandshakePeer(envelope.id, origin, envelope.nonce, sender)
        self._attempt += 1
        return [*actions, self._offer(self._attempt, self._peer)]

    def _on_offer(self, envelope: Envelope, origin: str) -> list[Action]:
        if (
            self._connected
            or envelope.version != VERSION
            or not envelope.to
            or not self._roles_reversed(origin)
            or envelope.ports is None
            or (self._peer is not None and envelope.id == self._peer.id)
        ):
            return self._discard(envelope, GOODBYE if self._connected else None)
        actions = self._supersede()
        # The control port reports the end of this responder now, behind its confirm. Its goodbye in
        # the window may overtake that confirm.
        self._met = ""
        self._peer = HandshakePeer(envelope.id, origin, "")
        self._attempt += 1
        offer = self._peer._replace(ports=envelope.ports)
        return [*actions, *self._accept(self._attempt, offer)]

    def _supersede(self) -> list[Action]:
        """Abandon the pending attempt for that of another responder."""
        if self._peer is not None:
            # Otherwise two responders of one page could make it switch between them forever.
            self._superseded_ids = (*self._superseded_ids, self._peer.id)[-MAX_SUPERSEDED:]
        return self._abandon()

    def _parted(self) -> list[Action]:
        """Start again: the responder has ended, so nobody answers what was sent to it."""
        if self._peer is not None and self._peer.id != self._met:
            self._met = ""
            return []  # The control port reports the end of the other one, whose offer was taken.
        self._superseded_ids = ()
        return [*self._abandon(), *self._start_anew()]

    def _start_anew(self) -> list[Action]:
        self._met = ""
        return super()._start_anew()

    def _on_refusal(self, envelope: Envelope) -> list[Action]:
        if envelope.version != VERSION:
            return self._fail(VersionMismatchError(VERSION, envelope.version))
        if envelope.reason != "taken":
            return []
        if self._peer is not None:
            # A refusal by the same responder answers the offer as well as the probe.
            other = envelope.id != self._peer.id
            return [] if other or self._may_wait() else self._fail(self._already_taken_error())
        return self._was_taken()

    def _may_wait(self) -> bool:
        return self.wait_if_taken or self.may_be_ending()

    def _was_taken(self) -> list[Action]:
        """Fail as "already taken", unless that connection may have ended already."""
        if not self._may_wait():
            return self._fail(self._already_taken_error())
        actions = self._drop_offer()
        if not self.wait_if_taken and not self._retries:
            self._retries = True
            actions.append(SetTimer(RETRY_DELAY))
        return actions

    def control(self, attempt: int, message: dict[str, Any]) -> list[Action]:
        """Handle a control message of an attempt; one that does not fit its state is ignored."""
        peer = self._peer
        if peer is None or self._connected or attempt != self._attempt:
            return []
        match str_field(message, "type"):
            case "acceptance" if peer.nonce and str_field(message, "nonce") != peer.nonce:
                return [Send(attempt, WRONG_NONCE), *self._drop_offer()]
            case "acceptance" | "confirm" as kind if (kind == "acceptance") == bool(peer.nonce):
                self._connected = True
                return self._complete(attempt, peer, message)
            case "refusal":
                return (
                    self._was_taken()
                    if str_field(message, "reason") == "taken"
                    else self._drop_offer()
                )
            case "goodbye":
                # The responder dropped this attempt and will not send another hello by itself.
                # The new id keeps messages of the old attempt from being taken for this one.
                return [*self._drop_offer(), *self._start_anew()]
        return []

    def _drop_offer(self) -> list[Action]:
        """Close the pending offer; the next hello gets a new one, also from the same responder."""
        had_offer, self._peer, self._superseded_ids = self._peer is not None, None, ()
        return [Close(self._attempt)] if had_offer else []

    def _roles_reversed(self, origin: str) -> bool:
        return not self._worker and not self._opaque and origin == "null"

    def _abandon(self) -> list[Action]:
        actions: list[Action] = [StopTimer()] if self._retries else []
        self._retries = False
        if self._peer is not None and not self._connected:
            self._peer = None
            actions += [Send(self._attempt, GOODBYE), Close(self._attempt)]
        return actions

    def _fail(self, error: HandshakeError) -> list[Action]:
        self._finished = True
        return [*self._abandon(), Fail(error)]

    def _already_taken_error(self) -> HandshakeError:
        named = f" named {self._name!r}" if self._name else ""
        return HandshakeError(
            f"already taken: the accept{named} on the other side has a connection", "taken"
        )

    def _pending_hint(self) -> str:
        if self._retries:
            return "the accept on the other side is taken"
        return (
            f"{self._format_peer(self._peer)} answered and then fell silent" if self._peer else ""
        )

"""What both sides of a handshake have in common: an identity, checks, what was heard in vain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from ._wire import (
    VERSION,
    Action,
    Adopt,
    Connected,
    Discard,
    Envelope,
    Offer,
    Post,
    Send,
    peer_info,
)
from .errors import HandshakeTimeoutError

__all__ = [
    "GOODBYE",
    "MOST_REJECTED",
    "TAKEN",
    "WRONG_NONCE",
    "Peer",
    "Side",
    "fresh_id",
    "nothing",
    "shown",
    "target",
    "word",
]

MOST_REJECTED: Final = 8
"""Wrong origins that are remembered for the error."""

GOODBYE: Final[dict[str, Any]] = {"type": "goodbye", "sent": 0, "reason": "close"}
TAKEN: Final[dict[str, Any]] = {"type": "refusal", "reason": "taken"}
WRONG_NONCE: Final[dict[str, Any]] = {"type": "refusal", "reason": "nonce"}


def fresh_id() -> str:
    """Give 128 random bits: what `secrets.token_hex` does, without the price of its imports."""
    return os.urandom(16).hex()


def target(origin: str) -> str:
    """Give the target origin for a page of `origin`: itself, if it can be named."""
    return "*" if origin == "null" else origin


def shown(origin: str) -> str:
    """Give the words for an origin in an error."""
    return {"*": "any origin", "null": "an opaque origin"}.get(origin, origin)


def word(message: dict[str, Any], field: str) -> str:
    """Read a string; empty if there is none."""
    value = message.get(field)
    return value if isinstance(value, str) else ""


class Peer(NamedTuple):
    """The other side of an attempt."""

    id: str
    origin: str
    nonce: str
    """What its acceptance has to carry; empty if it offered, and we accept."""
    sender: Any = None
    ports: Any = None


def nothing(_origin: str | None) -> dict[str, Any]:
    """Tell a peer nothing of this side."""
    return {}


class Side:
    """A caller or listener, before it hears of the other."""

    _greeting: str
    _counterpart: str
    _worker_words: str
    _facing_hint: str

    def __init__(
        self,
        name: str,
        *,
        opaque: bool,
        allowed: Iterable[str],
        worker: bool = False,
        about: Callable[[str | None], dict[str, Any]] = nothing,
        make_id: Callable[[], str] = fresh_id,
    ) -> None:
        self._name = name
        self._opaque = opaque
        self._allowed = frozenset(allowed)
        self._worker = worker
        self._about = about
        self._make_id = make_id
        self._id, self._nonce = make_id(), make_id()
        self._over = False
        self._facing = False
        self._rejected: dict[str, None] = {}

    def start(self) -> list[Action]:
        """Announce this side; to be called once."""
        return self._announce(self._greeting)

    def _announce(self, kind: str) -> list[Action]:
        """Post to all that are announced to."""
        if self._worker:
            origins = [""]
        elif self._allowed & {"*", "null"}:
            origins = ["*"]
        else:
            origins = sorted(self._allowed)
        envelope = self._envelope(kind)
        return [Post(envelope, origin, None) for origin in origins]

    def _start_anew(self) -> list[Action]:
        self._id, self._nonce = self._make_id(), self._make_id()
        return self.start()

    def rejected(self, origin: str) -> None:
        """Remember that a page of a wrong origin spoke from the expected window."""
        if len(self._rejected) < MOST_REJECTED:
            self._rejected[origin] = None

    def timeout(self, seconds: float) -> HandshakeTimeoutError:
        """Compose the error for a wait of so many seconds; what is pending is left to `cancel`."""
        hint = self._facing_hint if self._facing else self._pending_hint()
        waited_for = f"{self._counterpart} from {self._whom()}"
        return HandshakeTimeoutError(waited_for, seconds, self._rejected, hint=hint)

    def _pending_hint(self) -> str:
        raise NotImplementedError

    def _whom(self) -> str:
        if self._worker:
            return self._worker_words
        return " or ".join(map(shown, sorted(self._allowed)))

    def _named(self, peer: Peer) -> str:
        return self._worker_words if self._worker else f"a page of {shown(peer.origin)}"

    def _admits(self, envelope: Envelope, origin: str) -> bool:
        # The shell's JavaScript has checked all that before it bothered Python. It stands here
        # too, because this is the module that promises it.
        return (
            not self._over
            and (self._worker or origin in self._allowed or "*" in self._allowed)
            and envelope.name == self._name
            and envelope.to in {"", self._id}
            and envelope.id not in {"", self._id}
        )

    def _discard(self, envelope: Envelope, message: dict[str, Any] | None = None) -> list[Action]:
        """Close the ports of an offer to us; another side in this page may want any other."""
        if envelope.ports is None or envelope.to != self._id:
            return []
        return [Discard(envelope.ports, message)]

    def _envelope(self, kind: str, *, to: str = "", reason: str = "") -> Envelope:
        greets = kind in {"hello", "probe"}
        loaded = self._about(None).get("loaded", -1) if greets else -1
        nonce = self._nonce if greets else ""
        return Envelope(VERSION, kind, self._name, self._id, nonce, to, reason, loaded)

    def _description(self, origin: str) -> dict[str, Any]:
        """Give what a peer of that origin is told of this side."""
        return self._about(None if self._worker else origin)

    def _accept(self, attempt: int, peer: Peer) -> list[Action]:
        told = self._description(peer.origin)
        acceptance = {**told, "type": "acceptance", "nonce": self._nonce}
        return [Adopt(attempt, peer.ports), Send(attempt, acceptance)]

    def _offer(self, attempt: int, peer: Peer) -> Offer:
        envelope = self._envelope("offer", to=peer.id)
        return Offer(attempt, envelope, target(peer.origin), peer.sender)

    def _agree(self, attempt: int, peer: Peer, message: dict[str, Any]) -> list[Action]:
        connected = Connected(attempt, peer_info(None if self._worker else peer.origin, message))
        if not peer.nonce:
            return [connected]
        return [Send(attempt, {**self._description(peer.origin), "type": "confirm"}), connected]

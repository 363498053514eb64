"""What both sides of a handshake share: their identity, checks, messages and rejected origins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from pyodide_msgchan._connection.wire import (
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
from pyodide_msgchan.errors import HandshakeTimeoutError

__all__ = [
    "GOODBYE",
    "MAX_REJECTED",
    "TAKEN",
    "WRONG_NONCE",
    "HandshakeBase",
    "HandshakePeer",
    "format_origin",
    "fresh_id",
    "no_description",
    "str_field",
    "target_for",
]


MAX_REJECTED: Final = 8
"""The limit of rejected origins that the timeout error lists."""


GOODBYE: Final[dict[str, Any]] = {"type": "goodbye", "sent": 0, "reason": "close"}
"""The control message that drops a pending attempt."""


TAKEN: Final[dict[str, Any]] = {"type": "refusal", "reason": "taken"}
"""The control message that refuses an offer to an `accept` that has a connection."""


WRONG_NONCE: Final[dict[str, Any]] = {"type": "refusal", "reason": "nonce"}
"""The control message that refuses an acceptance with a wrong nonce."""


def fresh_id() -> str:
    """Return 128 random bits as hexadecimal digits.

    This equals `secrets.token_hex`, whose module takes long to import.
    """
    return os.urandom(16).hex()


def target_for(origin: str) -> str:
    """Return the target origin for a page of `origin`: the origin, or ``*`` if it is opaque."""
    return "*" if origin == "null" else origin


def format_origin(origin: str) -> str:
    """Return the description of an origin for an error."""
    return {"*": "any origin", "null": "an opaque origin"}.get(origin, origin)


def str_field(message: dict[str, Any], field: str) -> str:
    """Return a string field of a message, or an empty string if it is missing."""
    value = message.get(field)
    return value if isinstance(value, str) else ""


class HandshakePeer(NamedTuple):
    """The other side of an attempt."""

    id: str
    origin: str
    nonce: str
    """The nonce that its acceptance must contain; empty if the peer made the offer."""
    sender: Any = None
    ports: Any = None


def no_description(_origin: str | None) -> dict[str, Any]:
    """Return an empty description of this side."""
    return {}


class HandshakeBase:
    """The part of an initiator or responder that does not depend on the role."""

    _greeting: str
    _peer_function: str
    _worker_peer: str
    _same_role_hint: str

    def __init__(
        self,
        name: str,
        *,
        opaque: bool,
        allowed: Iterable[str],
        worker: bool = False,
        describe: Callable[[str | None], dict[str, Any]] = no_description,
        make_id: Callable[[], str] = fresh_id,
    ) -> None:
        self._name = name
        self._opaque = opaque
        self._allowed = frozenset(allowed)
        self._worker = worker
        self._describe = describe
        self._make_id = make_id
        self._id, self._nonce = make_id(), make_id()
        self._finished = False
        self._same_role_heard = False
        self._rejected: dict[str, None] = {}

    def start(self) -> list[Action]:
        """Return the actions that announce this side. Call it once."""
        return self._announce(self._greeting)

    def _announce(self, kind: str) -> list[Action]:
        """Return the actions that post an envelope to every window that may be the other side."""
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
        """Note an origin that is not allowed and posted from the expected window."""
        if len(self._rejected) < MAX_REJECTED:
            self._rejected[origin] = None

    def timeout(self, seconds: float) -> HandshakeTimeoutError:
        """Return the error for a timeout of `seconds`; `cancel` closes what is pending."""
        hint = self._same_role_hint if self._same_role_heard else self._pending_hint()
        waited_for = f"{self._peer_function} from {self._expected_peer()}"
        return HandshakeTimeoutError(waited_for, seconds, self._rejected, hint=hint)

    def _pending_hint(self) -> str:
        raise NotImplementedError

    def _expected_peer(self) -> str:
        if self._worker:
            return self._worker_peer
        return " or ".join(map(format_origin, sorted(self._allowed)))

    def _format_peer(self, peer: HandshakePeer) -> str:
        return self._worker_peer if self._worker else f"a page of {format_origin(peer.origin)}"

    def _is_for_us(self, envelope: Envelope, origin: str) -> bool:
        # The driver's JavaScript has made the same checks before it called Python. They are
        # repeated here, because this package is what guarantees them.
        return (
            not self._finished
            and (self._worker or origin in self._allowed or "*" in self._allowed)
            and envelope.name == self._name
            and envelope.to in {"", self._id}
            and envelope.id not in {"", self._id}
        )

    def _discard(self, envelope: Envelope, message: dict[str, Any] | None = None) -> list[Action]:
        """Close the ports of an offer to this side; other offers may be for others in this page."""
        if envelope.ports is None or envelope.to != self._id:
            return []
        return [Discard(envelope.ports, message)]

    def _envelope(self, kind: str, *, to: str = "", reason: str = "") -> Envelope:
        announces = kind in {"hello", "probe"}
        loaded = self._describe(None).get("loaded", -1) if announces else -1
        nonce = self._nonce if announces else ""
        return Envelope(VERSION, kind, self._name, self._id, nonce, to, reason, loaded)

    def _describe_to(self, origin: str) -> dict[str, Any]:
        """Return the description of this side for a peer of the given origin."""
        return self._describe(None if self._worker else origin)

    def _accept(self, attempt: int, peer: HandshakePeer) -> list[Action]:
        description = self._describe_to(peer.origin)
        acceptance = {**description, "type": "acceptance", "nonce": self._nonce}
        return [Adopt(attempt, peer.ports), Send(attempt, acceptance)]

    def _offer(self, attempt: int, peer: HandshakePeer) -> Offer:
        envelope = self._envelope("offer", to=peer.id)
        return Offer(attempt, envelope, target_for(peer.origin), peer.sender)

    def _complete(self, attempt: int, peer: HandshakePeer, message: dict[str, Any]) -> list[Action]:
        connected = Connected(attempt, peer_info(None if self._worker else peer.origin, message))
        if not peer.nonce:
            return [connected]
        return [Send(attempt, {**self._describe_to(peer.origin), "type": "confirm"}), connected]

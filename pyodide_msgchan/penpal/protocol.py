"""The protocol of Penpal 7, without I/O: it takes messages and returns steps and actions.

Both sides run the same handshake. Each has a random id. It sends SYN with its id first, and again
for each SYN with a new id, so that a side which started to listen too late for the first SYN gets
one. The side with the larger id (compared as text) is the leader and sends ACK1; the other side
answers with ACK2. Between windows, and from a worker, ACK2 transfers a port that its sender made,
and all calls use that port from then on. Each side is connected when it has received its ACK. A SYN
with a new id after that comes from a page that replaced the previous one: the port is dropped, and
the handshake starts again.

Each message is an object with ``namespace: "penpal"`` and `channel`, which is undefined if unused:

    to the window or worker   SYN participantId · ACK1 methodPaths · ACK2
    on the port               CALL id methodPath args
                              REPLY callId value isError? isSerializedErrorInstance? · DESTROY

What a third party could try: messages from other windows are never passed to this protocol. A page
that replaces the peer's page, and has an allowed origin, sends SYN like any other and gets a port
of its own. ACK1 and ACK2 count only once, after a SYN, from the same origin, and from the side that
has to send them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._rpc.protocol import (
    MAX_ID_LENGTH,
    Answer,
    CallProtocol,
    Execute,
    SettleCall,
    malformed_reason,
)

__all__ = [
    "Destroyed",
    "DropPort",
    "OfferPort",
    "PenpalHandshake",
    "PenpalProtocol",
    "Post",
    "Step",
    "UsePort",
]


NAMESPACE: Final = "penpal"


METHOD_NOT_FOUND: Final = "METHOD_NOT_FOUND"


class Post(NamedTuple):
    """Post a message to the other window, for a page of this origin."""

    message: Wire
    origin: str


class OfferPort(NamedTuple):
    """Post a message with one port of a new channel, and use the other port: it is connected."""

    message: Wire
    origin: str


class UsePort(NamedTuple):
    """Use the port that came with the message: it is connected."""


class DropPort(NamedTuple):
    """Drop the port in use, because the page at its other end was replaced."""


class Destroyed(NamedTuple):
    """End this side, because the other side ended the connection."""


type Step = Post | OfferPort | UsePort | DropPort


def _message(channel: str | None, kind: str, **more: Any) -> Wire:
    return {"namespace": NAMESPACE, "channel": channel, "type": kind, **more}


def _is_for(channel: str | None, message: Any) -> bool:
    return (
        type(message) is dict
        and message.get("namespace") == NAMESPACE
        and message.get("channel") == channel
    )


class PenpalHandshake:
    """The handshake with the other side, and with each page that replaces the one there.

    Args:
        channel: a name, the same on both sides; None for none.
        allowed: the origins to send to, ``*`` for every origin.
        id_: random, and new for each handshake.
    """

    def __init__(self, channel: str | None, allowed: Collection[str], id_: str) -> None:
        self._channel = channel
        self._allowed = allowed
        self._id = id_
        self._peer_id = ""
        self._peer_origin = ""
        self._expected_type = ""
        self._connected = False

    def start(self) -> list[Step]:
        """Return the first steps. Call this once."""
        targets = {"*"} if {"*", "null"} & {*self._allowed} else self._allowed
        return [Post(self._syn(), origin) for origin in sorted(targets)]

    def received(self, message: Any, origin: str, ports: int) -> list[Step]:
        """Handle a message from the expected window and an allowed origin; return the steps.

        Args:
            message: as received.
            origin: of its sender.
            ports: how many ports came with it.
        """
        if not _is_for(self._channel, message):
            return []
        kind = message.get("type")
        if kind == "SYN":
            return self._on_syn(message.get("participantId"), origin)
        if (
            kind != self._expected_type
            or origin != self._peer_origin
            or (kind == "ACK2" and not ports)
        ):
            return []
        self._expected_type = ""
        self._connected = True
        if kind == "ACK2":
            return [UsePort()]
        return [OfferPort(_message(self._channel, "ACK2"), self._target_origin())]

    def _on_syn(self, peer_id: Any, origin: str) -> list[Step]:
        if type(peer_id) is not str or not 0 < len(peer_id) <= MAX_ID_LENGTH:
            return []
        if peer_id in (self._id, self._peer_id):
            return []
        self._peer_id, self._peer_origin = peer_id, origin
        is_leader = self._id > peer_id
        self._expected_type = "ACK2" if is_leader else "ACK1"
        steps: list[Step] = [DropPort()] if self._connected else []
        self._connected = False
        steps.append(Post(self._syn(), self._target_origin()))
        if is_leader:
            # Penpal 7 ignores the names of methods; older versions send no SYN of this form.
            steps.append(
                Post(_message(self._channel, "ACK1", methodPaths=[]), self._target_origin())
            )
        return steps

    def _syn(self) -> Wire:
        return _message(self._channel, "SYN", participantId=self._id)

    def _target_origin(self) -> str:
        return "*" if self._peer_origin == "null" else self._peer_origin


class PenpalProtocol(CallProtocol):
    """The calls of both directions on one port, with the messages of Penpal."""

    __slots__ = ("_channel",)

    def __init__(self, prefix: str, channel: str | None) -> None:
        super().__init__(prefix)
        self._channel = channel

    def request(self, kind: str, path: tuple[str, ...], number: int, **more: Any) -> Wire:
        """Return the message of a call with this number."""
        del kind  # Penpal has calls only
        args = [wire["value"] for wire in more["argumentList"]]
        id_ = self.id_of(number)
        return _message(self._channel, "CALL", id=id_, methodPath=list(path), args=args)

    def cancel(self, number: int) -> None:
        """Cancel a call at this side only, because Penpal has no message for it."""
        self.pop_pending(number)

    def reply(self, id_: Any, wire: Wire) -> Wire | None:
        """Return the message that answers a call with a value; None if it was answered already."""
        if not self.finish(id_):
            return None
        return _message(self._channel, "REPLY", callId=id_, value=wire["value"])

    def fail(self, id_: Any, error: dict[str, str], *, found: bool = True) -> Wire | None:
        """Return the message that answers a call with an error; None if it was answered already."""
        return self._error(id_, error, found=found) if self.finish(id_) else None

    def destroy(self) -> Wire:
        """Return the message that ends the connection."""
        return _message(self._channel, "DESTROY")

    def received(self, message: Any) -> Execute | SettleCall | Answer | Destroyed | None:
        """Handle an incoming message; return the action to perform, if any."""
        if not _is_for(self._channel, message):
            return None
        kind = message.get("type")
        if kind == "DESTROY":
            return Destroyed()
        if kind == "REPLY":
            return self._on_reply(message)
        return self._on_call(message) if kind == "CALL" else None

    def _on_reply(self, message: Wire) -> SettleCall | None:
        id_, value = message.get("callId"), message.get("value")
        if type(id_) is not str or (token := self.pop_pending(self.number_of(id_))) is None:
            return None
        if not message.get("isError"):
            return SettleCall(token, raw(value))
        outcome = {"isError": message.get("isSerializedErrorInstance") is True, "value": value}
        return SettleCall(token, {"type": "HANDLER", "name": "throw", "value": outcome})

    def _on_call(self, message: Wire) -> Execute | Answer | None:
        id_, path, args = (message.get(key) for key in ("id", "methodPath", "args"))
        if type(id_) is not str or not 0 < len(id_) <= MAX_ID_LENGTH or id_ in self.running:
            return None
        values = [raw(value) for value in args] if type(args) is list else args
        reason = malformed_reason(path, values, {})
        if reason:
            error = {"name": "TypeError", "message": reason, "stack": ""}
            return Answer(self._error(id_, error, found=True), [])
        self.running.add(id_)
        return Execute(id_, "APPLY", tuple(path), values, {})  # type: ignore[arg-type]

    def _error(self, id_: str, error: dict[str, str], *, found: bool) -> Wire:
        value = error if found else {**error, "name": "PenpalError", "penpalCode": METHOD_NOT_FOUND}
        fields = {"callId": id_, "value": value, "isError": True, "isSerializedErrorInstance": True}
        return _message(self._channel, "REPLY", **fields)

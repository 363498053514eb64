"""Penpal 7 on the wire, as two state machines: a message goes in, actions come out.

Both sides do the same. Each has a random id, says SYN with it, and says so once more on every SYN
with an id that is new: whoever spoke before the other could hear is heard now. The larger id (as
text) leads and says ACK1, the other answers ACK2. Between windows, and from a worker, ACK2 brings
a port made by who sends it, on which all calls go from then on. Who hears ACK1 knows that it is
heard, and so does who hears ACK2. A SYN with a new id after that comes from a page that took the
place of the one before: its port is dead, and all begins anew.

Every message is an object with ``namespace: "penpal"`` and the `channel`, undefined if it has none:

    SYN participantId · ACK1 methodPaths · ACK2                         to the window or worker
    CALL id methodPath args · REPLY callId value isError? isSerializedErrorInstance? · DESTROY

What a third party could try: it is no page in that window, so its words never come here. A page
that takes the other's place and is allowed says SYN like any other, and gets a port of its own.
ACK1 and ACK2 count only after a SYN, from the same origin, once, and from who is to say them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._rpc.protocol import (
    MAX_ID_LENGTH,
    Action,
    Answer,
    ComlinkProtocol,
    Execute,
    SettleCall,
    malformed_reason,
)

__all__ = [
    "Destroyed",
    "Lost",
    "Offer",
    "PenpalHandshake",
    "PenpalProtocol",
    "Post",
    "Step",
    "Take",
]


NAMESPACE: Final = "penpal"


METHOD_NOT_FOUND: Final = "METHOD_NOT_FOUND"


class Post(NamedTuple):
    """Post a message to the other window, for a page of that origin."""

    message: Wire
    origin: str


class Offer(NamedTuple):
    """Do so with the one end of a new channel, and use the other from now on: it is connected."""

    message: Wire
    origin: str


class Take(NamedTuple):
    """Use the port that came with the message: it is connected."""


class Lost(NamedTuple):
    """Return up the port in use: the page at its other end is no more."""


class Destroyed(NamedTuple):
    """Be over: the other side has ended the connection."""


type Step = Post | Offer | Take | Lost


def _message(channel: str | None, kind: str, **more: Any) -> Wire:
    return {"namespace": NAMESPACE, "channel": channel, "type": kind, **more}


def _is_for(channel: str | None, message: Any) -> bool:
    return (
        type(message) is dict
        and message.get("namespace") == NAMESPACE
        and message.get("channel") == channel
    )


class PenpalHandshake:
    """Finds the other side, and again whenever its page was replaced.

    Args:
        channel: the same on both sides, None for none.
        allowed: origins to speak to, ``*`` for every one.
        id_: random, another one each time.
    """

    def __init__(self, channel: str | None, allowed: Collection[str], id_: str) -> None:
        self._channel = channel
        self._allowed = allowed
        self._id = id_
        self._theirs = ""
        self._origin = ""
        self._waits_for = ""
        self._connected = False

    def start(self) -> list[Step]:
        """Speak first; to be called once."""
        named = {"*"} if {"*", "null"} & {*self._allowed} else self._allowed
        return [Post(self._syn(), origin) for origin in sorted(named)]

    def heard(self, message: Any, origin: str, ports: int) -> list[Step]:
        """Take a message from the expected window and an allowed origin, with so many ports."""
        if not _is_for(self._channel, message):
            return []
        kind = message.get("type")
        if kind == "SYN":
            return self._greeted(message.get("participantId"), origin)
        if kind != self._waits_for or origin != self._origin or (kind == "ACK2" and not ports):
            return []
        self._waits_for = ""
        self._connected = True
        if kind == "ACK2":
            return [Take()]
        return [Offer(_message(self._channel, "ACK2"), self._target())]

    def _greeted(self, theirs: Any, origin: str) -> list[Step]:
        if type(theirs) is not str or not 0 < len(theirs) <= MAX_ID_LENGTH:
            return []
        if theirs in (self._id, self._theirs):
            return []
        self._theirs, self._origin = theirs, origin
        leads = self._id > theirs
        self._waits_for = "ACK2" if leads else "ACK1"
        steps: list[Step] = [Lost()] if self._connected else []
        self._connected = False
        steps.append(Post(self._syn(), self._target()))
        if leads:  # Penpal 7 has no use for the names of methods, older ones that had are not heard
            steps.append(Post(_message(self._channel, "ACK1", methodPaths=[]), self._target()))
        return steps

    def _syn(self) -> Wire:
        return _message(self._channel, "SYN", participantId=self._id)

    def _target(self) -> str:
        return "*" if self._origin == "null" else self._origin


class PenpalProtocol(ComlinkProtocol):
    """What one port was asked and has asked, as `ComlinkProtocol` keeps it, in Penpal's words."""

    __slots__ = ("_channel",)

    def __init__(self, prefix: str, channel: str | None) -> None:
        super().__init__(prefix)
        self._channel = channel

    def request(self, kind: str, path: tuple[str, ...], number: int, **more: Any) -> Wire:
        """Return the message of a call."""
        del kind  # all are calls
        args = [wire["value"] for wire in more["argumentList"]]
        id_ = self.id_of(number)
        return _message(self._channel, "CALL", id=id_, methodPath=list(path), args=args)

    def reply(self, id_: Any, wire: Wire) -> Wire | None:
        """Return the message that answers a call with a value; None if it is answered already."""
        if not self.finish(id_):
            return None
        return _message(self._channel, "REPLY", callId=id_, value=wire["value"])

    def fail(self, id_: Any, error: dict[str, str], *, found: bool = True) -> Wire | None:
        """Return the message that answers a call with an error's name, message and stack."""
        return self._error(id_, error, found=found) if self.finish(id_) else None

    def destroy(self) -> Wire:
        """Return the message that ends the connection."""
        return _message(self._channel, "DESTROY")

    def received(self, message: Any) -> Action | Destroyed | None:  # type: ignore[override]
        """Take a message; return what is to be done about it."""
        if not _is_for(self._channel, message):
            return None
        kind = message.get("type")
        if kind == "DESTROY":
            return Destroyed()
        if kind == "REPLY":
            return self._replied(message)
        return self._called(message) if kind == "CALL" else None

    def _replied(self, message: Wire) -> SettleCall | None:
        id_, value = message.get("callId"), message.get("value")
        if type(id_) is not str or (token := self.answered(self.number_of(id_))) is None:
            return None
        if not message.get("isError"):
            return SettleCall(token, raw(value))
        thing = {"isError": message.get("isSerializedErrorInstance") is True, "value": value}
        return SettleCall(token, {"type": "HANDLER", "name": "throw", "value": thing})

    def _called(self, message: Wire) -> Action | None:
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
        words = {"callId": id_, "value": value, "isError": True, "isSerializedErrorInstance": True}
        return _message(self._channel, "REPLY", **words)

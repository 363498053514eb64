"""The protocol of Comlink 4.4.2, without I/O: it takes messages and returns actions.

The messages are those of Comlink's src/protocol.ts. Both roles can share a port.

A client (`wrap`) sends requests:

    type        fields besides id             answer
    GET         path                          the value
    SET         path, value                   true
    APPLY       path, argumentList            the result
    CONSTRUCT   path, argumentList            a proxy of the instance
    ENDPOINT                                  a port to the same object
    RELEASE                                   no value

A server (`expose`) answers each with a wire value that has the `id` of the request. Wire values are
used for arguments too:

    type      name      value
    RAW                 a value that structured clone copies
    HANDLER   "proxy"   a transferred port on which the object is exposed
    HANDLER   "throw"   {isError, value}

Two Python ends add fields and types that Comlink ignores:

    message                  addition
    any request              keywords: wire values by name
    CANCEL id                the client no longer waits for the answer to that request
    "throw"                  python: type, args, fields and notes (`_codec.exceptions`)
    "throw"                  unreadable: true if the request could not be decoded
    "proxy"                  iterator: true if the port speaks the stream protocol (`_rpc.streams`)
    PULL, CLOSE, THROW       stream requests
    ITEM, END                stream items
    NEXT about               announces a message that may be unreadable (`_rpc.unread`)
    GET ["__msgchan__"]      answered here with {msgchan: VERSION}, which identifies a Python end

The protocol owns no port, event loop or clock. The session posts the messages that `request`,
`cancel` and `reply` return, passes every incoming message to `received`, and performs the action
that this returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final, NamedTuple, TypeGuard

from pyodide_msgchan._codec.wire import Wire, thrown

__all__ = [
    "MAX_ID_LENGTH",
    "PROBE",
    "REQUEST_TYPES",
    "STREAM_ITEM_TYPES",
    "STREAM_REQUEST_TYPES",
    "Action",
    "Answer",
    "CallProtocol",
    "Cancel",
    "ComlinkProtocol",
    "Detach",
    "Discard",
    "Execute",
    "Id",
    "SettleCall",
    "StreamItem",
    "StreamRequest",
    "malformed_reason",
]


VERSION: Final = 1
"""The version of the additions that only Python ends understand."""


PROBE: Final = ("__msgchan__",)
"""The path that only a Python end answers with a value."""


MAX_QUEUED_BEFORE_EXPOSE: Final = 1000
"""Requests that are kept until an object is exposed."""


MAX_ID_LENGTH: Final = 1000
"""Characters: a request with a longer id is dropped, since each answer would repeat it."""


MAX_ID_DIGITS: Final = 16
"""The number in the id of a request has fewer digits."""


MAX_ID: Final = 2.0**64
"""A request whose id is a number of this size or more is dropped too."""


MAX_PATH_LENGTH: Final = 32
"""The number of names that a path may have."""


REQUEST_TYPES: Final = frozenset({"GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE"})


STREAM_ITEM_TYPES: Final = frozenset({"ITEM", "END"})


STREAM_REQUEST_TYPES: Final = frozenset({"PULL", "CLOSE", "THROW"})


type Id = str | int | float


class Execute(NamedTuple):
    """Run a request, then post the message that `ComlinkProtocol.reply` returns for the outcome."""

    id: Id
    type: str
    path: tuple[str, ...]
    arguments: list[Wire]
    keywords: dict[str, Wire]


class Cancel(NamedTuple):
    """Cancel the task of a request, because its client no longer waits for the answer."""

    id: Id


class SettleCall(NamedTuple):
    """Settle the call of this token with the wire value of its outcome."""

    token: Any
    wire: Wire


class Answer(NamedTuple):
    """Post a message, and release the ports in the discarded wire values."""

    message: Wire
    discard: list[Wire]


class Detach(NamedTuple):
    """Post a message, and stop serving the object, because the client released it."""

    message: Wire


class Discard(NamedTuple):
    """Release the ports in these wire values, because nobody waits for them."""

    discard: list[Wire]


class StreamItem(NamedTuple):
    """Pass an ITEM or END to the iterator of this port."""

    message: Wire


class StreamRequest(NamedTuple):
    """Pass a PULL, CLOSE or THROW to the stream source of this port."""

    message: Wire


type Action = Execute | Cancel | SettleCall | Answer | Detach | Discard | StreamItem | StreamRequest


class CallProtocol(ABC):
    """The requests on one port that wait for their answers, and the messages of both.

    Attributes:
        prefix: the start of the ids of this end's requests, before their number. No other end has
            the same.
        running: the ids of the other end's requests that were not answered yet.
    """

    __slots__ = ("_count", "_pending", "prefix", "running")

    def __init__(self, prefix: str) -> None:
        self.prefix: str = prefix
        self._count = 0
        self._pending: dict[int, Any] = {}
        self.running: set[Id] = set()

    @abstractmethod
    def request(self, kind: str, path: tuple[str, ...], number: int, **more: Any) -> Wire:
        """Return the message of a request with this number."""

    @abstractmethod
    def cancel(self, number: int) -> Wire | None:
        """Cancel a request; return the message for the other end, None if there is none."""

    @abstractmethod
    def reply(self, id_: Id, wire: Wire) -> Wire | None:
        """Return the message that answers a request; None if nobody waits for it any more."""

    def expect(self, token: Any) -> int:
        """Register a request and return its number; its answer comes back with `token`."""
        self._count = count = self._count + 1
        self._pending[count] = token
        return count

    def next_number(self) -> int:
        """Return the number for a request whose answer nobody waits for."""
        self._count += 1
        return self._count

    def id_of(self, number: int) -> str:
        """Return the id of one of this end's requests."""
        return f"{self.prefix}{number}"

    def number_of(self, id_: str) -> int:
        """Return the number of one of this end's requests; 0 if the id is not one of them."""
        if not id_.startswith(self.prefix):
            return 0
        digits = id_[len(self.prefix) :]
        fits = len(digits) < MAX_ID_DIGITS and digits.isascii() and digits.isdecimal()
        return int(digits) if fits and digits[0] != "0" else 0

    def pop_pending(self, number: int) -> Any:
        """Remove a request; return its token, or None if it doesn't wait for an answer."""
        return self._pending.pop(number, None)

    @property
    def pending_count(self) -> int:
        """The number of requests that wait for their answer."""
        return len(self._pending)

    def pop_all_pending(self) -> list[Any]:
        """Remove all requests that wait for an answer; return their tokens."""
        tokens = list(self._pending.values())
        self._pending.clear()
        return tokens

    def finish(self, id_: Id) -> bool:
        """Remove a request that is answered; False if nobody waits for it any more."""
        try:
            self.running.remove(id_)
        except KeyError:
            return False
        return True

    def end(self) -> list[Any]:
        """End both directions, because the port ended; return the tokens of pending requests."""
        self.running.clear()
        return self.pop_all_pending()


class ComlinkProtocol(CallProtocol):
    """The calls of both directions on one port.

    Attributes:
        shared: whether other ends may read and write the same endpoint, as on a worker. Then this
            end ignores answers to requests of other ends, and requests while nothing is exposed
            here, because another end may answer them.
    """

    __slots__ = ("_exposing", "_queued", "shared")

    def __init__(self, prefix: str, *, shared: bool = False) -> None:
        super().__init__(prefix)
        self.shared = shared
        self._queued: list[Execute] | None = []
        self._exposing = False

    # Requests of this end

    def request(self, kind: str, path: tuple[str, ...], number: int, **more: Any) -> Wire:
        """Return the message of a request with this number."""
        return {"id": self.id_of(number), "type": kind, "path": list(path), **more}

    def cancel(self, number: int) -> Wire | None:
        """Cancel a request; return the message for the other end, or None if it isn't pending."""
        if self.pop_pending(number) is None:
            return None
        return {"type": "CANCEL", "id": self.id_of(number)}

    # Requests of the other end

    def expose(self) -> list[Execute]:
        """Accept requests from now on; return those that arrived before."""
        queued, self._queued = self._queued or [], None
        self._exposing = True
        self.running.update(run.id for run in queued)
        return queued

    def stop_exposing(self) -> None:
        """Refuse requests from now on."""
        self._exposing, self._queued = False, None
        self.running.clear()

    def reply(self, id_: Id, wire: Wire) -> Wire | None:
        """Return the message that answers a request; None if nobody waits for it any more."""
        if not self.finish(id_):
            return None
        wire["id"] = id_
        return wire

    def begin(self, id_: str) -> bool:
        """Register a plain call that the bridge decoded; False if `received` has to handle it."""
        if not self._exposing or not id_ or id_ in self.running:
            return False
        self.running.add(id_)
        return True

    # Incoming messages

    def received(self, message: Any) -> Action | None:
        """Handle an incoming message; return the action to perform, if any."""
        if type(message) is not dict:
            return None
        kind, id_ = message.get("type"), message.get("id")
        if kind in ("RAW", "HANDLER"):
            number = self.number_of(id_) if type(id_) is str else 0
            token = self.pop_pending(number)
            if token is not None:
                return SettleCall(token, message)
            return None if self.shared and not number else Discard([message])
        if type(kind) is not str:
            return None
        if kind in REQUEST_TYPES or kind == "CANCEL":
            if not _is_id(id_) or (self.shared and not self._exposing):
                return None
            return (
                self._on_cancel(id_) if kind == "CANCEL" else self._on_request(kind, id_, message)
            )
        return _stream_action(kind, message)

    def _on_request(self, kind: str, id_: Id, message: Wire) -> Action | None:
        arguments: Any = message.get("argumentList") or []
        keywords: Any = message.get("keywords") or {}
        if kind == "SET":
            arguments = [message.get("value")]
        wires = _wires_in(arguments, keywords)
        if id_ in self.running:  # the id is in use: two requests can't share one answer
            return Discard(wires)
        path = message.get("path") or []
        reason = malformed_reason(path, arguments, keywords)
        if reason:
            return _refusal(id_, reason, wires)
        run = Execute(id_, kind, tuple(path), arguments, keywords)
        if kind == "RELEASE":
            answer = {"type": "RAW", "value": None, "id": id_}
            return Detach(answer) if self._exposing else Answer(answer, wires)
        if kind == "GET" and run.path == PROBE:
            return Answer({"type": "RAW", "value": {"msgchan": VERSION}, "id": id_}, wires)
        if self._exposing:
            self.running.add(id_)
            return run
        if self._queued is None:
            return _refusal(id_, "nothing is exposed here any more", wires)
        if len(self._queued) == MAX_QUEUED_BEFORE_EXPOSE:
            return _refusal(
                id_,
                f"nothing is exposed here, and {MAX_QUEUED_BEFORE_EXPOSE} calls wait already",
                wires,
            )
        self._queued.append(run)
        return None

    def _on_cancel(self, id_: Id) -> Action | None:
        if id_ in self.running:
            self.running.discard(id_)
            return Cancel(id_)
        for run in self._queued or ():
            if run.id == id_:
                self._queued.remove(run)  # type: ignore[union-attr]
                return Discard(_wires_in(run.arguments, run.keywords))
        return None


def _is_id(id_: Any) -> TypeGuard[Id]:
    if type(id_) is str:
        return 0 < len(id_) <= MAX_ID_LENGTH
    return type(id_) in (int, float) and id_ != 0 and abs(id_) < MAX_ID


def _stream_action(kind: str, message: Wire) -> Action | None:
    item = message.get("item")
    if not _is_wire(item) and (item is not None or kind in ("ITEM", "THROW")):
        return None
    if kind in STREAM_ITEM_TYPES:
        return StreamItem(message)
    return StreamRequest(message) if kind in STREAM_REQUEST_TYPES else None


def _refusal(id_: Id, reason: str, wires: list[Wire]) -> Answer:
    return Answer({**thrown("TypeError", reason), "id": id_}, wires)


def _wires_in(arguments: Any, keywords: Any) -> list[Wire]:
    """Return the wire values in a request that may be malformed."""
    listed = list(arguments) if type(arguments) is list else []
    named = list(keywords.values()) if type(keywords) is dict else []
    return [wire for wire in listed + named if type(wire) is dict]


def malformed_reason(path: Any, arguments: Any, keywords: Any) -> str:
    """Return what is wrong with a request; an empty string if it is well formed."""
    if type(path) is not list or not all(type(name) is str for name in path):
        return "the path of a request is a list of strings"
    if len(path) > MAX_PATH_LENGTH:
        return f"the path of a request has {len(path)} names, more than {MAX_PATH_LENGTH}"
    if type(arguments) is not list or not all(map(_is_wire, arguments)):
        return "the arguments of a request are a list of wire values"
    if type(keywords) is not dict or not all(map(_is_wire, keywords.values())):
        return "the keywords of a request are wire values by name"
    if not all(type(name) is str for name in keywords):
        return "the keywords of a request are named by strings"
    return ""


def _is_wire(wire: Any) -> bool:
    return type(wire) is dict and wire.get("type") in ("RAW", "HANDLER")

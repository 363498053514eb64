"""Comlink 4.4.2 on the wire, as a state machine: a message goes in, an action comes out.

Both roles may share a port. Who wraps sends requests, plain objects with `id` and `type`:

    GET path · SET path value · APPLY path argumentList · CONSTRUCT path argumentList
    ENDPOINT · RELEASE

Who exposes answers each with a Wire that has the request's `id`. A Wire, used for arguments too,
is ``{type: "RAW", value}``, or ``{type: "HANDLER", name, value}`` where `name` is "proxy" (`value`
is a transferred port, on which the object is exposed) or "throw" (``{isError, value}``).

What two Python ends say besides stands in fields and types that Comlink's own code passes over:

- a request's ``keywords``, an object of Wires by name;
- ``{type: "CANCEL", id}``: whoever made that request waits no longer;
- ``python`` in a "throw": type, args, fields and notes of the exception (`_codec.exceptions`);
- ``iterator: true`` in a "proxy": on that port items can be pulled with credit (`_rpc.streams`), by
  PULL, CLOSE and THROW one way, ITEM and END the other;
- ``{type: "NEXT", about}`` comes before a message that may be unreadable (`_rpc.unread`);
- ``unreadable: true`` in a "throw": the request could not be read;
- GET of the path ``["__msgchan__"]`` is answered by this machine, which tells a Python end.

The machine owns no port, loop or clock. Its user posts what `request`, `cancel` and `reply` give,
hands every arriving message to `received`, and does what the action says.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeGuard

from pyodide_msgchan._codec.wire import Wire, thrown

__all__ = [
    "MAX_ID_LENGTH",
    "REQUEST_TYPES",
    "STREAM_ITEM_TYPES",
    "STREAM_REQUEST_TYPES",
    "Action",
    "Answer",
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
"""Of what two Python ends say besides."""


PROBE: Final = ("__msgchan__",)
"""The path that only an end of this package has a value for."""


MAX_QUEUED_BEFORE_EXPOSE: Final = 1000
"""Requests kept until something is exposed."""


MAX_ID_LENGTH: Final = 1000
"""Characters: a request with a longer id is dropped, since each answer would repeat it."""


MAX_ID_DIGITS: Final = 16
"""Of the number of a request, fewer than that."""


MAX_ID: Final = 2.0**64
"""A request with a number beyond that as its id is dropped too."""


MAX_PATH_LENGTH: Final = 32
"""Names in a path, at most."""


REQUEST_TYPES: Final = frozenset({"GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE"})


STREAM_ITEM_TYPES: Final = frozenset({"ITEM", "END"})


STREAM_REQUEST_TYPES: Final = frozenset({"PULL", "CLOSE", "THROW"})


type Id = str | int | float


class Execute(NamedTuple):
    """Do what a request asks, and post what `ComlinkProtocol.reply` gives for the outcome."""

    id: Id
    type: str
    path: tuple[str, ...]
    arguments: list[Wire]
    keywords: dict[str, Wire]


class Cancel(NamedTuple):
    """Cancel what runs for a request: nobody waits for it."""

    id: Id


class SettleCall(NamedTuple):
    """A call came to its end: its token, and the Wire of its outcome."""

    token: Any
    wire: Wire


class Answer(NamedTuple):
    """Post a message, and let go of what came in these Wires."""

    message: Wire
    discard: list[Wire]


class Detach(NamedTuple):
    """Post a message; the other side is done with the exposed object."""

    message: Wire


class Discard(NamedTuple):
    """Release what came in these Wires: nobody waits for it."""

    discard: list[Wire]


class StreamItem(NamedTuple):
    """Something for who iterates: ITEM or END."""

    message: Wire


class StreamRequest(NamedTuple):
    """Something for whose items are iterated over: PULL, CLOSE or THROW."""

    message: Wire


type Action = Execute | Cancel | SettleCall | Answer | Detach | Discard | StreamItem | StreamRequest


class ComlinkProtocol:
    """What one port has been asked and was asked.

    Args:
        prefix: of the ids of its requests, behind which their number stands; differs from every
            other end's.
        shared: whether others may speak and listen there too, as on a worker. Then what is not for
            this end is dropped: an answer to somebody else's request, and every request while
            nothing is exposed here, which somebody else may answer.

    Attributes:
        prefix: as above.
        shared: as above.
        running: the ids of requests that wait for their reply.
    """

    __slots__ = ("_count", "_early", "_exposing", "_pending", "prefix", "running", "shared")

    def __init__(self, prefix: str, *, shared: bool = False) -> None:
        self.prefix = prefix
        self.shared = shared
        self._count = 0
        self._pending: dict[int, Any] = {}
        self._early: list[Execute] | None = []
        self._exposing = False
        self.running: set[Id] = set()

    # As who wraps

    def request(self, kind: str, path: tuple[str, ...], number: int, **more: Any) -> Wire:
        """Return the message of a request that is expected to be answered."""
        return {"id": self.id_of(number), "type": kind, "path": list(path), **more}

    def expect(self, token: Any) -> int:
        """Return the number of a new request; its reply comes back with `token`."""
        self._count = count = self._count + 1
        self._pending[count] = token
        return count

    def id_of(self, number: int) -> str:
        """Return the id of a request of this end."""
        return f"{self.prefix}{number}"

    def number_of(self, id_: str) -> int:
        """Return the number of a request of this end; 0 if the id is of no such."""
        if not id_.startswith(self.prefix):
            return 0
        digits = id_[len(self.prefix) :]
        fits = len(digits) < MAX_ID_DIGITS and digits.isascii() and digits.isdecimal()
        return int(digits) if fits and digits[0] != "0" else 0

    def answered(self, number: int) -> Any:
        """Return the token of a request whose reply was read elsewhere; None if nobody waits."""
        return self._pending.pop(number, None)

    def cancel(self, number: int) -> Wire | None:
        """Wait no longer for a reply; gives the message that says so, if it did not come before."""
        if self._pending.pop(number, None) is None:
            return None
        return {"type": "CANCEL", "id": self.id_of(number)}

    @property
    def waiting(self) -> int:
        """How many requests wait for their reply."""
        return len(self._pending)

    def give_up(self) -> list[Any]:
        """Wait for no reply any more; returns the tokens of all that did."""
        tokens = list(self._pending.values())
        self._pending.clear()
        return tokens

    def forget(self, number: int) -> None:
        """Take back a request that could not be posted."""
        self._pending.pop(number, None)

    def end(self) -> list[Any]:
        """Be over, since the port is; return the tokens of all that waits for a reply."""
        tokens = list(self._pending.values())
        self._pending.clear()
        self.running.clear()
        self._early = None
        self._exposing = False
        return tokens

    # As who exposes

    @property
    def exposing(self) -> bool:
        """Whether requests are to be run."""
        return self._exposing

    def expose(self) -> list[Execute]:
        """Run requests from now on; return those that came before."""
        early, self._early = self._early or [], None
        self._exposing = True
        self.running.update(run.id for run in early)
        return early

    def conceal(self) -> None:
        """Run requests no more."""
        self._exposing = False
        self.running.clear()

    def reply(self, id_: Id, wire: Wire) -> Wire | None:
        """Return the message that answers a request; None if nobody waits for it any more."""
        if not self.finish(id_):
            return None
        wire["id"] = id_
        return wire

    def begin(self, id_: str) -> bool:
        """Note that a request runs which was read elsewhere; False if `received` has to judge."""
        if not self._exposing or not id_ or id_ in self.running:
            return False
        self.running.add(id_)
        return True

    def finish(self, id_: Id) -> bool:
        """Note that a request is answered; False if nobody waits for it any more."""
        try:
            self.running.remove(id_)
        except KeyError:
            return False
        return True

    # What arrives

    def received(self, message: Any) -> Action | None:
        """Take a message; return what is to be done about it."""
        if type(message) is not dict:
            return None
        kind, id_ = message.get("type"), message.get("id")
        if kind in ("RAW", "HANDLER"):
            number = self.number_of(id_) if type(id_) is str else 0
            token = self.answered(number)
            if token is not None:
                return SettleCall(token, message)
            return None if self.shared and not number else Discard([message])
        if type(kind) is not str:
            return None
        if kind in REQUEST_TYPES or kind == "CANCEL":
            if not _is_id(id_) or (self.shared and not self._exposing):
                return None
            return self._cancelled(id_) if kind == "CANCEL" else self._asked(kind, id_, message)
        return _stream_action(kind, message)

    def _asked(self, kind: str, id_: Id, message: Wire) -> Action | None:
        arguments, keywords = message.get("argumentList") or [], message.get("keywords") or {}
        if kind == "SET":
            arguments = [message.get("value")]
        wires = _wires_in(arguments, keywords)
        if id_ in self.running:  # two calls can't have one answer
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
        if self._early is None:
            return _refusal(id_, "nothing is exposed here any more", wires)
        if len(self._early) == MAX_QUEUED_BEFORE_EXPOSE:
            return _refusal(
                id_,
                f"nothing is exposed here, and {MAX_QUEUED_BEFORE_EXPOSE} calls wait already",
                wires,
            )
        self._early.append(run)
        return None

    def _cancelled(self, id_: Id) -> Action | None:
        if id_ in self.running:
            self.running.discard(id_)
            return Cancel(id_)
        for run in self._early or ():
            if run.id == id_:
                self._early.remove(run)  # type: ignore[union-attr]
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
    """Return the Wires in a request that may be malformed."""
    listed = list(arguments) if type(arguments) is list else []
    named = list(keywords.values()) if type(keywords) is dict else []
    return [wire for wire in listed + named if type(wire) is dict]


def malformed_reason(path: Any, arguments: Any, keywords: Any) -> str:
    """Return what is wrong with a request; nothing if it is fine."""
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

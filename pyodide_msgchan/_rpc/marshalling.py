"""Values of remote calls: each becomes a Wire, and some get a port of their own."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Iterable
from types import GeneratorType
from typing import Any, ClassVar, Final, Protocol, Self, cast

from pyodide_msgchan._codec.exceptions import error_from, post_thrown, wire_of_error
from pyodide_msgchan._codec.registry import ATOMS, CONTAINERS
from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._port.port import MessagePort
from pyodide_msgchan._port.unreadable import UNREADABLE
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.access import AccessPolicy, is_function
from pyodide_msgchan._rpc.remote import DEFAULT_OPTIONS, Options, Remote, RemoteHandle
from pyodide_msgchan._rpc.streams import RemoteIterator, StreamSource
from pyodide_msgchan.errors import DataCloneError, MessageError

__all__ = [
    "EXACT",
    "PLAIN",
    "Attachments",
    "Marshaller",
    "Proxied",
    "Transferred",
    "cross_unchanged",
    "keywords_error",
    "with_caller_path",
]


class Proxied:
    """An object that is to travel as a proxy."""

    __slots__ = ("policy",)

    def __init__(self, policy: AccessPolicy) -> None:
        self.policy = policy


class Transferred:
    """A value, and what in it is to be moved instead of copied."""

    __slots__ = ("items", "value")

    def __init__(self, value: Any, items: tuple[Any, ...]) -> None:
        self.value = value
        self.items = items


class _Closable(Protocol):
    def finish(self) -> None:
        """Be over."""


class Attachments:
    """What goes along with one message: what is moved, and what was made for it."""

    __slots__ = ("ports", "sessions", "transfer")

    NONE: ClassVar[Attachments]

    def __init__(self) -> None:
        self.transfer: list[Any] = []
        self.sessions: list[_Closable] = []
        self.ports: list[MessagePort] = []

    def undo(self) -> None:
        """Close what was made: the message could not be sent."""
        for session in self.sessions:
            session.finish()
        for port in self.ports:
            port.close()


Attachments.NONE = Attachments()


_ARGUMENT_PATHS = (
    ("message['argumentList'][", "argument ", "['value']"),
    ("message['keywords'][", "keyword ", "['value']"),
    ("message['args'][", "argument ", ""),
)


_VALUE_PATHS = (
    ("message['value']['value']", "value"),
    ("message['item']['value']", "the item"),
)


def with_caller_path(error: DataCloneError, result: str = "") -> DataCloneError:
    """Say the place of what can't be sent in the words of who called, not of the wire.

    Args:
        error: of posting the message.
        result: what the value of the message is, if that is a reply.
    """
    path = error.path
    for prefix, word, wire in _ARGUMENT_PATHS:
        if path.startswith(prefix):
            index, _, rest = path[len(prefix) :].partition("]")
            name = str(int(index) + 1) if index.isdigit() else index
            return DataCloneError(error.reason, word + name + rest.removeprefix(wire))
    for prefix, word in (("message['value']", result),) if result else _VALUE_PATHS:
        if path.startswith(prefix):
            return DataCloneError(error.reason, word + path[len(prefix) :])
    return error


def keywords_error(keywords: Iterable[str]) -> TypeError:
    """Return the error of keyword arguments for a JavaScript end."""
    return TypeError(
        f"keyword arguments ({', '.join(keywords)}) can't be sent to JavaScript: give them by "
        'position, or wrap(port, kwargs="object") makes one last object of them'
    )


PLAIN: Final = ATOMS | CONTAINERS
"""Types of values that need no second look: structured clone takes them, or says what is wrong."""


EXACT: Final = frozenset({type(None), bool, int, str})
"""Types whose values cross into JavaScript by themselves, on either lane."""


_SCALARS: Final = EXACT | {float}


def cross_unchanged(port: MessagePort, values: Iterable[Any]) -> bool:
    """Return True if values cross into JavaScript by themselves, as what they are on that port."""
    if EXACT.issuperset(map(type, values)):
        return True
    if not _SCALARS.issuperset(map(type, values)):
        return False
    return not port._endpoint.packed or not any(map(_is_whole, values))


def _is_whole(value: Any) -> bool:
    """Return True if it is a float that JavaScript takes for an integer."""
    return type(value) is float and value.is_integer()


class Marshaller:
    """The half of a `RpcSession` that turns values into Wires, on ports made for them.

    Attributes:
        port: on which they travel.
        python: whether the other end is this package too; None while nobody can tell.
        tracebacks: whether the other side may see where errors were raised.
        waiting: the iterator whose next item a task waits for; this may be all that keeps it.
    """

    def __init__(self, port: MessagePort, parent: Self | None) -> None:
        self.port = port
        self.python: bool | None = parent.python if parent else None
        self.tracebacks: bool = parent.tracebacks if parent else False
        self._source: StreamSource | None = None
        self._iterator: weakref.ref[RemoteIterator] | None = None
        self.waiting: RemoteIterator | None = None

    @abstractmethod
    def expose(self, policy: AccessPolicy) -> None:
        """Offer an object."""

    @abstractmethod
    def child(self, port: MessagePort) -> Self:
        """Return a link for a port that came, or goes, by this one."""

    @abstractmethod
    def handle(self, options: Options) -> RemoteHandle:
        """Return what refers to the object at the other end of a port that was made for it."""

    def wire(self, value: Any, attachments: Attachments) -> Wire:
        """Return the Wire of a value; what it makes for that is in the parcel."""
        if type(value) in PLAIN:
            return raw(value)
        if is_function(value):
            return self.marshal_proxy(AccessPolicy(value), attachments)
        if isinstance(value, Proxied):
            return self.marshal_proxy(value.policy, attachments)
        if isinstance(value, Transferred):
            attachments.transfer.extend(value.items)
            return raw(value.value)
        if isinstance(value, MessagePort):
            attachments.transfer.append(value)
        elif isinstance(value, Remote):
            raise DataCloneError("a Remote can't be sent; send a function that calls it", "value")
        elif hasattr(type(value), "__anext__") or isinstance(value, GeneratorType):
            return self.marshal_stream(value, attachments)
        return raw(value)

    def marshal_proxy(self, policy: AccessPolicy, attachments: Attachments) -> Wire:
        if hasattr(type(policy.root), "__anext__"):
            return self.marshal_stream(policy.root, attachments)
        session, wire = self._open_session(attachments)
        session.expose(policy)
        return wire

    def marshal_stream(self, items: Any, attachments: Attachments) -> Wire:
        session, wire = self._open_session(attachments)
        session._source = StreamSource(session, items)
        session.expose(AccessPolicy(session._source.methods()))
        return {**wire, "iterator": True}

    def _open_session(self, attachments: Attachments) -> tuple[Self, Wire]:
        ours, theirs = self._pair()
        if self.port._endpoint.packed:
            ours._endpoint.pack()
        session = self.child(ours)
        attachments.sessions.append(session)
        attachments.ports.append(theirs)
        attachments.transfer.append(theirs)
        return session, {"type": "HANDLER", "name": "proxy", "value": theirs}

    def _pair(self) -> tuple[MessagePort, MessagePort]:
        first, second = self.port._endpoint.pair()
        return MessagePort._from_endpoint(first), MessagePort._from_endpoint(second)

    def value(self, wire: Wire, options: Options | None = None) -> Any:
        """Return what a Wire stands for.

        Args:
            wire: that came.
            options: those of the Remote by which it came, for what it brings.

        Raises:
            RemoteError: it stands for an error.
            MessageError: it can't be read.
        """
        value, name = wire.get("value"), wire.get("name")
        if wire["type"] == "RAW":
            return value
        if name == "throw":
            raise error_from(wire)
        if name is UNREADABLE:
            raise cast("MessageError", value)
        if name != "proxy":
            raise MessageError(f"no transfer handler {short_repr(name, 60)} is known here")
        if not isinstance(value, MessagePort):
            raise MessageError("a proxy came without its port")
        if self.port._endpoint.packed:
            value._endpoint.pack()
        session = self.child(value)
        options = options or DEFAULT_OPTIONS
        handle = session.handle(options)
        if wire.get("iterator") is not True:
            return Remote(handle)
        session.python = self.python = True
        iterator = RemoteIterator(session, handle, options.prefetch)
        session._iterator = weakref.ref(iterator)
        return iterator

    def post(self, message: Wire) -> None:
        """Send a message as it is."""
        self.port.post_message(message)

    def post_item(self, message: Wire, value: Any) -> None:
        """Send a message with the Wire of a value as its `item`."""
        attachments = Attachments()
        try:
            message["item"] = self.wire(value, attachments)
            self.port.post_message(message, transfer=attachments.transfer)
        except BaseException as error:
            attachments.undo()
            if isinstance(error, DataCloneError):
                raise with_caller_path(error) from None
            raise

    def post_error(self, message: Wire, error: BaseException) -> None:
        """Send a message with the Wire of an error as its `item`."""
        wire = wire_of_error(error, traceback=self.tracebacks)
        post_thrown(wire, lambda wire: self.port.post_message({**message, "item": wire}))

    def finish(self) -> None:
        """Close the port: all was said on it."""
        self.port.close()

"""Marshalling of remote calls: values to wire values and back, with a new port for each proxy."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Iterable
from types import GeneratorType
from typing import Any, ClassVar, Final, Protocol, Self, cast

from pyodide_msgchan._codec.exceptions import error_from, post_thrown, wire_of_error
from pyodide_msgchan._codec.registry import ATOMS, CONTAINERS
from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort, wrap_endpoint
from pyodide_msgchan._port.unreadable import UNREADABLE
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.access import AccessPolicy, is_function
from pyodide_msgchan._rpc.remote import DEFAULT_OPTIONS, Options, Remote, RemoteHandle
from pyodide_msgchan._rpc.streams import RemoteIterator, StreamSource
from pyodide_msgchan.errors import DataCloneError, MessageError

__all__ = [
    "CLONEABLE_TYPES",
    "UNCHANGED_TYPES",
    "Attachments",
    "Marshaller",
    "Proxied",
    "Transferred",
    "cross_unchanged",
    "keywords_error",
    "with_caller_path",
]


class Proxied:
    """An object that is sent by reference, with its access policy."""

    __slots__ = ("policy",)

    def __init__(self, policy: AccessPolicy) -> None:
        self.policy = policy


class Transferred:
    """A value, and the items in it that are transferred instead of copied."""

    __slots__ = ("items", "value")

    def __init__(self, value: Any, items: tuple[Any, ...]) -> None:
        self.value = value
        self.items = items


class _Closable(Protocol):
    def finish(self) -> None:
        """Close this session."""


class Attachments:
    """The transfer list of one message, and the sessions and ports that were made for it."""

    __slots__ = ("ports", "sessions", "transfer")

    NONE: ClassVar[Attachments]

    def __init__(self) -> None:
        self.transfer: list[Any] = []
        self.sessions: list[_Closable] = []
        self.ports: list[MessagePort] = []

    def undo(self) -> None:
        """Close what was made for the message, because it could not be sent."""
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
    """Return an error whose path is in terms of the call instead of the message.

    Args:
        error: the error of posting the message.
        result: how to name the value of the message, if that is a reply.
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
    """Return the TypeError for keyword arguments that a JavaScript end can't receive."""
    return TypeError(
        f"keyword arguments ({', '.join(keywords)}) can't be sent to JavaScript: pass them by "
        'position, or use wrap(port, kwargs="object") to send them as one last object'
    )


CLONEABLE_TYPES: Final = ATOMS | CONTAINERS
"""Types that need no marshalling: structured clone copies them, or reports what it can't copy."""


UNCHANGED_TYPES: Final = frozenset({type(None), bool, int, str})
"""Types whose values need no conversion for JavaScript, on either lane."""


_UNCHANGED_OR_FLOAT: Final = UNCHANGED_TYPES | {float}


def cross_unchanged(port: MessagePort, values: Iterable[Any]) -> bool:
    """Return True if no value needs conversion for JavaScript on this port's lane."""
    if UNCHANGED_TYPES.issuperset(map(type, values)):
        return True
    if not _UNCHANGED_OR_FLOAT.issuperset(map(type, values)):
        return False
    return not core_of(port).endpoint.packed or not any(map(_is_integral_float, values))


def _is_integral_float(value: Any) -> bool:
    """Return True for a float that JavaScript can't tell from an integer."""
    return type(value) is float and value.is_integer()


class Marshaller:
    """The marshaller part of an `RpcSession`: it converts values to wire values and back.

    Attributes:
        port: on which the values are sent and received.
        python: whether the other end is this package too; None while that is unknown.
        tracebacks: whether the other side sees the tracebacks of errors.
        waiting_iterator: the iterator for whose next item a task waits. This may be its only
            reference.
    """

    def __init__(self, port: MessagePort, parent: Self | None) -> None:
        self.port = port
        self.python: bool | None = parent.python if parent else None
        self.tracebacks: bool = parent.tracebacks if parent else False
        self._source: StreamSource | None = None
        self._iterator: weakref.ref[RemoteIterator] | None = None
        self.waiting_iterator: RemoteIterator | None = None

    @abstractmethod
    def expose(self, policy: AccessPolicy) -> None:
        """Expose an object on the port."""

    @abstractmethod
    def child(self, port: MessagePort) -> Self:
        """Return a session for a port that was sent or received on this one."""

    @abstractmethod
    def make_handle(self, options: Options) -> RemoteHandle:
        """Return a handle for the object at the other end, for which this port was made."""

    def to_wire(self, value: Any, attachments: Attachments) -> Wire:
        """Return the wire value of a value, and add the ports it needs to the attachments."""
        if type(value) in CLONEABLE_TYPES:
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
        """Expose an object on a new port, and return the wire value of its proxy."""
        if hasattr(type(policy.root), "__anext__"):
            return self.marshal_stream(policy.root, attachments)
        session, wire = self._open_session(attachments)
        session.expose(policy)
        return wire

    def marshal_stream(self, items: Any, attachments: Attachments) -> Wire:
        """Expose an iterator on a new port, and return the wire value of its proxy."""
        session, wire = self._open_session(attachments)
        session._source = StreamSource(session, items)
        session.expose(AccessPolicy(session._source.methods()))
        return {**wire, "iterator": True}

    def _open_session(self, attachments: Attachments) -> tuple[Self, Wire]:
        ours, theirs = self._pair()
        if core_of(self.port).endpoint.packed:
            core_of(ours).endpoint.enable_packing()
        session = self.child(ours)
        attachments.sessions.append(session)
        attachments.ports.append(theirs)
        attachments.transfer.append(theirs)
        return session, {"type": "HANDLER", "name": "proxy", "value": theirs}

    def _pair(self) -> tuple[MessagePort, MessagePort]:
        first, second = core_of(self.port).endpoint.pair()
        return wrap_endpoint(first), wrap_endpoint(second)

    def from_wire(self, wire: Wire, options: Options | None = None) -> Any:
        """Return the value of a wire value.

        Args:
            wire: as received.
            options: of the Remote through which it was received; what it contains inherits them.

        Raises:
            RemoteError: it stands for an error.
            MessageError: it can't be decoded.
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
        if core_of(self.port).endpoint.packed:
            core_of(value).endpoint.enable_packing()
        session = self.child(value)
        options = options or DEFAULT_OPTIONS
        handle = session.make_handle(options)
        if wire.get("iterator") is not True:
            return Remote(handle)
        session.python = self.python = True
        iterator = RemoteIterator(session, handle, options.prefetch)
        session._iterator = weakref.ref(iterator)
        return iterator

    def post(self, message: Wire) -> None:
        """Post a message without marshalling."""
        self.port.post_message(message)

    def post_item(self, message: Wire, value: Any) -> None:
        """Post a message with the wire value of `value` as its `item`."""
        attachments = Attachments()
        try:
            message["item"] = self.to_wire(value, attachments)
            self.port.post_message(message, transfer=attachments.transfer)
        except BaseException as error:
            attachments.undo()
            if isinstance(error, DataCloneError):
                raise with_caller_path(error) from None
            raise

    def post_error(self, message: Wire, error: BaseException) -> None:
        """Post a message with the wire value of an error as its `item`."""
        wire = wire_of_error(error, traceback=self.tracebacks)
        post_thrown(wire, lambda wire: self.port.post_message({**message, "item": wire}))

    def finish(self) -> None:
        """Close the port, because nothing more is sent on it."""
        self.port.close()

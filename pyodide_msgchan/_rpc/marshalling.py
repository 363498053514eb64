"""Marshalling of remote calls: values to wire values and back, with a new port for each proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context
from types import GeneratorType
from typing import Any, ClassVar, Final, Protocol, cast, final

from pyodide_msgchan._codec.exceptions import error_from, wire_of_error
from pyodide_msgchan._codec.registry import ATOMS, CONTAINERS
from pyodide_msgchan._codec.wire import Wire, raw
from pyodide_msgchan._interfaces import Endpoint
from pyodide_msgchan._port.core import core_of
from pyodide_msgchan._port.port import MessagePort, wrap_endpoint
from pyodide_msgchan._port.unreadable import UNREADABLE
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan._rpc.access import AccessPolicy, is_function
from pyodide_msgchan._rpc.remote import DEFAULT_OPTIONS, Options, Remote
from pyodide_msgchan.errors import DataCloneError, MessageError

__all__ = [
    "CLONEABLE_TYPES",
    "UNCHANGED_TYPES",
    "Attachments",
    "Marshaller",
    "Proxied",
    "ProxyMarshaller",
    "SameObject",
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


class SameObject:
    """An object to expose, in the current context, on a new port that is sent itself."""

    __slots__ = ("context", "policy")

    def __init__(self, policy: AccessPolicy) -> None:
        self.policy = policy
        self.context = copy_context()


class Transferred:
    """A value, and the items in it that are transferred instead of copied."""

    __slots__ = ("items", "value")

    def __init__(self, value: Any, items: tuple[Any, ...]) -> None:
        self.value = value
        self.items = items


class Attachments:
    """The transfer list of one message, and the ports that were made for it."""

    __slots__ = ("ports", "transfer")

    NONE: ClassVar[Attachments]

    def __init__(self) -> None:
        self.transfer: list[Any] = []
        self.ports: list[MessagePort] = []

    def undo(self) -> None:
        """Close what was made for the message, because it could not be sent."""
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


def cross_unchanged(endpoint: Endpoint, values: Iterable[Any]) -> bool:
    """Return True if no value needs conversion for JavaScript on this endpoint's lane."""
    if UNCHANGED_TYPES.issuperset(map(type, values)):
        return True
    if not _UNCHANGED_OR_FLOAT.issuperset(map(type, values)):
        return False
    return not endpoint.packed or not any(map(_is_integral_float, values))


def _is_integral_float(value: Any) -> bool:
    """Return True for a float that JavaScript can't tell from an integer."""
    return type(value) is float and value.is_integer()


class Marshaller:
    """Converts values to wire values and back, without references to objects of either side.

    Attributes:
        python: whether the other end is this package too; None while that is unknown.
        tracebacks: whether the other side sees the tracebacks of errors.
    """

    def __init__(self, *, python: bool | None = None, tracebacks: bool = False) -> None:
        self.python = python
        self.tracebacks = tracebacks

    def to_wire(self, value: Any, attachments: Attachments) -> Wire:
        """Return the wire value of a value, and add the ports it needs to the attachments.

        An object that has to be sent by reference stays as it is, so that posting it raises
        DataCloneError.

        Raises:
            DataCloneError: the value is a Remote.
        """
        if isinstance(value, Proxied):
            return raw(value.policy.root)
        if isinstance(value, Transferred):
            attachments.transfer.extend(value.items)
            return raw(value.value)
        if isinstance(value, MessagePort):
            attachments.transfer.append(value)
        elif isinstance(value, Remote):
            raise DataCloneError("a Remote can't be sent; send a function that calls it", "value")
        return raw(value)

    def from_wire(self, wire: Wire, options: Options | None = None) -> Any:
        """Return the value of a wire value.

        Args:
            wire: as received.
            options: of the Remote through which it was received; what it contains inherits them.

        Raises:
            RemoteError: it stands for an error.
            MessageError: it can't be decoded.
        """
        del options  # only what is a reference inherits them
        value, name = wire.get("value"), wire.get("name")
        if wire["type"] == "RAW":
            return value
        if name == "throw":
            raise error_from(wire)
        if name is UNREADABLE:
            raise cast("MessageError", value)
        raise MessageError(f"no transfer handler {short_repr(name, 60)} is known here")

    def error_to_wire(self, error: BaseException) -> Wire:
        """Return the wire value of an error."""
        return wire_of_error(error, traceback=self.tracebacks)


class ChildSession(Protocol):
    """The session of a port that was made for one object."""

    def expose(self, policy: AccessPolicy) -> None:
        """Expose an object on the port."""

    def expose_stream(self, items: Any) -> None:
        """Expose an iterator on the port."""

    def remote(self, options: Options) -> Any:
        """Return a `Remote` for the object at the other end."""

    def remote_iterator(self, options: Options) -> Any:
        """Return a `RemoteIterator` for the iterator at the other end."""


@final
class ProxyMarshaller(Marshaller):
    """Converts values to wire values and back, with a new port for each object sent by reference.

    Args:
        port: on which the values are sent and received.
        open_child: returns a session for a port that was sent or received among values, given
            this marshaller; it raises PortStateError and closes the port after the end.
        parent: the marshaller of the values among which the port was sent or received.
    """

    def __init__(
        self,
        port: MessagePort,
        open_child: Callable[[MessagePort, Marshaller], ChildSession],
        parent: Marshaller | None,
    ) -> None:
        super().__init__()
        if parent is not None:
            self.python, self.tracebacks = parent.python, parent.tracebacks
        self._endpoint, self._open_child = core_of(port).endpoint, open_child

    def to_wire(self, value: Any, attachments: Attachments) -> Wire:
        """Return the wire value of a value, and add the ports it needs to the attachments."""
        if type(value) in CLONEABLE_TYPES:
            return raw(value)
        if is_function(value):
            return self._send_proxy(AccessPolicy(value), attachments)
        if isinstance(value, Proxied):
            return self._send_proxy(value.policy, attachments)
        if isinstance(value, SameObject):
            session, theirs = self._open_session(attachments, packed=False)
            value.context.run(session.expose, value.policy)
            return raw(theirs)
        if isinstance(value, GeneratorType) or (
            hasattr(type(value), "__anext__") and not isinstance(value, MessagePort)
        ):
            return self._send_stream(value, attachments)
        return super().to_wire(value, attachments)

    def _send_proxy(self, policy: AccessPolicy, attachments: Attachments) -> Wire:
        if hasattr(type(policy.root), "__anext__"):
            return self._send_stream(policy.root, attachments)
        session, theirs = self._open_session(attachments, packed=self._endpoint.packed)
        session.expose(policy)
        return {"type": "HANDLER", "name": "proxy", "value": theirs}

    def _send_stream(self, items: Any, attachments: Attachments) -> Wire:
        session, theirs = self._open_session(attachments, packed=self._endpoint.packed)
        session.expose_stream(items)
        return {"type": "HANDLER", "name": "proxy", "value": theirs, "iterator": True}

    def _open_session(
        self, attachments: Attachments, *, packed: bool
    ) -> tuple[ChildSession, MessagePort]:
        near, far = self._endpoint.pair()
        if packed:
            near.enable_packing()
        ours, theirs = wrap_endpoint(near), wrap_endpoint(far)
        attachments.ports += (ours, theirs)
        attachments.transfer.append(theirs)
        return self._open_child(ours, self), theirs

    def from_wire(self, wire: Wire, options: Options | None = None) -> Any:
        """Return the value of a wire value; as for `Marshaller`."""
        if wire["type"] == "RAW":
            return wire.get("value")
        if wire.get("name") != "proxy":
            return super().from_wire(wire)
        port = wire.get("value")
        if not isinstance(port, MessagePort):
            raise MessageError("a proxy came without its port")
        if self._endpoint.packed:
            core_of(port).endpoint.enable_packing()
        is_iterator = wire.get("iterator") is True
        if is_iterator:
            self.python = True
        session = self._open_child(port, self)
        options = options or DEFAULT_OPTIONS
        return session.remote_iterator(options) if is_iterator else session.remote(options)

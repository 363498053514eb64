"""Values of remote calls on their way: each becomes a Wire, some with a port of their own."""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Iterable
from types import GeneratorType
from typing import Any, Final, Self, cast

from ._clone import ATOMS, CONTAINERS
from ._comlink import Wire, raw
from ._iteration import RemoteIterator, Source
from ._parcel import Parcel, Proxied, Transferred, readable
from ._printing import short_repr
from ._reach import Reach, is_function
from ._remote import DEFAULT_OPTIONS, Hold, Options, Remote
from ._remote_errors import error_from, post_thrown, wire_of_error
from ._unread import UNREADABLE
from .errors import DataCloneError, MessageError
from .port import MessagePort

__all__ = ["EXACT", "PLAIN", "Values", "cross_plainly"]

PLAIN: Final = ATOMS | CONTAINERS
"""Types of values that need no second look: structured clone takes them, or says what is wrong."""

EXACT: Final = frozenset({type(None), bool, int, str})
"""Types whose values cross into JavaScript by themselves, on either lane."""

_SCALARS: Final = EXACT | {float}


def cross_plainly(port: MessagePort, values: Iterable[Any]) -> bool:
    """Say whether values cross into JavaScript by themselves, as what they are on that port."""
    if EXACT.issuperset(map(type, values)):
        return True
    if not _SCALARS.issuperset(map(type, values)):
        return False
    return not port._endpoint.packed or not any(map(_is_whole, values))


def _is_whole(value: Any) -> bool:
    """Say whether it is a float that JavaScript takes for an integer."""
    return type(value) is float and value.is_integer()


class Values:
    """The half of a `Link` that turns values into Wires, on ports made for them.

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
        self._source: Source | None = None
        self._iterator: weakref.ref[RemoteIterator] | None = None
        self.waiting: RemoteIterator | None = None

    @abstractmethod
    def expose(self, reach: Reach) -> None:
        """Offer an object."""

    @abstractmethod
    def child(self, port: MessagePort) -> Self:
        """Give a link for a port that came, or goes, by this one."""

    @abstractmethod
    def hold(self, options: Options) -> Hold:
        """Give what refers to the object at the other end of a port that was made for it."""

    def wire(self, value: Any, parcel: Parcel) -> Wire:
        """Give the Wire of a value; what it makes for that is in the parcel."""
        if type(value) in PLAIN:
            return raw(value)
        if is_function(value):
            return self._proxy(Reach(value), parcel)
        if isinstance(value, Proxied):
            return self._proxy(value.reach, parcel)
        if isinstance(value, Transferred):
            parcel.transfer.extend(value.items)
            return raw(value.value)
        if isinstance(value, MessagePort):
            parcel.transfer.append(value)
        elif isinstance(value, Remote):
            raise DataCloneError("a Remote can't be sent; send a function that calls it", "value")
        elif hasattr(type(value), "__anext__") or isinstance(value, GeneratorType):
            return self._stream(value, parcel)
        return raw(value)

    def _proxy(self, reach: Reach, parcel: Parcel) -> Wire:
        if hasattr(type(reach.root), "__anext__"):
            return self._stream(reach.root, parcel)
        link, wire = self._made(parcel)
        link.expose(reach)
        return wire

    def _stream(self, items: Any, parcel: Parcel) -> Wire:
        link, wire = self._made(parcel)
        link._source = Source(link, items)
        link.expose(Reach(link._source.methods()))
        return {**wire, "iterator": True}

    def _made(self, parcel: Parcel) -> tuple[Self, Wire]:
        ours, theirs = self._pair()
        if self.port._endpoint.packed:
            ours._endpoint.pack()
        link = self.child(ours)
        parcel.links.append(link)
        parcel.ports.append(theirs)
        parcel.transfer.append(theirs)
        return link, {"type": "HANDLER", "name": "proxy", "value": theirs}

    def _pair(self) -> tuple[MessagePort, MessagePort]:
        first, second = self.port._endpoint.pair()
        return MessagePort._of(first), MessagePort._of(second)

    def value(self, wire: Wire, options: Options | None = None) -> Any:
        """Give what a Wire stands for.

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
        link = self.child(value)
        options = options or DEFAULT_OPTIONS
        hold = link.hold(options)
        if wire.get("iterator") is not True:
            return Remote(hold)
        link.python = self.python = True
        iterator = RemoteIterator(link, hold, options.prefetch)
        link._iterator = weakref.ref(iterator)
        return iterator

    def post(self, message: Wire) -> None:
        """Send a message as it is."""
        self.port.post_message(message)

    def post_item(self, message: Wire, value: Any) -> None:
        """Send a message with the Wire of a value as its `item`."""
        parcel = Parcel()
        try:
            message["item"] = self.wire(value, parcel)
            self.port.post_message(message, transfer=parcel.transfer)
        except BaseException as error:
            parcel.undo()
            if isinstance(error, DataCloneError):
                raise readable(error) from None
            raise

    def post_error(self, message: Wire, error: BaseException) -> None:
        """Send a message with the Wire of an error as its `item`."""
        wire = wire_of_error(error, traceback=self.tracebacks)
        post_thrown(wire, lambda wire: self.port.post_message({**message, "item": wire}))

    def finish(self) -> None:
        """Close the port: all was said on it."""
        self.port.close()

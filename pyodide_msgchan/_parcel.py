"""What goes along with a message of remote calls, and how an error says where it stands in one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Protocol

from ._reach import Reach
from .errors import DataCloneError
from .port import MessagePort

__all__ = ["Parcel", "Proxied", "Transferred", "no_keywords", "readable"]


class Proxied:
    """An object that is to travel as a proxy."""

    __slots__ = ("reach",)

    def __init__(self, reach: Reach) -> None:
        self.reach = reach


class Transferred:
    """A value, and what in it is to be moved instead of copied."""

    __slots__ = ("items", "value")

    def __init__(self, value: Any, items: tuple[Any, ...]) -> None:
        self.value = value
        self.items = items


class _Closable(Protocol):
    def finish(self) -> None:
        """Be over."""


class Parcel:
    """What goes along with one message: what is moved, and what was made for it."""

    __slots__ = ("links", "ports", "transfer")

    NONE: ClassVar[Parcel]

    def __init__(self) -> None:
        self.transfer: list[Any] = []
        self.links: list[_Closable] = []
        self.ports: list[MessagePort] = []

    def undo(self) -> None:
        """Close what was made: the message could not be sent."""
        for link in self.links:
            link.finish()
        for port in self.ports:
            port.close()


Parcel.NONE = Parcel()

_LISTED = (
    ("message['argumentList'][", "argument ", "['value']"),
    ("message['keywords'][", "keyword ", "['value']"),
    ("message['args'][", "argument ", ""),
)
_WHOLE = (
    ("message['value']['value']", "value"),
    ("message['item']['value']", "the item"),
)


def readable(error: DataCloneError, result: str = "") -> DataCloneError:
    """Say the place of what can't be sent in the words of who called, not of the wire.

    Args:
        error: of posting the message.
        result: what the value of the message is, if that is a reply.
    """
    path = error.path
    for prefix, word, wire in _LISTED:
        if path.startswith(prefix):
            index, _, rest = path[len(prefix) :].partition("]")
            name = str(int(index) + 1) if index.isdigit() else index
            return DataCloneError(error.reason, word + name + rest.removeprefix(wire))
    for prefix, word in (("message['value']", result),) if result else _WHOLE:
        if path.startswith(prefix):
            return DataCloneError(error.reason, word + path[len(prefix) :])
    return error


def no_keywords(keywords: Iterable[str]) -> TypeError:
    """Give the error of keyword arguments for a JavaScript end."""
    return TypeError(
        f"keyword arguments ({', '.join(keywords)}) can't be sent to JavaScript: give them by "
        'position, or wrap(port, kwargs="object") makes one last object of them'
    )

"""Types of the clone lane: those that it carries, and converters for those of users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pyodide_msgchan._printing import short_repr

__all__ = [
    "ATOMS",
    "CONTAINERS",
    "converted_as",
    "converter_for",
    "converter_of",
    "converters",
    "register_converter",
]


ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes, bytearray})


CONTAINERS: Final = frozenset({list, dict, tuple, set, frozenset})


converters: dict[type, Callable[[Any], object]] = {}


def register_converter[T](kind: type[T], to_clone: Callable[[T], object]) -> None:
    """Teach the clone lane a type, and its subclasses, wherever they stand in a message.

    One way only: what `to_clone` returns is sent in its place, and arrives as that.

    Args:
        kind: the class; not a built-in type that messages carry already.
        to_clone: called with the object, returns something that can be sent.

    Raises:
        TypeError: `kind` is no class, a type that messages carry already, or
            `to_clone` can't be called.
    """
    if not isinstance(kind, type):
        raise TypeError(f"a converter belongs to a class, not to {short_repr(kind)}")
    if kind is object or kind in {*ATOMS, *CONTAINERS}:
        raise TypeError(f"{kind.__name__} can't be given a converter: messages carry it as it is")
    if not callable(to_clone):
        raise TypeError(
            f"a converter is called with the object, and {short_repr(to_clone)} can't be called"
        )
    converters[kind] = to_clone


def converted_as(value: Any) -> type | None:
    """Return the class whose converter serves a value, if one does."""
    return next((kind for kind in type(value).__mro__ if kind in converters), None)


def converter_of(value: Any) -> Callable[[Any], object] | None:
    """Return the converter that serves a value, if one does."""
    kind = converted_as(value)
    return None if kind is None else converters[kind]


def converter_for(kind: type) -> Callable[[Any], object]:
    """Return the converter of a class that has one."""
    return converters[kind]

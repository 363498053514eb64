"""The built-in types that messages carry, and the registry of converters for users' types."""

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
    """Register a function that converts objects of a class when they are sent.

    Objects of the class and its subclasses are converted at any depth of a message, on both lanes.
    The peer receives what `to_clone` returned, and does not convert it back; `register_type` keeps
    the type on the packed lane. A later call for the same class replaces its converter.

    Args:
        kind: the class. Built-in types that messages carry can't be converted.
        to_clone: called with the object. Returns a value that can be sent, or that another
            converter converts. An exception that it raises becomes the cause of a `DataCloneError`.

    Raises:
        TypeError: `kind` is not a class or is a type that messages carry, or `to_clone` is not
            callable.
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
    """Return the class whose converter applies to a value; None if there is none."""
    return next((kind for kind in type(value).__mro__ if kind in converters), None)


def converter_of(value: Any) -> Callable[[Any], object] | None:
    """Return the converter that applies to a value; None if there is none."""
    kind = converted_as(value)
    return None if kind is None else converters[kind]


def converter_for(kind: type) -> Callable[[Any], object]:
    """Return the converter of a class.

    Raises:
        KeyError: the class has none.
    """
    return converters[kind]

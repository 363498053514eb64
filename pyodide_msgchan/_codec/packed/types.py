"""The registry of users' types for the packed lane."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from enum import Enum
from operator import attrgetter
from typing import Any, final

from pyodide_msgchan._printing import short_repr

__all__ = ["TypeCodec", "codec_named", "codec_of", "register_type"]


@final
class TypeCodec:
    """How objects of a registered type are encoded and decoded.

    Attributes:
        kind: the type.
        name: the name of the type on the wire.
        pack: returns the value that is sent for an object; None for dataclasses and enums.
        unpack: returns the object for that value; None for dataclasses and enums.
        fields: the names of a dataclass's fields; None for all other types.
        values: returns the values of these fields for an object.
    """

    __slots__ = ("fields", "kind", "name", "pack", "unpack", "values")

    def __init__(
        self,
        kind: type,
        name: str,
        pack: Callable[[Any], Any] | None = None,
        unpack: Callable[[Any], Any] | None = None,
    ) -> None:
        self.kind, self.name, self.pack, self.unpack = kind, name, pack, unpack
        self.fields: tuple[str, ...] | None = None
        self.values: Callable[[Any], tuple[Any, ...]] = tuple
        if pack is None and not issubclass(kind, Enum):
            # The module of the dataclass has loaded `dataclasses`; other programs don't need it.
            from dataclasses import fields  # noqa: PLC0415

            described: Any = kind
            self.fields = tuple(field.name for field in fields(described))
            self.values = _getter(self.fields)


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple([getattr(value, name) for name in names])


_by_name: dict[str, TypeCodec] = {}


_by_type: dict[type, TypeCodec] = {}


def register_type[T](
    kind: type[T],
    pack: Callable[[T], Any] | None = None,
    unpack: Callable[[Any], T] | None = None,
    *,
    name: str | None = None,
) -> type[T]:
    """Register a class so that its objects keep their type on the packed lane.

    Register the same class on both sides, before the first message that holds such an object. Only
    objects of exactly this class are meant: register subclasses too. It is usable as a decorator.

    Dataclasses and enums need no functions. The fields of a dataclass are sent, and the receiver
    sets them without calling ``__init__`` or ``__post_init__``. Enum members are sent by name.

    Args:
        kind: the class.
        pack: called with an object. Returns a value that the packed lane can carry.
        unpack: called on the other side with that value. Returns the object. A hostile peer chooses
            the value, so check it.
        name: the name of the class on the wire, the same on both sides; by default
            ``module:qualified name``.

    Returns:
        The class.

    Raises:
        TypeError: `kind` is not a class, or is a built-in type; only one of `pack` and `unpack` is
            given; or none is, and `kind` is neither a dataclass nor an enum.
        ValueError: another class is registered under that name.
    """
    if not isinstance(kind, type):
        raise TypeError(f"only classes can be registered, not {short_repr(kind)}")
    if getattr(builtins, kind.__name__, None) is kind:
        raise TypeError(f"{kind.__name__} is a built-in type and can't be registered")
    if (pack is None) != (unpack is None):
        raise TypeError("pack and unpack belong together: give both or neither")
    if pack is None and not (issubclass(kind, Enum) or hasattr(kind, "__dataclass_fields__")):
        raise TypeError(
            f"{kind.__name__} is neither a dataclass nor an enum: "
            "give pack and unpack, which say how to send it"
        )
    name = f"{kind.__module__}:{kind.__qualname__}" if name is None else name
    known = _by_name.get(name)
    if known is not None and known.kind is not kind and _name(known.kind) != _name(kind):
        raise ValueError(f"{name!r} is registered already, for another class")
    _by_name[name] = _by_type[kind] = TypeCodec(kind, name, pack, unpack)
    return kind


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def codec_of(kind: type) -> TypeCodec | None:
    """Return the codec of a type; None if the type is not registered."""
    return _by_type.get(kind)


def codec_named(name: Any) -> TypeCodec:
    """Return the codec of the type that is registered under a name.

    Raises:
        ValueError: there is none.
    """
    if type(name) is not str or name not in _by_name:
        shown = name if type(name) is str else type(name).__name__
        raise ValueError(f"{shown:.80} is not registered here")
    return _by_name[name]

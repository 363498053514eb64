"""The types that users have registered for the packed lane, and how their objects travel."""

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
    """How objects of a registered type are taken apart and put together.

    Attributes:
        kind: the type.
        name: what both sides know it by.
        pack: gives what is sent in place of an object; None for dataclasses and enums.
        unpack: makes the object of that.
        fields: of a dataclass.
        values: gives these of an object.
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
            from dataclasses import fields  # noqa: PLC0415 - its user has loaded it, others need not

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
    """Teach the packed lane a type, both ways; usable as a decorator.

    Dataclasses and enums need no more than this: of a dataclass the fields travel, and
    ``__init__`` is not run over there. Others say how. Both ends register the same, and objects of
    the very type are meant, not of subclasses.

    Args:
        kind: the class.
        pack: called with an object, gives what is sent in its place.
        unpack: called over there with that, which a hostile peer may have made up; return the
            object.
        name: what both ends know it by; module and name of the class if it is not given.

    Returns:
        The class.

    Raises:
        TypeError: `kind` is no class; one of `pack` and `unpack` is missing, or both are and it is
            neither a dataclass nor an enum.
        ValueError: another class is registered under that name.
    """
    if not isinstance(kind, type):
        raise TypeError(f"only classes can be registered, not {short_repr(kind)}")
    if getattr(builtins, kind.__name__, None) is kind:
        raise TypeError(f"{kind.__name__} is carried as it is, or not at all")
    if (pack is None) != (unpack is None):
        raise TypeError("pack and unpack belong together: one for each way")
    if pack is None and not (issubclass(kind, Enum) or hasattr(kind, "__dataclass_fields__")):
        raise TypeError(
            f"{kind.__name__} is neither a dataclass nor an enum: "
            "pack and unpack say how it travels"
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
    """Return how a type travels, if it was registered."""
    return _by_type.get(kind)


def codec_named(name: Any) -> TypeCodec:
    """Return how what came under a name is put together.

    Raises:
        ValueError: nothing is registered under it.
    """
    if type(name) is not str or name not in _by_name:
        shown = name if type(name) is str else type(name).__name__
        raise ValueError(f"{shown:.80} is not registered here")
    return _by_name[name]

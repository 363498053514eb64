"""What of a value may be read from outside: all but what stands under a private name."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from pyodide_msgchan._codec.outgoing import MAX_CONVERSIONS
from pyodide_msgchan._codec.packed.types import codec_of
from pyodide_msgchan._codec.registry import ATOMS, converter_of
from pyodide_msgchan.errors import DataCloneError

__all__ = ["public_fields", "without_private_names"]


def public_fields(kind: Any) -> frozenset[str]:
    """Return the names of the fields of a dataclass that may be read, ClassVars not among them."""
    from dataclasses import fields  # noqa: PLC0415 - its user has loaded it, others need not

    return frozenset(field.name for field in fields(kind) if not field.name.startswith("_"))


def without_private_names(value: Any, *, packed: bool) -> Any:
    """Return a value without the private keys of its dicts and private fields of its dataclasses.

    At any depth of dicts, lists, tuples and dataclasses. A dataclass stays one, with None in its
    private fields. What a converter makes of an object is treated the same; what a registered
    `pack` gives stays as it is, since `unpack` expects all of it.

    Args:
        value: what was read. It is returned itself if nothing in it is private.
        packed: whether it goes by the packed lane, where registered types stay what they are.

    Raises:
        DataCloneError: it is nested too deep.
    """
    if type(value) in ATOMS:
        return value
    copier = _Copier(packed=packed)
    if not copier.needs_copy(value):
        return value
    try:
        return copier.copy(value)
    except RecursionError:
        raise DataCloneError("nested too deep for the stack that is left here") from None


class _Copier:
    def __init__(self, *, packed: bool) -> None:
        self.packed = packed
        self.done: dict[int, Any] = {}
        self.alive: list[Any] = []

    def needs_copy(self, value: Any) -> bool:
        """Return True if something in a value is private, or is to be converted to know that."""
        seen: set[int] = set()
        level: list[Any] = [value]
        while level:
            inner: list[Any] = []
            for item in level:
                if id(item) in seen:
                    continue
                seen.add(id(item))
                if isinstance(item, dict):
                    if any(map(_is_private, dict.keys(item))):
                        return True
                    inner.extend(dict.values(item))
                elif isinstance(item, (list, tuple)):
                    inner.extend(item)
                elif names := self.fields(item):
                    if any(map(_is_private, names)):
                        return True
                    inner.extend(getattr(item, name, None) for name in names)
                elif converter_of(item) is not None:
                    return True
            self.alive.append(inner)  # so that no id is used twice
            level = [] if ATOMS.issuperset(map(type, inner)) else inner
        return False

    def fields(self, value: Any) -> tuple[str, ...]:
        """Return the fields of a value that goes as the dataclass that it is; none of others."""
        recipe = codec_of(type(value)) if self.packed else None
        return (recipe.fields if recipe is not None else None) or ()

    def copy(self, value: Any) -> Any:
        """Return a value without what is private in it."""
        if type(value) in ATOMS:
            return value
        if id(value) in self.done:
            return self.done[id(value)]
        if isinstance(value, dict):
            mapping: dict[Any, Any] = OrderedDict() if isinstance(value, OrderedDict) else {}
            self.note(value, mapping)
            for key, item in dict.items(value):
                if not _is_private(key):
                    mapping[key] = self.copy(item)
            return mapping
        if isinstance(value, list):
            items: list[Any] = []
            self.note(value, items)
            items.extend(map(self.copy, value))
            return items
        if isinstance(value, tuple):
            return self.note(value, tuple(map(self.copy, value)))
        if names := self.fields(value):
            return self.copy_dataclass(value, names)
        return self.note(value, self.converted(value))

    def copy_dataclass(self, value: Any, names: tuple[str, ...]) -> Any:
        result = self.note(value, object.__new__(type(value)))
        for name in names:
            item = None if _is_private(name) else self.copy(getattr(value, name))
            object.__setattr__(result, name, item)  # also where it is frozen
        return result

    def converted(self, value: Any) -> Any:
        """Return what a value's converters make of it; itself if it has none, or if one fails."""
        recipe = codec_of(type(value))
        if self.packed and recipe is not None:
            return value
        plain = value
        for _ in range(MAX_CONVERSIONS):
            converter = converter_of(plain)
            if converter is None:
                return value if plain is value else self.copy(plain)
            try:
                plain = converter(plain)
            except BaseException:  # noqa: BLE001 - whoever sends the value says so, with its place
                return value
            self.alive.append(plain)
        return value

    def note(self, source: Any, result: Any) -> Any:
        self.done[id(source)] = result
        self.alive.append(source)
        return result


def _is_private(key: object) -> bool:
    return isinstance(key, str) and str.startswith(key, "_")

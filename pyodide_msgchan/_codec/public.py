"""Removal of private keys and fields from values that a peer reads."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from pyodide_msgchan._codec.outgoing import MAX_CONVERSIONS
from pyodide_msgchan._codec.packed.types import codec_of
from pyodide_msgchan._codec.registry import ATOMS, converter_of
from pyodide_msgchan.errors import DataCloneError

__all__ = ["public_fields", "without_private_names"]


def public_fields(kind: Any) -> frozenset[str]:
    """Return the names of the public fields of a dataclass, without ClassVars."""
    # The module of the dataclass has loaded `dataclasses`; other programs don't need it.
    from dataclasses import fields  # noqa: PLC0415

    return frozenset(field.name for field in fields(kind) if not field.name.startswith("_"))


def without_private_names(value: Any, *, packed: bool) -> Any:
    """Return a value without private keys of dicts and private fields of dataclasses.

    They are removed at any depth of dicts, lists, tuples and dataclasses. A dataclass keeps its
    type, with None in its private fields. The result of a converter is treated the same. The result
    of a registered `pack` stays as it is, since `unpack` expects all of it.

    Args:
        value: the value that the peer reads. It is returned unchanged if nothing in it is private.
        packed: True if it is sent on the packed lane, where registered types keep their type.

    Raises:
        DataCloneError: the value is nested too deeply.
    """
    if type(value) in ATOMS:
        return value
    copier = _Copier(packed=packed)
    if not copier.needs_copy(value):
        return value
    try:
        return copier.copy(value)
    except RecursionError:
        raise DataCloneError("nested too deeply for the remaining stack") from None


class _Copier:
    """Copies one value without its private parts."""

    def __init__(self, *, packed: bool) -> None:
        self.packed = packed
        self.done: dict[int, Any] = {}
        self.kept_alive: list[Any] = []

    def needs_copy(self, value: Any) -> bool:
        """Return True if something in a value is private, or must be converted to find out."""
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
            self.kept_alive.append(inner)  # Keeps the items alive, so that no id is reused.
            level = [] if ATOMS.issuperset(map(type, inner)) else inner
        return False

    def fields(self, value: Any) -> tuple[str, ...]:
        """Return the field names of a value that is sent as a dataclass; empty for all others."""
        codec = codec_of(type(value)) if self.packed else None
        return (codec.fields if codec is not None else None) or ()

    def copy(self, value: Any) -> Any:
        """Return a copy of a value without its private parts."""
        if type(value) in ATOMS:
            return value
        if id(value) in self.done:
            return self.done[id(value)]
        if isinstance(value, dict):
            mapping: dict[Any, Any] = OrderedDict() if isinstance(value, OrderedDict) else {}
            self.remember(value, mapping)
            for key, item in dict.items(value):
                if not _is_private(key):
                    mapping[key] = self.copy(item)
            return mapping
        if isinstance(value, list):
            items: list[Any] = []
            self.remember(value, items)
            items.extend(map(self.copy, value))
            return items
        if isinstance(value, tuple):
            return self.remember(value, tuple(map(self.copy, value)))
        if names := self.fields(value):
            return self.copy_dataclass(value, names)
        return self.remember(value, self.converted(value))

    def copy_dataclass(self, value: Any, names: tuple[str, ...]) -> Any:
        result = self.remember(value, object.__new__(type(value)))
        for name in names:
            item = None if _is_private(name) else self.copy(getattr(value, name))
            object.__setattr__(result, name, item)  # This works for frozen dataclasses too.
        return result

    def converted(self, value: Any) -> Any:
        """Return the converted value; the value itself if no converter applies, or if one fails."""
        codec = codec_of(type(value))
        if self.packed and codec is not None:
            return value
        plain = value
        for _ in range(MAX_CONVERSIONS):
            converter = converter_of(plain)
            if converter is None:
                return value if plain is value else self.copy(plain)
            try:
                plain = converter(plain)
            except BaseException:  # noqa: BLE001 - sending the value raises it again, with its path
                return value
            self.kept_alive.append(plain)
        return value

    def remember(self, source: Any, result: Any) -> Any:
        self.done[id(source)] = result
        self.kept_alive.append(source)
        return result


def _is_private(key: object) -> bool:
    return isinstance(key, str) and str.startswith(key, "_")

"""Structured clone on the way out: what can be sent, in which form, and where it can't."""

from __future__ import annotations

import datetime as dt
import enum
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

from pyodide_msgchan._bridge.bridge import MAX_DEPTH
from pyodide_msgchan._bridge.ffi import is_js_big_int
from pyodide_msgchan._codec.registry import (
    ATOMS,
    CONTAINERS,
    converted_as,
    converter_for,
)
from pyodide_msgchan._printing import error_text, short_repr
from pyodide_msgchan.errors import DataCloneError

__all__ = [
    "EPOCH",
    "MAX_CONVERSIONS",
    "MAX_SAFE_INT",
    "MILLISECOND",
    "Leaf",
    "Path",
    "check_leaf",
    "distinct",
    "exact_value",
    "format_path",
    "milliseconds",
    "refusal_reason",
    "typed_view",
    "walk",
]

MAX_SAFE_INT: Final = 2**53 - 1


MAX_CONVERSIONS: Final = 20
"""Converters that may follow one another on one value."""


EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


MILLISECOND: Final = dt.timedelta(milliseconds=1)


type Path = tuple[Path, str] | None
"""A place in a message: the place of its owner and the step from there."""


type Leaf = Callable[[Any, Path], Any]
"""Gives the form of a value that is no container, or raises DataCloneError with its place."""


def distinct(values: list[Any]) -> list[Any]:
    """Return values without those that are in the list before, so that each is expanded once."""
    return list(dict(zip(map(id, values), values, strict=True)).values())


def format_path(path: Path) -> str:
    """Write a place the way Python would reach it."""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(step)
    return "message" + "".join(reversed(steps))


def walk(message: Any, leaf: Leaf) -> Any:
    """Return a message in plain containers, every other value as `leaf` gives it.

    Shared references and cycles stay what they are; subclasses become their built-in type,
    registered types what their converter makes of them.

    Raises:
        DataCloneError: with the path of the first value that can't be sent.
    """
    walker = _Walker(leaf)
    try:
        return walker.value(message, None, 0)
    except RecursionError:
        raise DataCloneError("nested too deep for the stack that is left here") from None


class _Walker:
    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.done: dict[int, Any] = {}
        self.keys: dict[int, Any] = {}
        self.alive: list[Any] = []

    def value(self, value: Any, path: Path, depth: int) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return self.leaf(value, path)
        if id(value) in self.done:
            return self.done[id(value)]
        if kind not in CONTAINERS and (known := self.other(value, path, depth)) is not self:
            return known
        if depth >= MAX_DEPTH:
            raise DataCloneError(
                f"nested deeper than {MAX_DEPTH} levels, the most that every browser takes",
                format_path(path),
            )
        depth += 1
        if isinstance(value, dict):
            mapping: dict[Any, Any] = {}
            self.note(value, mapping)
            base: Any = OrderedDict if isinstance(value, OrderedDict) else dict
            for key, item in base.items(value):
                step = f"[{short_repr(key)}]"
                known = self.unique_key(key, mapping, path, depth)
                mapping[known] = self.value(item, (path, step), depth)
            return mapping
        if isinstance(value, (set, frozenset)):
            members: set[Any] = set()
            self.note(value, members)
            held = raw_iter(set if isinstance(value, set) else frozenset, value)
            for member in held:
                members.add(self.unique_key(member, members, path, depth))
            return members
        items: list[Any] = []
        self.note(value, items)
        held = raw_iter(list if isinstance(value, list) else tuple, value)
        for i, item in enumerate(list(held)):
            items.append(self.value(item, (path, f"[{i}]"), depth))
        return items

    def note(self, source: Any, result: Any) -> None:
        self.done[id(source)] = result
        self.alive.append(source)

    def other(self, value: Any, path: Path, depth: int) -> Any:
        """Return what stands for a value of no built-in type; self for a container's subclass."""
        if (kind := converted_as(value)) is not None:
            return self.converted(value, kind, path, depth)
        if isinstance(value, enum.Enum):
            raise DataCloneError(refusal_reason(value), format_path(path))
        if is_js_big_int(value):
            return self.leaf(value, path)
        for kind in (str, int, float, bytes, bytearray):
            if isinstance(value, kind):
                return self.leaf(exact_value(kind, value), path)
        if isinstance(value, (list, tuple, dict, set, frozenset)):
            return self
        result = self.leaf(value, path)
        self.note(value, result)
        return result

    def converted(self, value: Any, kind: type | None, path: Path, depth: int) -> Any:
        plain = value
        for _ in range(MAX_CONVERSIONS):
            if kind is None:
                break
            try:
                plain = converter_for(kind)(plain)
            except Exception as error:
                raised = f"{type(error).__name__}: {error_text(error)}"
                reason = f"the converter for {kind.__name__} raised {raised}"
                raise DataCloneError(reason, format_path(path)) from error
            self.alive.append(plain)
            kind = converted_as(plain)
        else:
            name = type(value).__name__
            raise DataCloneError(
                f"the converter for {name} never comes to an end", format_path(path)
            )
        result = self.value(plain, path, depth)
        self.note(value, result)
        return result

    def unique_key(self, key: Any, held: Any, path: Path, depth: int) -> Any:
        result = self.key(key, path, depth)
        if result in held:
            raise DataCloneError(
                f"{short_repr(result, 60)} would be there twice", format_path(path)
            )
        return result

    def key(self, key: Any, path: Path, depth: int) -> Any:
        if type(key) in ATOMS:
            return self.leaf(key, path)
        here: Path = (path, f"<key {short_repr(key, 60)}>")
        if type(key) in (tuple, frozenset):
            if id(key) in self.keys:
                return self.keys[id(key)]
            if depth >= MAX_DEPTH:
                raise DataCloneError(f"nested deeper than {MAX_DEPTH} levels", format_path(here))
            made = type(key)(self.key(part, here, depth + 1) for part in key)
            self.keys[id(key)] = made
            self.alive.append(key)
            return made
        result = self.value(key, here, depth)
        try:
            hash(result)
        except TypeError:
            raise DataCloneError(
                f"a {type(key).__name__} can't be a key once it is converted", format_path(here)
            ) from None
        return result


def exact_value(kind: type, value: Any) -> Any:
    """Return the plain value of an instance of a subclass, whatever that overrides."""
    if kind is str:
        return str.__str__(value)
    if kind is int:
        return int.__add__(value, 0)
    if kind is float:
        return float.__pos__(value)  # -0.0 plus anything is none any more
    every = slice(None)
    return bytes.__getitem__(value, every) if kind is bytes else bytearray.__getitem__(value, every)


def raw_iter(kind: Any, value: Any) -> Iterator[Any]:
    """Iterate over what a container holds, whatever its class shows instead."""
    return kind.__iter__(value)  # type: ignore[no-any-return]


def refusal_reason(value: object) -> str:
    name = type(value).__qualname__
    if hasattr(value, "post_message"):
        return "a port must be in the transfer list too"
    if isinstance(value, type):
        return f"the class {value.__qualname__} can't be cloned"
    if callable(value) and hasattr(value, "__qualname__"):
        return "a function can't be cloned"
    return f"{name} objects can't be cloned; register_converter({name}, …) says how to send them"


def check_leaf(value: Any, path: Path) -> Any:
    """Check what is no atom, port or JavaScript: dates and buffers pass, nothing else."""
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise DataCloneError(
                "a naive datetime has no place in time; give it a tzinfo", format_path(path)
            )
        return value
    try:
        if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a NumPy scalar
            return value.item()
        if typed_view(value) is None:
            raise DataCloneError(refusal_reason(value), format_path(path))
    except (BufferError, ValueError, NotImplementedError) as error:
        raise DataCloneError(error_text(error), format_path(path)) from None
    return value


_FORMATS: Final = {
    ("b", 1): "b", ("B", 1): "B", ("c", 1): "B", ("h", 2): "h", ("H", 2): "H",
    ("e", 2): "e", ("f", 4): "f",
    ("d", 8): "d",
} | {(code, size): {4: "i", 8: "q"}[size] for code in "ilqn" for size in (4, 8)} | {
    (code, size): {4: "I", 8: "Q"}[size] for code in "ILQN" for size in (4, 8)
}  # fmt: skip
"""The element type of a typed array, by Python's format and the size it has on this machine."""


def typed_view(value: Any) -> memoryview | None:
    """Give a one-dimensional view of a buffer in a format that JavaScript has; None for no buffer.

    Raises:
        BufferError: the buffer has more dimensions, or elements that JavaScript has no array of.
    """
    try:
        view = memoryview(value)
    except (TypeError, BufferError, ValueError):
        return None
    if view.ndim != 1:  # and a NumPy scalar was taken before
        raise BufferError(
            f"an array of {view.ndim} dimensions can't be cloned; send it flat, with its shape"
        )
    code = view.format.lstrip("@=<")
    if (code, view.itemsize) not in _FORMATS:
        raise BufferError(f"JavaScript has no typed array for elements of format {view.format!r}")
    code = _FORMATS[code, view.itemsize]
    flat = memoryview(view.tobytes()) if not view.c_contiguous or view.format != code else view
    return flat if flat.format == code else flat.cast("B").cast(code)  # type: ignore[call-overload]


def milliseconds(moment: dt.datetime) -> int:
    """Return JavaScript's number for a moment; microseconds are cut off."""
    return (moment - EPOCH) // MILLISECOND

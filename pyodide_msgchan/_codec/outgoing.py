"""The walk over an outgoing message: converts its values, and finds what can't be sent."""

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
"""Number.MAX_SAFE_INTEGER of JavaScript."""


MAX_CONVERSIONS: Final = 20
"""Converters that are applied to one value, one after another, at most."""


EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


MILLISECOND: Final = dt.timedelta(milliseconds=1)


type Path = tuple[Path, str] | None
"""The path to a value in a message: the path of its container, and the step from there."""


type Leaf = Callable[[Any, Path], Any]
"""Returns the form in which a value that is no container is sent, or raises DataCloneError."""


def distinct(values: list[Any]) -> list[Any]:
    """Return a list of values without repeated references, so that each is expanded once."""
    return list(dict(zip(map(id, values), values, strict=True)).values())


def format_path(path: Path) -> str:
    """Return a path as a Python expression."""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(step)
    return "message" + "".join(reversed(steps))


def walk(message: Any, leaf: Leaf) -> Any:
    """Return a copy of a message in built-in containers, with `leaf` applied to its other values.

    Shared references and cycles are kept. Instances of subclasses become their built-in type, and
    objects with a converter become its result.

    Raises:
        DataCloneError: a value can't be sent; the error has the path of the first one.
    """
    walker = _Walker(leaf)
    try:
        return walker.value(message, None, 0)
    except RecursionError:
        raise DataCloneError("nested too deeply for the remaining stack") from None


class _Walker:
    """Walks over one message; see `walk`."""

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.done: dict[int, Any] = {}
        self.keys: dict[int, Any] = {}
        self.kept_alive: list[Any] = []

    def value(self, value: Any, path: Path, depth: int) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return self.leaf(value, path)
        if id(value) in self.done:
            return self.done[id(value)]
        if (
            kind not in CONTAINERS
            and (result := self.convert_other(value, path, depth)) is not self
        ):
            return result
        if depth >= MAX_DEPTH:
            raise DataCloneError(
                f"nested deeper than {MAX_DEPTH} levels, the limit that every browser supports",
                format_path(path),
            )
        depth += 1
        if isinstance(value, dict):
            mapping: dict[Any, Any] = {}
            self.remember(value, mapping)
            base: Any = OrderedDict if isinstance(value, OrderedDict) else dict
            for key, item in base.items(value):
                step = f"[{short_repr(key)}]"
                converted = self.unique_key(key, mapping, path, depth)
                mapping[converted] = self.value(item, (path, step), depth)
            return mapping
        if isinstance(value, (set, frozenset)):
            members: set[Any] = set()
            self.remember(value, members)
            for member in raw_iter(set if isinstance(value, set) else frozenset, value):
                members.add(self.unique_key(member, members, path, depth))
            return members
        items: list[Any] = []
        self.remember(value, items)
        # Copied, since a converter can change the list while it is read.
        raw_items = list(raw_iter(list if isinstance(value, list) else tuple, value))
        for i, item in enumerate(raw_items):
            items.append(self.value(item, (path, f"[{i}]"), depth))
        return items

    def remember(self, source: Any, result: Any) -> None:
        self.done[id(source)] = result
        self.kept_alive.append(source)

    def convert_other(self, value: Any, path: Path, depth: int) -> Any:
        """Return the form of a value of no built-in type; self for a subclass of a container."""
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
        self.remember(value, result)
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
            self.kept_alive.append(plain)
            kind = converted_as(plain)
        else:
            name = type(value).__name__
            raise DataCloneError(
                f"the converters for {name} never end: more than {MAX_CONVERSIONS} apply in a row",
                format_path(path),
            )
        result = self.value(plain, path, depth)
        self.remember(value, result)
        return result

    def unique_key(self, key: Any, container: Any, path: Path, depth: int) -> Any:
        result = self.key(key, path, depth)
        if result in container:
            raise DataCloneError(
                f"two keys or members become {short_repr(result, 60)} once they are converted",
                format_path(path),
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
            self.keys[id(key)] = type(key)(self.key(part, here, depth + 1) for part in key)
            self.kept_alive.append(key)
            return self.keys[id(key)]
        result = self.value(key, here, depth)
        try:
            hash(result)
        except TypeError:
            raise DataCloneError(
                f"a {type(key).__name__} can't be a key once it is converted", format_path(here)
            ) from None
        return result


def exact_value(kind: type, value: Any) -> Any:
    """Return the built-in value of an instance of a subclass, without calling its overrides."""
    if kind is str:
        return str.__str__(value)
    if kind is int:
        return int.__add__(value, 0)
    if kind is float:
        return float.__pos__(value)  # Adding 0 would turn -0.0 into 0.0.
    all_of_it = slice(None)
    base: Any = bytes if kind is bytes else bytearray
    return base.__getitem__(value, all_of_it)


def raw_iter(kind: Any, value: Any) -> Iterator[Any]:
    """Iterate over the items of a container, without calling overrides of its class."""
    return kind.__iter__(value)  # type: ignore[no-any-return]


def refusal_reason(value: object) -> str:
    """Return the reason why a value can't be sent."""
    name = type(value).__qualname__
    if hasattr(value, "post_message"):
        return "a port must be in the transfer list too"
    if isinstance(value, type):
        return f"the class {value.__qualname__} can't be cloned"
    if callable(value) and hasattr(value, "__qualname__"):
        return "a function can't be cloned"
    return f"{name} objects can't be cloned; use register_converter({name}, …) to send them"


def check_leaf(value: Any, path: Path) -> Any:
    """Return a datetime, a buffer or the value of a NumPy scalar; raise DataCloneError for others.

    The caller handles atoms, ports and JavaScript objects.
    """
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise DataCloneError(
                "a naive datetime is not a point in time; give it a tzinfo", format_path(path)
            )
        return value
    try:
        # This is how a NumPy scalar is recognized without importing NumPy.
        if getattr(value, "shape", None) == () and hasattr(value, "item"):
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
"""The format of each typed array's elements, by Python's format and its size on this platform."""


def typed_view(value: Any) -> memoryview | None:
    """Return a one-dimensional view of a buffer in a format of a JavaScript typed array.

    Returns:
        The view; None if the value is no buffer.

    Raises:
        BufferError: the buffer has several dimensions, or a format without a typed array.
    """
    try:
        view = memoryview(value)
    except (TypeError, BufferError, ValueError):
        return None
    if view.ndim != 1:  # `check_leaf` has handled NumPy scalars, which have no dimension.
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
    """Return the JavaScript timestamp of a datetime, in whole milliseconds."""
    return (moment - EPOCH) // MILLISECOND

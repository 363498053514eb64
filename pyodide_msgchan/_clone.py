"""Structured clone as Python sees it: what may go, in which form, and what comes back."""

from __future__ import annotations

import datetime as dt
import enum
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ._browser import MAX_DEPTH, is_js_big_int
from ._printing import error_text, format_error, short_repr
from ._types import Notice
from .errors import DataCloneError, RemoteError

__all__ = [
    "ATOMS",
    "CONTAINERS",
    "Leaf",
    "Notice",
    "Where",
    "common_leaf",
    "copy",
    "distinct",
    "error_parts",
    "milliseconds",
    "place",
    "register_converter",
    "traceback_of",
    "typed_view",
    "walk",
]

ATOMS: Final = frozenset({type(None), bool, int, float, str, bytes, bytearray})
CONTAINERS: Final = frozenset({list, dict, tuple, set, frozenset})
SAFE_INT: Final = 2**53 - 1

CONVERSIONS: Final = 20
"""Converters that may follow one another on one value."""

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MILLISECOND: Final = dt.timedelta(milliseconds=1)

type Where = tuple[Where, str] | None
"""A place in a message: the place of its owner and the step from there."""

type Leaf = Callable[[Any, Where], Any]
"""Gives the form of a value that is no container, or raises DataCloneError with its place."""

_converters: dict[type, Callable[[Any], object]] = {}


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
    _converters[kind] = to_clone


def distinct(values: list[Any]) -> list[Any]:
    """Return values without those that are in the list before, so that each is expanded once."""
    return list(dict(zip(map(id, values), values, strict=True)).values())


def place(where: Where) -> str:
    """Write a place the way Python would reach it."""
    steps: list[str] = []
    while where is not None:
        where, step = where
        steps.append(step)
    return "message" + "".join(reversed(steps))


def walk(message: Any, leaf: Leaf) -> Any:
    """Give a message in plain containers, every other value as `leaf` gives it.

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

    def value(self, value: Any, where: Where, depth: int) -> Any:
        kind = type(value)
        if kind in ATOMS:
            return self.leaf(value, where)
        if id(value) in self.done:
            return self.done[id(value)]
        if kind not in CONTAINERS and (known := self.other(value, where, depth)) is not self:
            return known
        if depth >= MAX_DEPTH:
            raise DataCloneError(
                f"nested deeper than {MAX_DEPTH} levels, the most that every browser takes",
                place(where),
            )
        depth += 1
        if isinstance(value, dict):
            mapping: dict[Any, Any] = {}
            self.note(value, mapping)
            base: Any = OrderedDict if isinstance(value, OrderedDict) else dict
            for key, item in base.items(value):
                step = f"[{short_repr(key)}]"
                known = self.one_more(key, mapping, where, depth)
                mapping[known] = self.value(item, (where, step), depth)
            return mapping
        if isinstance(value, (set, frozenset)):
            members: set[Any] = set()
            self.note(value, members)
            held = _held(set if isinstance(value, set) else frozenset, value)
            for member in held:
                members.add(self.one_more(member, members, where, depth))
            return members
        items: list[Any] = []
        self.note(value, items)
        held = _held(list if isinstance(value, list) else tuple, value)
        for i, item in enumerate(list(held)):
            items.append(self.value(item, (where, f"[{i}]"), depth))
        return items

    def note(self, source: Any, result: Any) -> None:
        self.done[id(source)] = result
        self.alive.append(source)

    def other(self, value: Any, where: Where, depth: int) -> Any:
        """Give what stands for a value of no built-in type; self for a container's subclass."""
        if (kind := _converted_as(value)) is not None:
            return self.converted(value, kind, where, depth)
        if isinstance(value, enum.Enum):
            raise DataCloneError(_refusal(value), place(where))
        if is_js_big_int(value):
            return self.leaf(value, where)
        for kind in (str, int, float, bytes, bytearray):
            if isinstance(value, kind):
                return self.leaf(_exact(kind, value), where)
        if isinstance(value, (list, tuple, dict, set, frozenset)):
            return self
        result = self.leaf(value, where)
        self.note(value, result)
        return result

    def converted(self, value: Any, kind: type | None, where: Where, depth: int) -> Any:
        plain = value
        for _ in range(CONVERSIONS):
            if kind is None:
                break
            try:
                plain = _converters[kind](plain)
            except Exception as error:
                raised = f"{type(error).__name__}: {error_text(error)}"
                reason = f"the converter for {kind.__name__} raised {raised}"
                raise DataCloneError(reason, place(where)) from error
            self.alive.append(plain)
            kind = _converted_as(plain)
        else:
            name = type(value).__name__
            raise DataCloneError(f"the converter for {name} never comes to an end", place(where))
        result = self.value(plain, where, depth)
        self.note(value, result)
        return result

    def one_more(self, key: Any, held: Any, where: Where, depth: int) -> Any:
        result = self.key(key, where, depth)
        if result in held:
            raise DataCloneError(f"{short_repr(result, 60)} would be there twice", place(where))
        return result

    def key(self, key: Any, where: Where, depth: int) -> Any:
        if type(key) in ATOMS:
            return self.leaf(key, where)
        here: Where = (where, f"<key {short_repr(key, 60)}>")
        if type(key) in (tuple, frozenset):
            if id(key) in self.keys:
                return self.keys[id(key)]
            if depth >= MAX_DEPTH:
                raise DataCloneError(f"nested deeper than {MAX_DEPTH} levels", place(here))
            made = type(key)(self.key(part, here, depth + 1) for part in key)
            self.keys[id(key)] = made
            self.alive.append(key)
            return made
        result = self.value(key, here, depth)
        try:
            hash(result)
        except TypeError:
            raise DataCloneError(
                f"a {type(key).__name__} can't be a key once it is converted", place(here)
            ) from None
        return result


def _converted_as(value: Any) -> type | None:
    """Give the class whose converter serves a value, if one does."""
    return next((kind for kind in type(value).__mro__ if kind in _converters), None)


def converter_of(value: Any) -> Callable[[Any], object] | None:
    """Give the converter that serves a value, if one does."""
    kind = _converted_as(value)
    return None if kind is None else _converters[kind]


def _exact(kind: type, value: Any) -> Any:
    """Give the plain value of an instance of a subclass, whatever that overrides."""
    if kind is str:
        return str.__str__(value)
    if kind is int:
        return int.__add__(value, 0)
    if kind is float:
        return float.__pos__(value)  # -0.0 plus anything is none any more
    every = slice(None)
    return bytes.__getitem__(value, every) if kind is bytes else bytearray.__getitem__(value, every)


def _held(kind: Any, value: Any) -> Iterator[Any]:
    """Iterate over what a container holds, whatever its class shows instead."""
    return kind.__iter__(value)  # type: ignore[no-any-return]


def _refusal(value: object) -> str:
    name = type(value).__qualname__
    if hasattr(value, "post_message"):
        return "a port must be in the transfer list too"
    if isinstance(value, type):
        return f"the class {value.__qualname__} can't be cloned"
    if callable(value) and hasattr(value, "__qualname__"):
        return "a function can't be cloned"
    return f"{name} objects can't be cloned; register_converter({name}, …) says how to send them"


def common_leaf(value: Any, where: Where) -> Any:
    """Check what is no atom, port or JavaScript: dates and buffers pass, nothing else."""
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            raise DataCloneError(
                "a naive datetime has no place in time; give it a tzinfo", place(where)
            )
        return value
    try:
        if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a NumPy scalar
            return value.item()
        if typed_view(value) is None:
            raise DataCloneError(_refusal(value), place(where))
    except (BufferError, ValueError, NotImplementedError) as error:
        raise DataCloneError(error_text(error), place(where)) from None
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
    """Give JavaScript's number for a moment; microseconds are cut off."""
    return (moment - EPOCH) // MILLISECOND


_NEAREST: Final = (
    (TypeError, "TypeError"), (UnicodeError, "URIError"), (ValueError, "RangeError"),
    (OverflowError, "RangeError"),
    (IndexError, "RangeError"), (SyntaxError, "SyntaxError"), (NameError, "ReferenceError"),
)  # fmt: skip


def error_parts(error: BaseException) -> tuple[str, str, str]:
    """Give name, message and stack of the JavaScript error that is nearest to an exception."""
    if isinstance(error, RemoteError):
        return str(error.name), str(error.message), str(error.stack)
    name = next((name for kind, name in _NEAREST if isinstance(error, kind)), "Error")
    return name, error_text(error), traceback_of(error)


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception as text; empty if one of its classes prevents that."""
    try:
        return format_error(error)
    except BaseException:  # noqa: BLE001 - an error in its chain is not what `traceback` expects
        return ""


# What comes back: js/encode.mjs writes these names into its streams ------------------------------


def bytes_of(large: Any) -> bytes:
    """Copy a JavaScript buffer in, once."""
    data: bytes = large.to_bytes()
    return data


def view_of(data: Any, code: str) -> memoryview:
    """Give a typed array as a writable view of that format, on a copy of its own."""
    if not isinstance(data, bytearray):
        copied = bytearray(data.byteLength)
        data.assign_to(copied)
        data = copied
    return memoryview(data).cast(code)  # type: ignore[call-overload, no-any-return]


def date_of(number: int) -> dt.datetime:
    """Give JavaScript's number for a moment as that moment."""
    return EPOCH + number * MILLISECOND


_REMOTE: dict[str, type[RemoteError]] = {}


def error_of(name: str, message: str, stack: str) -> RemoteError:
    """Give an error that came from afar as an exception."""
    builtin = {
        "TypeError": TypeError, "RangeError": ValueError, "URIError": ValueError,
        "SyntaxError": SyntaxError, "ReferenceError": NameError,
    }.get(name)  # fmt: skip
    if builtin is None:
        return RemoteError(name, message, stack)
    if name not in _REMOTE:
        made = type(
            f"Remote{builtin.__name__}",
            (RemoteError, builtin),
            {"builtin": builtin, "__module__": __name__},
        )
        _REMOTE[name] = made
    error = _REMOTE[name](name, message, stack)
    if isinstance(error, SyntaxError):
        error.msg = message  # what a traceback shows of it, in place of its text
    return error


# The memory channel: the same table without JavaScript -------------------------------------------


SMALL: Final = 8
"""Bytes; the size of what is neither text nor buffer."""


def copy(message: Any, ports: Mapping[int, Any]) -> tuple[Any, int]:
    """Give what a message is on the other side, made by Python alone, and its size in bytes, about.

    Raises:
        DataCloneError: with the path of what can't be sent.
    """
    size = 0

    def leaf(value: Any, where: Where) -> Any:
        nonlocal size
        size += len(value) if isinstance(value, (str, bytes, bytearray)) else SMALL
        if id(value) in ports:
            return ports[id(value)]
        if isinstance(value, float):
            return int(value) if value.is_integer() and abs(value) <= SAFE_INT else value
        if isinstance(value, bytearray):
            return bytes(value)
        if type(value) in ATOMS:
            return value
        if isinstance(value, BaseException):
            return error_of(*error_parts(value))
        value = common_leaf(value, where)
        if isinstance(value, dt.datetime):
            try:
                return date_of(milliseconds(value))
            except OverflowError:  # as JavaScript's own it would come back, which memory has not
                raise DataCloneError("outside of datetime in UTC", place(where)) from None
        view = typed_view(value)
        if view is None:
            return leaf(value, where)
        size += view.nbytes
        return (
            view.tobytes()
            if view.format == "B"
            else view_of(bytearray(view.tobytes()), view.format)
        )

    data = walk(message, leaf)
    return data, size

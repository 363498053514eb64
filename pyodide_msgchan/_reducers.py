"""How what is no built-in container or scalar is written into a packed stream, type by type."""

from __future__ import annotations

import datetime as dt
import sys
from array import array
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from typing import Any, Final, Protocol

from . import _sealed as to
from ._browser import is_js_proxy, is_null
from ._clone import ATOMS
from ._registry import Recipe, recipe_of
from ._sealed import fill, make

__all__ = ["UnfitError", "learn", "leaves", "names_of", "reduce_other", "reducers"]

IN_BAND: Final = 4096
"""Bytes: larger memory goes beside the stream, so that it is copied once."""


class UnfitError(Exception):
    """A value can't be sent; the text says why."""


class Writer(Protocol):
    """What a reducer may ask of the pickler."""

    @property
    def ports(self) -> Mapping[int, Any]:
        """What stands for each port, by the wrapper's id."""

    @property
    def instead(self) -> Mapping[int, Any]:
        """What `make` is to be called with for some values, by their id."""

    def beside(self, value: Any) -> int:
        """Put something into the side list; gives where."""

    def memory(self, view: memoryview) -> int:
        """Put memory beside the stream; gives where."""


def _held(writer: Writer, view: memoryview) -> Any:
    return bytearray(view) if view.nbytes <= IN_BAND else writer.memory(view)


def _complex(_: Writer, value: complex) -> Any:
    return make, (to.COMPLEX, value.real, value.imag)


def _day(_: Writer, value: dt.date) -> Any:
    return make, (to.DAY, value.isoformat())


def _time(_: Writer, value: dt.time) -> Any:
    return make, (to.TIME, _fixed(value).isoformat(), value.fold)


def _datetime(_: Writer, value: dt.datetime) -> Any:
    return make, (to.DATETIME, value.isoformat(), value.fold)


def _fixed(value: dt.time) -> dt.time:
    """Keep a zone only where its offset does not hang on the day."""
    return value if value.utcoffset() is not None else value.replace(tzinfo=None)


def _duration(_: Writer, value: dt.timedelta) -> Any:
    return make, (to.DURATION, value.days, value.seconds, value.microseconds)


def _decimal(_: Writer, value: Any) -> Any:
    text = str(value)
    return make, (to.DECIMAL if len(text) <= to.LONGEST_DECIMAL else to.LONG_DECIMAL, text)


def _uuid(_: Writer, value: Any) -> Any:
    return make, (to.UUID, value.int)


def _path(_: Writer, value: Any) -> Any:
    return make, (to.PATH, to.PATHS.index(type(value)), str(value))


def _array(writer: Writer, value: array[Any]) -> Any:
    return make, (to.ARRAY, value.typecode, _held(writer, memoryview(value).cast("B")))


def _view(writer: Writer, value: memoryview) -> Any:
    code = value.format.lstrip("@")
    if len(code) != 1 or code in "Pn?N":
        raise UnfitError(f"a memoryview of format {value.format!r} can't be sent")
    flat = value if value.c_contiguous else memoryview(value.tobytes())
    if not flat.nbytes:  # which can't be cast
        return make, (to.VIEW, bytearray(), code, (0,))
    return make, (to.VIEW, _held(writer, flat.cast("B")), code, tuple(value.shape or ()))


def _numpy(writer: Writer, value: Any) -> Any:
    if value.dtype.hasobject or not value.dtype.itemsize:
        raise UnfitError(f"a NumPy array of {value.dtype} can't be sent")
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    raw = memoryview(value.tobytes(order)) if not value.flags.c_contiguous else None
    if raw is None:
        raw = memoryview(value.reshape(-1).view("u1")) if value.size else memoryview(b"")
    return make, (to.NUMPY, _descr(value.dtype), tuple(value.shape), order, _held(writer, raw))


def _numpy_scalar(_: Writer, value: Any) -> Any:
    if value.dtype.hasobject or not value.dtype.itemsize:
        raise UnfitError(f"a NumPy scalar of {value.dtype} can't be sent")
    return make, (to.NUMPY, _descr(value.dtype), None, "C", bytearray(value.tobytes()))


def _descr(dtype: Any) -> Any:
    return sys.modules["numpy"].lib.format.dtype_to_descr(dtype)


reducers: Final[dict[type, Callable[[Any, Any], Any]]] = {
    complex: _complex,
    dt.date: _day,
    dt.time: _time,
    dt.datetime: _datetime,
    dt.timedelta: _duration,
    array: _array,
    memoryview: _view,
    **dict.fromkeys(to.PATHS, _path),
}
"""How objects of a type are written; more of them once the modules they come from are loaded."""

leaves: Final[set[type]] = {*ATOMS, *reducers}
"""Types whose objects hold nothing that would have to be looked at."""

_LATER: Final = (
    ("decimal", "Decimal", _decimal),
    ("uuid", "UUID", _uuid),
    ("numpy", "ndarray", _numpy),
    ("numpy", "memmap", _numpy),
)


def learn(kind: type) -> bool:
    """Take note of a type that is carried and was not met before; False if it is not carried."""
    found = [
        reducer
        for module, name, reducer in _LATER
        if getattr(sys.modules.get(module), name, None) is kind
    ]
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    if not found and generic is not None and issubclass(kind, generic):
        found = [_numpy_scalar]
    if not found:
        return False
    reducers[kind] = found[0]
    leaves.add(kind)
    return True


def names_of(member: Enum) -> tuple[str, ...]:
    """Give the names of the members that a value of an enum is made of."""
    if isinstance(member, Flag) and member.name not in type(member).__members__:
        parts = tuple(part.name or "" for part in member)
        whole = type(member)(0)
        for part in member:
            whole |= part
        if whole != member or len(parts) == 1:
            raise UnfitError(f"{member!r} has bits without a name")
        return parts
    return (member.name,)


def reduce_other(writer: Writer, value: Any) -> Any:
    """Write a value of no type with a reducer of its own."""
    key = id(value)
    if key in writer.ports:
        return make, (to.SIDE, writer.beside(writer.ports[key]))
    if key in writer.instead:
        return make, writer.instead[key]
    recipe = recipe_of(type(value))
    if recipe is not None:
        return _by_recipe(recipe, value)
    if is_js_proxy(value):
        return make, (to.SIDE, writer.beside(value))
    if is_null(value):
        parts = [to.PLAIN, None]
        return make, tuple(parts)  # never the same tuple, which would be a reference
    if learn(type(value)):
        return reducers[type(value)](writer, value)
    raise UnfitError(f"a {type(value).__qualname__} can't be sent")


def _by_recipe(recipe: Recipe, value: Any) -> Any:
    if recipe.fields is not None:
        return make, (to.NEW, recipe.name), recipe.values(value), None, None, fill
    if recipe.pack is None:
        return make, (to.ENUM, recipe.name, names_of(value))
    raise UnfitError("not looked at before")

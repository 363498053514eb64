"""The reducers of the packed lane: how each type that is no container or scalar is written."""

from __future__ import annotations

import datetime as dt
import sys
from array import array
from collections.abc import Callable, Mapping
from enum import Enum, Flag
from typing import Any, Final, Protocol

from pyodide_msgchan._bridge.ffi import is_js_proxy, is_null
from pyodide_msgchan._codec.packed import values as to
from pyodide_msgchan._codec.packed.types import TypeCodec, codec_of
from pyodide_msgchan._codec.packed.values import fill, make
from pyodide_msgchan._codec.registry import ATOMS

__all__ = ["UnfitError", "leaf_types", "names_of", "reduce_other", "reducers", "register_lazily"]


OUT_OF_BAND_THRESHOLD: Final = 4096
"""Bytes. Larger memory is sent out of band, so that it is copied only once."""


class UnfitError(Exception):
    """Raised when a value can't be sent; the text says why."""


class Writer(Protocol):
    """The interface of the pickler that reducers use."""

    @property
    def ports(self) -> Mapping[int, Any]:
        """The native ports of the transferred port objects, by the id of the port object."""

    @property
    def replacements(self) -> Mapping[int, Any]:
        """The arguments of `make` for converted values, by the id of the value."""

    def append_out_of_band(self, value: Any) -> int:
        """Append an object to the side list, and return its index."""

    def append_buffer(self, view: memoryview) -> int:
        """Append memory to the list of buffers, and return its index."""


def _add_buffer(writer: Writer, view: memoryview) -> Any:
    return bytearray(view) if view.nbytes <= OUT_OF_BAND_THRESHOLD else writer.append_buffer(view)


def _complex(_: Writer, value: complex) -> Any:
    return make, (to.COMPLEX, value.real, value.imag)


def _day(_: Writer, value: dt.date) -> Any:
    return make, (to.DAY, value.isoformat())


def _time(_: Writer, value: dt.time) -> Any:
    return make, (to.TIME, _without_varying_zone(value).isoformat(), value.fold)


def _datetime(_: Writer, value: dt.datetime) -> Any:
    return make, (to.DATETIME, value.isoformat(), value.fold)


def _without_varying_zone(value: dt.time) -> dt.time:
    """Return a time without its zone if the zone's offset depends on the date."""
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
    return make, (to.ARRAY, value.typecode, _add_buffer(writer, memoryview(value).cast("B")))


def _view(writer: Writer, value: memoryview) -> Any:
    code = value.format.lstrip("@")
    if len(code) != 1 or code in "Pn?N":
        raise UnfitError(f"a memoryview of format {value.format!r} can't be sent")
    flat = value if value.c_contiguous else memoryview(value.tobytes())
    if not flat.nbytes:  # An empty memoryview can't be cast.
        return make, (to.VIEW, bytearray(), code, (0,))
    return make, (to.VIEW, _add_buffer(writer, flat.cast("B")), code, tuple(value.shape or ()))


def _numpy(writer: Writer, value: Any) -> Any:
    if value.dtype.hasobject or not value.dtype.itemsize:
        raise UnfitError(f"a NumPy array of {value.dtype} can't be sent")
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    raw = memoryview(value.tobytes(order)) if not value.flags.c_contiguous else None
    if raw is None:
        raw = memoryview(value.reshape(-1).view("u1")) if value.size else memoryview(b"")
    return make, (
        to.NUMPY,
        _descr(value.dtype),
        tuple(value.shape),
        order,
        _add_buffer(writer, raw),
    )


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
"""The reducer of each type. `register_lazily` adds those of modules that are loaded later."""


leaf_types: Final[set[type]] = {*ATOMS, *reducers}
"""Types whose objects hold no other values that have to be validated."""


_LAZY_REDUCERS: Final = (
    ("decimal", "Decimal", _decimal),
    ("uuid", "UUID", _uuid),
    ("numpy", "ndarray", _numpy),
    ("numpy", "memmap", _numpy),
)


def register_lazily(kind: type) -> bool:
    """Register the reducer of a type at its first use; return False if it has none."""
    found = [
        reducer
        for module, name, reducer in _LAZY_REDUCERS
        if getattr(sys.modules.get(module), name, None) is kind
    ]
    generic = getattr(sys.modules.get("numpy"), "generic", None)
    if not found and generic is not None and issubclass(kind, generic):
        found = [_numpy_scalar]
    if not found:
        return False
    reducers[kind] = found[0]
    leaf_types.add(kind)
    return True


def names_of(member: Enum) -> tuple[str, ...]:
    """Return the name of an enum member, or the names of the members of a combined flag.

    Raises:
        UnfitError: the flag has bits without a name.
    """
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
    """Return the reduction of a value whose type is not in `reducers`.

    Raises:
        UnfitError: the value can't be sent.
    """
    key = id(value)
    if key in writer.ports:
        return make, (to.SIDE, writer.append_out_of_band(writer.ports[key]))
    if key in writer.replacements:
        return make, writer.replacements[key]
    codec = codec_of(type(value))
    if codec is not None:
        return _reduce_registered(codec, value)
    if is_js_proxy(value):
        return make, (to.SIDE, writer.append_out_of_band(value))
    if is_null(value):
        # A new tuple each time: the pickler would write a constant one as a reference.
        parts = [to.PLAIN, None]
        return make, tuple(parts)
    if register_lazily(type(value)):
        return reducers[type(value)](writer, value)
    raise UnfitError(f"a {type(value).__qualname__} can't be sent")


def _reduce_registered(codec: TypeCodec, value: Any) -> Any:
    if codec.fields is not None:
        return make, (to.NEW, codec.name), codec.values(value), None, None, fill
    if codec.pack is None:
        return make, (to.ENUM, codec.name, names_of(value))
    raise UnfitError("it has a pack function, and only the full validation calls it")

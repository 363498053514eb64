"""The only functions that a packed stream may call, which make values of all other types.

A stream calls ``make(tag, …)`` for a value that is no built-in container or scalar, and
``fill(object, state)`` for an object that can refer to itself. Their arguments are untrusted.
"""

from __future__ import annotations

import datetime as dt
from array import array
from collections.abc import Callable, Sequence
from enum import Enum, Flag
from functools import reduce
from operator import or_
from pathlib import PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final, NoReturn, final

from pyodide_msgchan._codec.exceptions import error_from
from pyodide_msgchan._codec.packed.key_hashes import KeyHashes
from pyodide_msgchan._codec.packed.types import codec_named, codec_of
from pyodide_msgchan._codec.registry import ATOMS, CONTAINERS
from pyodide_msgchan._codec.wire import thrown
from pyodide_msgchan._printing import short_repr
from pyodide_msgchan.errors import RemoteError

__all__ = [
    "ARRAY",
    "COMPLEX",
    "CUSTOM",
    "DATETIME",
    "DAY",
    "DECIMAL",
    "DURATION",
    "ENUM",
    "ERROR",
    "LONGEST_DECIMAL",
    "LONG_DECIMAL",
    "NEW",
    "NUMPY",
    "PATH",
    "PATHS",
    "PLAIN",
    "SIDE",
    "TIME",
    "UUID",
    "VIEW",
    "RestrictedCallable",
    "ValueFactory",
    "fill",
    "make",
]


(
    PLAIN, COMPLEX, DAY, TIME, DATETIME, DURATION, ENUM, PATH, DECIMAL, UUID,  # These can be keys.
    SIDE, NEW, CUSTOM, ERROR, VIEW, ARRAY, NUMPY, LONG_DECIMAL,
) = range(18)  # fmt: skip


PATHS: Final = (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)


LONGEST_DECIMAL: Final = 600
"""Characters of a Decimal that can be a key: hashing a longer one takes long, each time again."""


MAX_DIMENSIONS: Final = 64
"""Dimensions of a NumPy array or a subarray field, at most."""


MAX_PARTS: Final = 1000
"""Parts in the description of a dtype, at most."""


MAX_FORMAT_LENGTH: Final = 64
"""Characters in the format of a dtype without fields, at most. NumPy parses it for fields."""


def make(*_parts: Any) -> None:
    """Represent `ValueFactory.make` of the receiver in a stream; it is never called."""


def fill(*_parts: Any) -> None:
    """Represent `ValueFactory.fill` of the receiver in a stream; it is never called."""


@final
class RestrictedCallable:
    """A function inside of the unpickler. It can be called, and every other use of it raises."""

    __slots__ = ("_run",)
    _run: Callable[..., Any]

    def __init__(self, run: Callable[..., Any]) -> None:
        object.__setattr__(self, "_run", run)

    def __call__(self, *parts: Any) -> Any:
        """Call the function."""
        return self._run(*parts)

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError("this can only be called")

    __setstate__ = __setattr__ = __delattr__ = __setitem__ = _refuse
    append = extend = add = update = _refuse


def _refuse(*_: Any) -> NoReturn:
    raise TypeError("this value could not be made")


_OWNERS: Final = frozenset({type(None), dict, set})


_UNMADE: Final = RestrictedCallable(_refuse)
"""The placeholder of a value that can't be made. It never leaves the decoder."""


class ValueFactory:
    """Makes the values of one message.

    After the first value that can't be made, only out-of-band objects are made. The rest of the
    message can still be read, to find out which call it belongs to.

    Args:
        side: the JavaScript objects and ports of the message.
        buffers: the memory of its arrays; each buffer is used once.
        adopt: returns the Python object for an object of `side`.
        copy_in: returns a bytearray with a copy of a buffer.

    Attributes:
        error: the error of the first value that can't be made; None if there is none.
        partial: if there is an error, the message without the values that can't be made.
        adopted: the objects of `side` that are in the message.
    """

    def __init__(
        self,
        side: Sequence[Any],
        buffers: Sequence[Any],
        adopt: Callable[[Any], Any],
        copy_in: Callable[[Any], bytearray],
    ) -> None:
        self._side = side
        self._buffers = list(buffers)
        self._adopt = adopt
        self._copy_in = copy_in
        self._unfilled: dict[int, Any] = {}
        self._hashes = KeyHashes()
        self.error: BaseException | None = None
        self.partial: Any = None
        self.adopted: list[Any] = []

    def find(self, module: str, name: str) -> RestrictedCallable:
        """Return `make` or `fill`.

        Raises:
            ValueError: the name is another one.
        """
        if module == __name__ and name == "make":
            return RestrictedCallable(self.make)
        if module == __name__ and name == "fill":
            return RestrictedCallable(self.fill)
        raise ValueError(f"a message can't use the name {short_repr(module)}.{short_repr(name)}")

    def make(self, tag: int, *parts: Any) -> Any:
        """Return the value for a tag; a placeholder if it can't be made."""
        if self.error is not None and tag != SIDE:
            return _UNMADE
        try:
            return _maker(tag)(self, *parts)
        except BaseException as error:  # noqa: BLE001 - `done` raises it
            self.error = self.error or error
            return _UNMADE

    def fill(self, value: Any, state: Any) -> None:
        """Set the fields of a dataclass object that `make` returned empty. Each is filled once."""
        if self.error is not None:
            return
        try:
            self._fill(value, state)
        except BaseException as error:  # noqa: BLE001 - `done` raises it
            self.error = error

    def _fill(self, value: Any, state: Any) -> None:
        if self._unfilled.pop(id(value), None) is not value:
            raise ValueError("only a new object can be filled")
        codec = codec_of(type(value))
        names = codec.fields if codec and codec.fields else ()
        for name, item in zip(names, _tuple(state), strict=True):
            object.__setattr__(value, name, item)

    def insert(self, *parts: Any) -> Any:
        """Put keys into a dict or a set, or make a frozenset of them, unless too many collide.

        Args:
            parts: the container, but for a frozenset; and a tuple of what comes into it.

        Returns:
            The container; without these keys if the message can't be read.

        Raises:
            TypeError: these are other parts, which the scan never writes.
        """
        *owners, items = parts
        owner = owners[0] if owners else None
        if type(items) is not tuple or len(owners) > 1 or type(owner) not in _OWNERS:
            raise TypeError("keys come into dicts and sets")
        keys = items[::2] if type(owner) is dict else items
        try:
            if self.error is None:
                self._hashes.count(owner, keys)
        except BaseException as error:  # noqa: BLE001 - as above
            self.error = error
        if self.error is not None:
            keys = items = ()
        if owner is None:
            return frozenset(keys)
        owner.update(zip(keys, items[1::2], strict=True) if type(owner) is dict else keys)
        return owner

    def done(self, message: Any) -> None:
        """Check that all values of a message were made and filled.

        Raises:
            ValueError: an object came without its fields.
            BaseException: the error of the first value that could not be made.
        """
        if self.error is None and self._unfilled:
            self.error = ValueError("an object came without its fields")
        if self.error is not None:
            self.partial = message
            raise self.error

    def side_item(self, index: int) -> Any:
        if _int(index) < 0:
            raise ValueError("no such out-of-band object")
        item = self._adopt(self._side[index])
        self.adopted.append(item)
        return item

    def make_new(self, name: str) -> Any:
        codec = codec_named(name)
        if codec.fields is None:
            raise ValueError(f"{short_repr(name)} is not registered as a dataclass here")
        value: Any = object.__new__(codec.kind)
        self._unfilled[id(value)] = value
        return value

    def _buffer(self, data: Any) -> bytearray:
        if type(data) is bytearray:
            return data
        if type(data) is not int or data < 0 or self._buffers[data] is None:
            raise ValueError("no such buffer")
        buffer, self._buffers[data] = self._buffers[data], None
        return self._copy_in(buffer)

    def make_view(self, data: Any, code: str, shape: tuple[int, ...]) -> memoryview:
        view = memoryview(self._buffer(data))
        if len(_shape(shape)) == 1:
            return view.cast(code)  # type: ignore[call-overload, no-any-return]
        return view.cast(code, shape)  # type: ignore[call-overload, no-any-return]

    def make_array(self, code: str, data: Any) -> array[Any]:
        result = array(code)
        result.frombytes(self._buffer(data))
        return result

    def make_numpy(self, descr: Any, shape: Any, order: str, data: Any) -> Any:
        import numpy as np  # noqa: PLC0415 - loaded only for messages that hold arrays

        _check_descr(descr)
        dtype = np.lib.format.descr_to_dtype(descr)
        buffer = self._buffer(data)
        if dtype.hasobject or not dtype.itemsize:
            raise ValueError("a NumPy array of objects or of empty elements can't be received")
        if shape is None:
            return np.ndarray((), dtype, bytes(buffer))[()]
        result = np.ndarray(_shape(shape), dtype, buffer, order="F" if _text(order) == "F" else "C")
        if result.nbytes != len(buffer):
            raise ValueError("the buffer of a NumPy array is larger than the array")
        return result


def _maker(tag: Any) -> Callable[..., Any]:
    if type(tag) is not int or not 0 <= tag < len(_MAKERS):
        raise ValueError("unknown tag")
    return _MAKERS[tag]


def _shape(shape: Any) -> tuple[int, ...]:
    if len(_tuple(shape)) > MAX_DIMENSIONS:
        raise TypeError("too many dimensions")
    return tuple(map(_int, shape))


def _check_descr(descr: Any) -> None:
    """Check that a value is the description of a dtype, and that its size is limited.

    Raises:
        TypeError: it is not.
    """
    level = [descr]
    for _ in range(MAX_PARTS):
        if not level:
            return
        match level.pop():
            case str(text) if len(text) <= MAX_FORMAT_LENGTH and "," not in text:
                pass
            case (part, shape) as pair if type(pair) is tuple:
                _check_dimensions(shape)
                level.append(part)
            case list(fields) if len(fields) <= MAX_PARTS:
                level.extend(map(_field, fields))
            case _:
                break
    raise TypeError("not the description of a dtype")


def _field(field: Any) -> Any:
    """Return the description of a field's dtype, and check the rest of the field."""
    title_or_name, descr, *shape = _tuple(field)
    title, name = title_or_name if type(title_or_name) is tuple else ("", title_or_name)
    _text(title)
    _text(name)
    if shape:
        _check_dimensions(*shape)
    return descr


def _check_dimensions(shape: Any) -> None:
    if type(shape) is not int:
        _shape(shape)


def _plain(_: ValueFactory, value: Any) -> Any:
    return value


def _complex(_: ValueFactory, real: float, imaginary: float) -> complex:
    return complex(_float(real), _float(imaginary))


def _float(value: Any) -> float:
    if type(value) is not float:
        raise TypeError("expected a float")
    return value


def _day(_: ValueFactory, text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _time(_: ValueFactory, text: str, fold: int) -> dt.time:
    return dt.time.fromisoformat(text).replace(fold=_int(fold))


def _datetime(_: ValueFactory, text: str, fold: int) -> dt.datetime:
    result = dt.datetime.fromisoformat(text)
    return result.replace(fold=1) if _int(fold) else result


def _duration(_: ValueFactory, days: int, seconds: int, microseconds: int) -> dt.timedelta:
    return dt.timedelta(_int(days), _int(seconds), _int(microseconds))


def _int(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("expected an int")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("expected a str")
    return value


def _enum(_: ValueFactory, name: str, members: tuple[str, ...]) -> Enum:
    kind = codec_named(name).kind
    if not issubclass(kind, Enum):
        raise TypeError(f"{short_repr(name)} is not registered as an enum here")
    found = [kind[_text(member)] for member in _tuple(members)]
    if len(found) == 1:
        return found[0]
    if not issubclass(kind, Flag):
        raise TypeError("expected one member")
    return reduce(or_, found, kind(0))


def _path(_: ValueFactory, index: int, text: str) -> Any:
    kind: Any = PATHS[_int(index)]
    try:
        return kind(_text(text))
    except NotImplementedError:  # A concrete path of another system becomes a pure path.
        return PATHS[index + 2](text)


def _decimal(factory: ValueFactory, text: str) -> Any:
    if len(_text(text)) > LONGEST_DECIMAL:
        raise ValueError("a long Decimal that can be a key")
    return _long_decimal(factory, text)


def _long_decimal(_: ValueFactory, text: str) -> Any:
    from decimal import Decimal  # noqa: PLC0415 - as above

    return Decimal(_text(text))


def _uuid(_: ValueFactory, number: int) -> Any:
    import uuid  # noqa: PLC0415 - loaded only for messages that hold one

    return uuid.UUID(int=_int(number))


def _custom(_: ValueFactory, name: str, state: Any) -> Any:
    unpack = codec_named(name).unpack
    if unpack is None:
        raise ValueError(f"{short_repr(name)} is registered without pack and unpack here")
    return unpack(state)


def _error(_: ValueFactory, name: str, message: str, stack: str, details: Any = None) -> Exception:
    wire = thrown(_text(name), _text(message), _text(stack))
    if details is not None:
        kind, args, fields, notes = _tuple(details)
        if all(
            type(arg) in _SAFE_ARGUMENT_TYPES or isinstance(arg, RemoteError) for arg in _list(args)
        ):
            wire["python"] = {
                "type": _text(kind),
                "args": args,
                "fields": fields,
                "notes": list(map(_text, _list(notes))),
            }
    return error_from(wire)


def _tuple(value: Any) -> tuple[Any, ...]:
    if type(value) is not tuple:
        raise TypeError("expected a tuple")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError("expected a list")
    return value


_SAFE_ARGUMENT_TYPES: Final = ATOMS | CONTAINERS
"""Types of args that are safe for built-in exceptions, because they have no methods of users."""


_MAKERS: Final[tuple[Callable[..., Any], ...]] = (
    _plain, _complex, _day, _time, _datetime, _duration, _enum, _path, _decimal, _uuid,
    ValueFactory.side_item, ValueFactory.make_new, _custom, _error, ValueFactory.make_view,
    ValueFactory.make_array, ValueFactory.make_numpy,
    _long_decimal,
)  # fmt: skip
"""The function for each tag."""

"""The only functions that a packed stream may call: they make what is no container or scalar.

A stream calls ``make(tag, …)`` for whatever is no built-in container or scalar, and ``fill(object,
state)`` for what may refer to itself. Both take nothing on trust: the arguments came from afar.
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

from ._clone import ATOMS, CONTAINERS
from ._comlink import thrown
from ._key_hashes import KeyHashes
from ._printing import short_repr
from ._registry import recipe_named, recipe_of
from ._remote_errors import error_from
from .errors import RemoteError

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
    "Making",
    "Sealed",
    "fill",
    "make",
]

(
    PLAIN, COMPLEX, DAY, TIME, DATETIME, DURATION, ENUM, PATH, DECIMAL, UUID,  # these can be keys
    SIDE, NEW, CUSTOM, ERROR, VIEW, ARRAY, NUMPY, LONG_DECIMAL,
) = range(18)  # fmt: skip

PATHS: Final = (PosixPath, WindowsPath, PurePosixPath, PureWindowsPath)
LONGEST_DECIMAL: Final = 600
"""Characters of a Decimal that can be a key: hashing a longer one takes long, each time again."""

MOST_DIMENSIONS: Final = 64
MOST_PARTS: Final = 1000
"""Of the description of a dtype."""

LONGEST_FORMAT: Final = 64
"""Characters of a dtype without fields, at most; NumPy reads a longer one as many fields."""


def make(*_parts: Any) -> None:
    """Stand in a stream for `Making.make` of the other side."""


def fill(*_parts: Any) -> None:
    """Stand in a stream for `Making.fill` of the other side."""


@final
class Sealed:
    """Stands for a function inside of the unpickler: to be called, and good for nothing else."""

    __slots__ = ("_run",)
    _run: Callable[..., Any]

    def __init__(self, run: Callable[..., Any]) -> None:
        object.__setattr__(self, "_run", run)

    def __call__(self, *parts: Any) -> Any:
        """Call it."""
        return self._run(*parts)

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError("this can only be called")

    __setstate__ = __setattr__ = __delattr__ = __setitem__ = _refuse
    append = extend = add = update = _refuse


def _refuse(*_: Any) -> NoReturn:
    raise TypeError("this could not be made")


_OWNERS: Final = frozenset({type(None), dict, set})

_UNMADE: Final = Sealed(_refuse)
"""Stands for a value that can't be made; nobody but the decoder ever sees it."""


class Making:
    """Makes the values of one message.

    After the first value that can't be made nothing is, except for what came beside the stream.
    The rest of the message can be read all the same, which tells whom it was for.

    Args:
        side: what came beside the stream.
        buffers: memory that came beside it; each is taken once.
        adopt: gives what stands in Python for something of `side`.
        copy_in: gives a bytearray with what is in one of `buffers`.

    Attributes:
        error: why the first value that can't be made can't; None if there is no such.
        partial: the message without those values, if there is one.
        adopted: what of `side` was given to the message.
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

    def find(self, module: str, name: str) -> Sealed:
        """Give one of the two functions.

        Raises:
            ValueError: it is neither of them.
        """
        if module == __name__ and name == "make":
            return Sealed(self.make)
        if module == __name__ and name == "fill":
            return Sealed(self.fill)
        raise ValueError(f"{short_repr(module)}.{short_repr(name)} can't be had from a message")

    def make(self, tag: int, *parts: Any) -> Any:
        """Make a value; what stands for it in a message that can't be read, if it can't be made."""
        if self.error is not None and tag != SIDE:
            return _UNMADE
        try:
            return _maker(tag)(self, *parts)
        except BaseException as error:  # noqa: BLE001 - raised at the end of the message
            self.error = self.error or error
            return _UNMADE

    def fill(self, value: Any, state: Any) -> None:
        """Give a dataclass that was made empty its fields, once."""
        if self.error is not None:
            return
        try:
            self._fill(value, state)
        except BaseException as error:  # noqa: BLE001 - as above
            self.error = error

    def _fill(self, value: Any, state: Any) -> None:
        if self._unfilled.pop(id(value), None) is not value:
            raise ValueError("only what was just made is filled")
        recipe = recipe_of(type(value))
        names = recipe.fields if recipe and recipe.fields else ()
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
        """See that all of a message was made and filled.

        Raises:
            ValueError: an object came without its fields.
            BaseException: what making a value has raised.
        """
        if self.error is None and self._unfilled:
            self.error = ValueError("an object came without its fields")
        if self.error is not None:
            self.partial = message
            raise self.error

    def _side_item(self, index: int) -> Any:
        if _int(index) < 0:
            raise ValueError("nothing is beside the message there")
        item = self._adopt(self._side[index])
        self.adopted.append(item)
        return item

    def _new(self, name: str) -> Any:
        recipe = recipe_named(name)
        if recipe.fields is None:
            raise ValueError(f"{short_repr(name)} is no dataclass here")
        value: Any = object.__new__(recipe.kind)
        self._unfilled[id(value)] = value
        return value

    def _buffer(self, data: Any) -> bytearray:
        if type(data) is bytearray:
            return data
        if type(data) is not int or data < 0 or self._buffers[data] is None:
            raise ValueError("no such buffer")
        buffer, self._buffers[data] = self._buffers[data], None
        return self._copy_in(buffer)

    def _view(self, data: Any, code: str, shape: tuple[int, ...]) -> memoryview:
        view = memoryview(self._buffer(data))
        if len(_shape(shape)) == 1:
            return view.cast(code)  # type: ignore[call-overload, no-any-return]
        return view.cast(code, shape)  # type: ignore[call-overload, no-any-return]

    def _array(self, code: str, data: Any) -> array[Any]:
        made = array(code)
        made.frombytes(self._buffer(data))
        return made

    def _numpy(self, descr: Any, shape: Any, order: str, data: Any) -> Any:
        import numpy as np  # noqa: PLC0415 - only a message that needs it loads it

        _check_descr(descr)
        dtype = np.lib.format.descr_to_dtype(descr)
        buffer = self._buffer(data)
        if dtype.hasobject or not dtype.itemsize:
            raise ValueError("an array of objects, or of nothing")
        if shape is None:
            return np.ndarray((), dtype, bytes(buffer))[()]
        made = np.ndarray(_shape(shape), dtype, buffer, order="F" if _text(order) == "F" else "C")
        if made.nbytes != len(buffer):
            raise ValueError("more memory than array")
        return made


def _maker(tag: Any) -> Callable[..., Any]:
    if type(tag) is not int or not 0 <= tag < len(_MAKERS):
        raise ValueError("nothing is made by that")
    return _MAKERS[tag]


def _shape(shape: Any) -> tuple[int, ...]:
    if len(_tuple(shape)) > MOST_DIMENSIONS:
        raise TypeError("too many dimensions")
    return tuple(map(_int, shape))


def _check_descr(descr: Any) -> None:
    """See that this is what a dtype is described by, with nothing else in it, and not much."""
    level = [descr]
    for _ in range(MOST_PARTS):
        if not level:
            return
        match level.pop():
            case str(text) if len(text) <= LONGEST_FORMAT and "," not in text:
                pass
            case (part, shape) as pair if type(pair) is tuple:
                _check_dimensions(shape)
                level.append(part)
            case list(fields) if len(fields) <= MOST_PARTS:
                level.extend(map(_field, fields))
            case _:
                break
    raise TypeError("no dtype")


def _field(field: Any) -> Any:
    """Return the description of a field's dtype, once the rest of the field is checked."""
    name, descr, *shape = _tuple(field)
    title, own = name if type(name) is tuple else ("", name)
    _text(title)
    _text(own)
    if shape:
        _check_dimensions(*shape)
    return descr


def _check_dimensions(shape: Any) -> None:
    if type(shape) is not int:
        _shape(shape)


def _plain(_: Making, value: Any) -> Any:
    return value


def _complex(_: Making, real: float, imaginary: float) -> complex:
    return complex(_float(real), _float(imaginary))


def _float(value: Any) -> float:
    if type(value) is not float:
        raise TypeError("a float is due")
    return value


def _day(_: Making, text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _time(_: Making, text: str, fold: int) -> dt.time:
    return dt.time.fromisoformat(text).replace(fold=_int(fold))


def _datetime(_: Making, text: str, fold: int) -> dt.datetime:
    made = dt.datetime.fromisoformat(text)
    return made.replace(fold=1) if _int(fold) else made


def _duration(_: Making, days: int, seconds: int, microseconds: int) -> dt.timedelta:
    return dt.timedelta(_int(days), _int(seconds), _int(microseconds))


def _int(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("an int is due")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("text is due")
    return value


def _enum(_: Making, name: str, members: tuple[str, ...]) -> Enum:
    kind = recipe_named(name).kind
    if not issubclass(kind, Enum):
        raise TypeError(f"{short_repr(name)} is no enum here")
    found = [kind[_text(member)] for member in _tuple(members)]
    if len(found) == 1:
        return found[0]
    if not issubclass(kind, Flag):
        raise TypeError("one member is due")
    return reduce(or_, found, kind(0))


def _path(_: Making, index: int, text: str) -> Any:
    kind: Any = PATHS[_int(index)]
    try:
        return kind(_text(text))
    except NotImplementedError:  # a path of another system, on which nothing can be opened here
        return PATHS[index + 2](text)


def _decimal(making: Making, text: str) -> Any:
    if len(_text(text)) > LONGEST_DECIMAL:
        raise ValueError("a long Decimal that can be a key")
    return _long_decimal(making, text)


def _long_decimal(_: Making, text: str) -> Any:
    from decimal import Decimal  # noqa: PLC0415 - as above

    return Decimal(_text(text))


def _uuid(_: Making, number: int) -> Any:
    import uuid  # noqa: PLC0415 - as above

    return uuid.UUID(int=_int(number))


def _custom(_: Making, name: str, state: Any) -> Any:
    unpack = recipe_named(name).unpack
    if unpack is None:
        raise ValueError(f"{short_repr(name)} travels another way here")
    return unpack(state)


def _error(_: Making, name: str, message: str, stack: str, details: Any = None) -> Exception:
    wire = thrown(_text(name), _text(message), _text(stack))
    if details is not None:
        kind, args, fields, notes = _tuple(details)
        if all(type(arg) in _HARMLESS or isinstance(arg, RemoteError) for arg in _list(args)):
            wire["python"] = {
                "type": _text(kind),
                "args": args,
                "fields": fields,
                "notes": list(map(_text, _list(notes))),
            }
    return error_from(wire)


def _tuple(value: Any) -> tuple[Any, ...]:
    if type(value) is not tuple:
        raise TypeError("a tuple is due")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise TypeError("a list is due")
    return value


_HARMLESS: Final = ATOMS | CONTAINERS
"""What the initialisers of built-in exceptions may get, since they call nothing of anybody's."""

_MAKERS: Final[tuple[Callable[..., Any], ...]] = (
    _plain, _complex, _day, _time, _datetime, _duration, _enum, _path, _decimal, _uuid,
    Making._side_item, Making._new, _custom, _error, Making._view, Making._array, Making._numpy,
    _long_decimal,
)  # fmt: skip
"""What makes the value of each tag."""

"""Validation of outgoing packed messages: a fast check, and a full one that finds the path."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum
from gc import get_referents
from itertools import chain
from typing import Any, Final

from pyodide_msgchan._bridge.bridge import MAX_DEPTH, bridge
from pyodide_msgchan._bridge.ffi import is_js_proxy, is_null
from pyodide_msgchan._codec.exceptions import wire_of_error
from pyodide_msgchan._codec.outgoing import Path, distinct, exact_value, format_path, refusal_reason
from pyodide_msgchan._codec.packed import values as to
from pyodide_msgchan._codec.packed.opcodes import MAX_KEY_BITS, MAX_KEY_DEPTH, MAX_KEY_WEIGHT
from pyodide_msgchan._codec.packed.reducers import (
    UnfitError,
    leaf_types,
    names_of,
    reducers,
    register_lazily,
)
from pyodide_msgchan._codec.packed.types import TypeCodec, codec_of
from pyodide_msgchan._codec.registry import ATOMS, CONTAINERS, converter_of
from pyodide_msgchan._printing import error_text, short_repr
from pyodide_msgchan.errors import DataCloneError

__all__ = ["can_fast_pack", "validate"]


MAX_FAST_DEPTH: Final = 16
"""Levels of nested containers that the fast check visits."""


MAX_WIDTH: Final = 1_000_000
"""Values on one level, at most, that the fast check visits."""


DISTINCT_THRESHOLD: Final = 16
"""Values. Repeated references are removed from a level that has more."""


SIMPLE_KEYS: Final = frozenset({type(None), bool, int, float, str, bytes})
"""Types of keys that need no call of `make`."""


MAX_MADE_WEIGHT: Final = 8
"""The weight of a key that `make` returns from several scalars."""


_PLAIN: Final = ATOMS | CONTAINERS


_HASHING: Final = frozenset({dict, set, frozenset})


_HASHABLE_TYPES: Final = ("complex", "date", "time", "datetime", "timedelta", "Decimal", "UUID")


def can_fast_pack(message: Any) -> bool:
    """Return True if a message can be pickled without the full validation.

    It is not nested deeply, and its containers are built-in or registered types. For speed, all
    values of a level are checked together, by a C function of the garbage collector, which knows
    all objects that hold others. The pickler checks the values that hold none. The depth is limited
    because pickling a deep message would overflow the browser's stack. Python can't detect that,
    and it ends the interpreter.
    """
    level = [message]
    for _ in range(MAX_FAST_DEPTH):
        if len(level) > DISTINCT_THRESHOLD:
            if ATOMS.issuperset(map(type, level)):
                return True
            level = distinct([item for item in level if type(item) not in ATOMS])
        inner: list[Any] | None = get_referents(*level)
        if not inner:
            return True
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            inner = _contents(level, kinds)
        if inner is None or len(inner) > MAX_WIDTH or not _keys_are_simple(level, kinds):
            return False
        level = inner
    return False


def _contents(level: list[Any], kinds: set[type]) -> list[Any] | None:
    """Return the values within a level of mixed types; None if it needs the full validation."""
    inner: list[Any] = []
    for kind in kinds - leaf_types:
        items: list[Any] = [item for item in level if type(item) is kind]
        codec = codec_of(kind)
        if kind is dict:
            inner.extend(chain.from_iterable([item.values() for item in items]))
        elif kind in CONTAINERS:
            inner.extend(chain.from_iterable(items))
        elif codec is not None and codec.fields is not None:
            try:
                inner.extend(chain.from_iterable(map(codec.values, items)))
            except AttributeError:
                return None
        elif not (_is_enum(codec) or register_lazily(kind)):
            return None
    return inner


def _is_enum(codec: TypeCodec | None) -> bool:
    return codec is not None and codec.pack is None


def _keys_are_simple(level: list[Any], kinds: set[type]) -> bool:
    """Return True if no key or set member on a level needs the full validation."""
    hashing = kinds & _HASHING
    if not hashing:
        return True
    holders = level if len(kinds) == 1 else [item for item in level if type(item) in hashing]
    # The keys of several containers are not put into one set, since they may all have one hash.
    found = set(map(type, chain.from_iterable(holders)))
    return found <= SIMPLE_KEYS and (
        int not in found
        or all(
            key.bit_length() <= MAX_KEY_BITS
            for key in chain.from_iterable(holders)
            if type(key) is int
        )
    )


def validate(
    message: Any, ports: Mapping[int, Any], check_js: Callable[[Any], str] = lambda _: ""
) -> dict[int, Any]:
    """Validate every value of a message.

    Args:
        message: the message.
        ports: as for `pack`.
        check_js: returns the reason why a JavaScript object can't be sent; empty if it can.

    Returns:
        The arguments of `make` for converted values, by the id of the value.

    Raises:
        DataCloneError: a value can't be sent; the error has the path of the first one.
    """
    validator = _Validator(ports, check_js)
    try:
        validator.value(message, None, 0)
    except RecursionError:
        raise DataCloneError("nested too deeply for the remaining stack") from None
    return validator.replacements


class _Validator:
    """Validates one message; see `validate`."""

    def __init__(self, ports: Mapping[int, Any], check_js: Callable[[Any], str]) -> None:
        self.ports = ports
        self.check_js = check_js
        self.replacements: dict[int, Any] = {}
        self.seen: dict[int, Any] = {}
        self.open: set[int] = set()

    def value(self, value: Any, path: Path, depth: int) -> None:
        kind = type(value)
        if kind in ATOMS or id(value) in self.ports:
            return
        if id(value) in self.seen:
            if id(value) in self.open:
                raise DataCloneError(
                    f"a {kind.__name__} that holds itself can't be sent", format_path(path)
                )
            return
        self.seen[id(value)] = value
        parts = self.parts(value, path, depth)
        if parts is None:
            return
        if depth >= MAX_DEPTH:
            raise DataCloneError(
                f"nested deeper than {MAX_DEPTH} levels, the limit that every browser supports",
                format_path(path),
            )
        if id(value) in self.replacements:
            self.open.add(id(value))
        for item, step in parts:
            self.value(item, (path, step), depth + 1)
        self.open.discard(id(value))

    def parts(self, value: Any, path: Path, depth: int) -> list[tuple[Any, str]] | None:
        """Return the items of a container, each with its step; None for all other values."""
        kind = type(value)
        try:
            if kind in reducers or register_lazily(kind):
                reducers[kind](_PROBE, value)
                return None
            codec = codec_of(kind)
            if codec is not None and codec.fields is not None:
                items = codec.values(value)
                return [(item, f".{name}") for name, item in zip(codec.fields, items, strict=True)]
            if codec is not None and codec.pack is None:
                names_of(value)
                return None
        except (UnfitError, AttributeError, ValueError, BufferError) as error:
            raise DataCloneError(error_text(error), format_path(path)) from None
        if codec is not None:
            self.convert(value, codec.pack, (to.CUSTOM, codec.name), path, depth)
            return None
        if kind not in CONTAINERS:
            converter = converter_of(value)
            if converter is not None:
                self.convert(value, converter, (to.PLAIN,), path, depth)
                return None
            value = self.plain(value, path)
        return self.contents(value, path)

    def convert(
        self, value: Any, pack: Any, prefix: tuple[Any, ...], path: Path, depth: int
    ) -> None:
        """Convert a value by a function of the user, and validate the result."""
        try:
            state = pack(value)
        except Exception as error:
            raised = f"{type(error).__name__}: {error_text(error)}"
            reason = f"packing a {type(value).__name__} raised {raised}"
            raise DataCloneError(reason, format_path(path)) from error
        self.replacements[id(value)] = (*prefix, state)
        if depth >= MAX_DEPTH:
            raise DataCloneError(f"nested deeper than {MAX_DEPTH} levels", format_path(path))
        self.open.add(id(value))
        self.value(state, path, depth + 1)
        self.open.discard(id(value))

    def plain(self, value: Any, path: Path) -> Any:
        """Return the built-in value of an instance of a subclass; None for values without items.

        Raises:
            DataCloneError: the value can't be sent.
        """
        if is_js_proxy(value):
            tag = bridge().tag(value)
            if tag == "MessagePort" and value not in self.ports.values():
                raise DataCloneError("a port must be in the transfer list too", format_path(path))
            reason = self.check_js(value)
            if reason:
                raise DataCloneError(
                    f"a JavaScript {tag} can't be cloned: {reason}", format_path(path)
                )
            return None
        if is_null(value):
            return None
        if isinstance(value, BaseException):
            self.replacements[id(value)] = self.error(value)
            return None
        plain = None if isinstance(value, Enum) else _plain(value)
        if plain is None:
            raise DataCloneError(_refusal_reason(value), format_path(path))
        self.replacements[id(value)] = (to.PLAIN, plain)
        return plain

    def error(self, error: BaseException) -> tuple[Any, ...]:
        wire = wire_of_error(error, traceback=True)
        fields = wire["value"]["value"]
        parts = to.ERROR, fields["name"], fields["message"], fields["stack"]
        details = wire.get("python")
        if details is None:
            return parts
        try:
            self.value(details, None, MAX_DEPTH // 2)
        except DataCloneError:  # One of its args or fields can't be sent, so none is.
            return parts
        return *parts, tuple(details[key] for key in ("type", "args", "fields", "notes"))

    def contents(self, value: Any, path: Path) -> list[tuple[Any, str]] | None:
        if isinstance(value, dict):
            for key in value:
                self.key(key, path)
            return [(item, f"[{short_repr(key)}]") for key, item in value.items()]
        if isinstance(value, (set, frozenset)):
            for member in value:
                self.key(member, path)
            return []
        if isinstance(value, (list, tuple)):
            return [(item, f"[{i}]") for i, item in enumerate(value)]
        return None

    def key(self, key: Any, path: Path) -> None:
        weight = self.weight(key, 0)
        if not weight:
            reason = (
                "keys and members of sets must be scalars or tuples of scalars, but this "
                f"{type(key).__qualname__} is not, or contains a value that is not"
            )
        elif weight > MAX_KEY_WEIGHT:
            reason = f"a key holds more than {MAX_KEY_WEIGHT} values"
        else:
            return
        raise DataCloneError(reason, format_path((path, f"<key of type {type(key).__name__}>")))

    def weight(self, key: Any, level: int) -> int:
        """Return the cost of hashing a key; 0 if the value can't be a key."""
        kind = type(key)
        if kind in SIMPLE_KEYS:
            return int(kind is not int or key.bit_length() <= MAX_KEY_BITS)
        if isinstance(key, tuple):
            if level >= MAX_KEY_DEPTH:
                return 0
            weight = 1
            for part in tuple.__iter__(key):
                own = self.weight(part, level + 1)
                weight += own
                if not own or weight > MAX_KEY_WEIGHT:  # The rest can't change the verdict.
                    return own and weight
        elif kind in reducers or register_lazily(kind):
            hashable = kind.__name__ in _HASHABLE_TYPES or kind in to.PATHS
            long = kind.__name__ == "Decimal" and len(str(key)) > to.LONGEST_DECIMAL
            return MAX_MADE_WEIGHT if hashable and not long else 0
        elif isinstance(key, Enum):
            codec = codec_of(kind)
            return 0 if codec is None or codec.pack else MAX_MADE_WEIGHT + len(names_of(key))
        else:
            weight = 1
        if kind is tuple:
            return weight
        plain = _plain(key)
        if plain is None or isinstance(plain, (list, dict, set, frozenset, bytearray)):
            return 0
        self.seen[id(key)] = key
        self.replacements[id(key)] = (to.PLAIN, plain)
        return weight + 2


def _plain(value: Any) -> Any:
    """Return the built-in value of an instance of a subclass; None for all other values.

    No overrides of the subclass are called.
    """
    for kind in (str, int, float, bytes, bytearray):
        if isinstance(value, kind):
            return exact_value(kind, value)
    if isinstance(value, dict):
        owner: Any = OrderedDict if isinstance(value, OrderedDict) else dict
        return dict(owner.items(value))
    bases: tuple[Any, ...] = (list, tuple, set, frozenset)
    for base in bases:
        if isinstance(value, base):
            return base(base.__iter__(value))
    return None


def _refusal_reason(value: Any) -> str:
    """Return the reason why a value can't be sent."""
    name = type(value).__qualname__
    known = isinstance(value, Enum) or hasattr(value, "__dataclass_fields__")
    if known and not isinstance(value, type):
        return f"{name} is not registered; call register_type({name}) on both sides to send it"
    return refusal_reason(value).replace("register_converter", "register_type")


class _Probe:
    """Replaces the pickler when a reducer is called only to see whether it accepts a value."""

    def append_buffer(self, _view: memoryview) -> int:
        return 0


_PROBE: Final = _Probe()

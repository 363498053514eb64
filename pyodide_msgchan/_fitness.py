"""Whether a message fits the packed lane: a quick look, and a careful one that names the place."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import Enum
from gc import get_referents
from itertools import chain
from typing import Any, Final

from . import _sealed as to
from ._browser import MAX_DEPTH, bridge, is_js_proxy, is_null
from ._clone import ATOMS, CONTAINERS, Where, _exact, _refusal, converter_of, distinct, place
from ._printing import error_text, short_repr
from ._reducers import UnfitError, learn, leaves, names_of, reducers
from ._registry import Recipe, recipe_of
from ._remote_errors import wire_of_error
from ._scan import KEY_DEPTH, KEY_WEIGHT, SHORT_INT
from .errors import DataCloneError

__all__ = ["check", "is_fit"]

LEVELS: Final = 16
"""Containers within containers that the quick look follows."""

MANY: Final = 1_000_000
"""Values on one level, above which the quick look gives up."""

FEW: Final = 16
"""Values on one level, above which those that stand there more than once are looked at once."""

KEYS: Final = frozenset({type(None), bool, int, float, str, bytes})
MADE_WEIGHT: Final = 8
"""What a key that is made of several scalars counts, at most."""

_PLAIN: Final = ATOMS | CONTAINERS
_HASHING: Final = frozenset({dict, set, frozenset})
_MADE: Final = ("complex", "date", "time", "datetime", "timedelta", "Decimal", "UUID")


def is_fit(message: Any) -> bool:
    """Say whether a message is not nested deep, and holds nothing that may be.

    C functions do the looking: the collector's, since whatever holds something is known to it. What
    holds nothing is left to the pickler. Pickling something deep would overflow the browser's
    stack, which Python can't notice, and the interpreter would be gone.
    """
    level = [message]
    for _ in range(LEVELS):
        if len(level) > FEW:  # what is shared is expanded once, however often it stands there
            if ATOMS.issuperset(map(type, level)):
                return True
            level = distinct([item for item in level if type(item) not in ATOMS])
        inner: list[Any] | None = get_referents(*level)
        if not inner:
            return True
        kinds = set(map(type, level))
        if not kinds <= _PLAIN:
            inner = _contents(level, kinds)
        if inner is None or len(inner) > MANY or not _have_keys(level, kinds):
            return False
        level = inner
    return False


def _contents(level: list[Any], kinds: set[type]) -> list[Any] | None:
    """Give what a level with more than built-in containers holds; None if that needs care."""
    inner: list[Any] = []
    for kind in kinds - leaves:
        items: list[Any] = [item for item in level if type(item) is kind]
        recipe = recipe_of(kind)
        if kind is dict:
            inner.extend(chain.from_iterable([item.values() for item in items]))
        elif kind in CONTAINERS:
            inner.extend(chain.from_iterable(items))
        elif recipe is not None and recipe.fields is not None:
            try:
                inner.extend(chain.from_iterable(map(recipe.values, items)))
            except AttributeError:
                return None
        elif not (_is_enum(recipe) or learn(kind)):
            return None
    return inner


def _is_enum(recipe: Recipe | None) -> bool:
    return recipe is not None and recipe.pack is None


def _have_keys(level: list[Any], kinds: set[type]) -> bool:
    """Say whether all keys and members on a level are such that need no second look."""
    hashing = kinds & _HASHING
    if not hashing:
        return True
    holders = level if len(kinds) == 1 else [item for item in level if type(item) in hashing]
    # In no set of their own: keys that are no trouble apart may all have one hash together.
    found = set(map(type, chain.from_iterable(holders)))
    return found <= KEYS and (
        int not in found
        or all(
            key.bit_length() <= SHORT_INT
            for key in chain.from_iterable(holders)
            if type(key) is int
        )
    )


def check(
    message: Any, ports: Mapping[int, Any], complain: Callable[[Any], str] = lambda _: ""
) -> dict[int, Any]:
    """Look at every value of a message.

    Args:
        message: what is to be sent.
        ports: as for `pack`.
        complain: says what is wrong with a JavaScript object; nothing if it can be sent.

    Returns:
        What `make` is to be called with for some of them, by their id.

    Raises:
        DataCloneError: with the path of the first that can't be sent.
    """
    checker = _Checker(ports, complain)
    try:
        checker.value(message, None, 0)
    except RecursionError:
        raise DataCloneError("nested too deep for the stack that is left here") from None
    return checker.instead


class _Checker:
    def __init__(self, ports: Mapping[int, Any], complain: Callable[[Any], str]) -> None:
        self.ports = ports
        self.complain = complain
        self.instead: dict[int, Any] = {}
        self.seen: dict[int, Any] = {}
        self.open: set[int] = set()

    def value(self, value: Any, where: Where, depth: int) -> None:
        kind = type(value)
        if kind in ATOMS or id(value) in self.ports:
            return
        if id(value) in self.seen:
            if id(value) in self.open:
                raise DataCloneError(
                    f"a {kind.__name__} that holds itself can't be sent", place(where)
                )
            return
        self.seen[id(value)] = value
        parts = self.parts(value, where, depth)
        if parts is None:
            return
        if depth >= MAX_DEPTH:
            raise DataCloneError(
                f"nested deeper than {MAX_DEPTH} levels, the most that every browser takes",
                place(where),
            )
        if id(value) in self.instead:
            self.open.add(id(value))
        for item, step in parts:
            self.value(item, (where, step), depth + 1)
        self.open.discard(id(value))

    def parts(self, value: Any, where: Where, depth: int) -> list[tuple[Any, str]] | None:
        """Give what a container holds, with the way there; None for what holds nothing."""
        kind = type(value)
        try:
            if kind in reducers or learn(kind):
                reducers[kind](_PROBE, value)
                return None
            recipe = recipe_of(kind)
            if recipe is not None and recipe.fields is not None:
                items = recipe.values(value)
                return [(item, f".{name}") for name, item in zip(recipe.fields, items, strict=True)]
            if recipe is not None and recipe.pack is None:
                names_of(value)
                return None
        except (UnfitError, AttributeError, ValueError, BufferError) as error:
            raise DataCloneError(error_text(error), place(where)) from None
        if recipe is not None:
            self.take_apart(value, recipe.pack, (to.CUSTOM, recipe.name), where, depth)
            return None
        if kind not in CONTAINERS:
            converter = converter_of(value)
            if converter is not None:
                self.take_apart(value, converter, (to.PLAIN,), where, depth)
                return None
            value = self.plain(value, where)
        return self.contents(value, where)

    def take_apart(
        self, value: Any, pack: Any, how: tuple[Any, ...], where: Where, depth: int
    ) -> None:
        """Let a user's function say what is sent for a value, and look at that."""
        try:
            state = pack(value)
        except Exception as error:
            raised = f"{type(error).__name__}: {error_text(error)}"
            what = f"packing a {type(value).__name__} raised {raised}"
            raise DataCloneError(what, place(where)) from error
        self.instead[id(value)] = (*how, state)
        if depth >= MAX_DEPTH:
            raise DataCloneError(f"nested deeper than {MAX_DEPTH} levels", place(where))
        self.open.add(id(value))
        self.value(state, where, depth + 1)
        self.open.discard(id(value))

    def plain(self, value: Any, where: Where) -> Any:
        """Give the built-in container that a value is a subclass of; None for what holds nothing.

        Raises:
            DataCloneError: it is nothing that can be sent.
        """
        if is_js_proxy(value):
            tag = bridge().tag(value)
            if tag == "MessagePort" and value not in self.ports.values():
                raise DataCloneError("a port must be in the transfer list too", place(where))
            complaint = self.complain(value)
            if complaint:
                reason = f"a JavaScript {tag} can't be cloned: {complaint}"
                raise DataCloneError(reason, place(where))
            return None
        if is_null(value):
            return None
        if isinstance(value, BaseException):
            self.instead[id(value)] = self.error(value)
            return None
        plain = None if isinstance(value, Enum) else _plain(value)
        if plain is None:
            raise DataCloneError(_say(value), place(where))
        self.instead[id(value)] = (to.PLAIN, plain)
        return plain

    def error(self, error: BaseException) -> tuple[Any, ...]:
        wire = wire_of_error(error, traceback=True)
        told = wire["value"]["value"]
        parts = to.ERROR, told["name"], told["message"], told["stack"]
        details = wire.get("python")
        if details is None:
            return parts
        try:
            self.value(details, None, MAX_DEPTH // 2)
        except DataCloneError:  # its args or fields stay here
            return parts
        return *parts, tuple(details[key] for key in ("type", "args", "fields", "notes"))

    def contents(self, value: Any, where: Where) -> list[tuple[Any, str]] | None:
        if isinstance(value, dict):
            for key in value:
                self.key(key, where)
            return [(item, f"[{short_repr(key)}]") for key, item in value.items()]
        if isinstance(value, (set, frozenset)):
            for member in value:
                self.key(member, where)
            return []
        if isinstance(value, (list, tuple)):
            return [(item, f"[{i}]") for i, item in enumerate(value)]
        return None

    def key(self, key: Any, where: Where) -> None:
        weight = self.weight(key, 0)
        if not weight:
            reason = (
                "keys and members of sets are scalars, or tuples of them: a "
                f"{type(key).__qualname__} is not, or holds what is not"
            )
        elif weight > KEY_WEIGHT:
            reason = f"a key holds more than {KEY_WEIGHT} values"
        else:
            return
        raise DataCloneError(reason, place((where, f"<key of type {type(key).__name__}>")))

    def weight(self, key: Any, level: int) -> int:
        """Give what hashing a key costs; 0 if it can be none."""
        kind = type(key)
        if kind in KEYS:
            return int(kind is not int or key.bit_length() <= SHORT_INT)
        if isinstance(key, tuple):
            if level >= KEY_DEPTH:
                return 0
            weight = 1
            for part in tuple.__iter__(key):
                own = self.weight(part, level + 1)
                weight += own
                if not own or weight > KEY_WEIGHT:  # whatever else there is
                    return own and weight
        elif kind in reducers or learn(kind):
            hashable = kind.__name__ in _MADE or kind in to.PATHS
            long = kind.__name__ == "Decimal" and len(str(key)) > to.LONGEST_DECIMAL
            return MADE_WEIGHT if hashable and not long else 0
        elif isinstance(key, Enum):
            recipe = recipe_of(kind)
            return 0 if recipe is None or recipe.pack else MADE_WEIGHT + len(names_of(key))
        else:
            weight = 1
        if kind is tuple:
            return weight
        plain = _plain(key)
        if plain is None or isinstance(plain, (list, dict, set, frozenset, bytearray)):
            return 0
        self.seen[id(key)] = key
        self.instead[id(key)] = (to.PLAIN, plain)
        return weight + 2


def _plain(value: Any) -> Any:
    """Give the built-in value of an instance of a subclass, whatever that overrides; else None."""
    for kind in (str, int, float, bytes, bytearray):
        if isinstance(value, kind):
            return _exact(kind, value)
    if isinstance(value, dict):
        owner: Any = OrderedDict if isinstance(value, OrderedDict) else dict
        return dict(owner.items(value))
    bases: tuple[Any, ...] = (list, tuple, set, frozenset)
    for base in bases:
        if isinstance(value, base):
            return base(base.__iter__(value))
    return None


def _say(value: Any) -> str:
    """Say why a value can't be sent."""
    name = type(value).__qualname__
    known = isinstance(value, Enum) or hasattr(value, "__dataclass_fields__")
    if known and not isinstance(value, type):
        return f"{name} is not registered: register_type({name}) on both sides lets it travel"
    return _refusal(value).replace("register_converter", "register_type")


class _Probe:
    """Stands for the pickler where a reducer is only asked whether it can."""

    def memory(self, _view: memoryview) -> int:
        return 0


_PROBE: Final = _Probe()

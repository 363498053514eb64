"""Hypothesis makes recipes of values, which tests/pages/recipes.py explains."""

import json
import math
import struct
from collections.abc import Callable, Hashable
from typing import Any

from hypothesis import strategies as st
from pages.recipes import BY_NAME, REFUSED, build

type Recipe = list[Any]
type Draw = Callable[[st.SearchStrategy[Any]], Any]

_POWERS = (0, 7, 8, 15, 16, 31, 32, 52, 53, 63, 64, 100)
_EDGES = [sign * (2**power + more) for power in _POWERS for sign in (1, -1) for more in (0, 1, -1)]
_FLOATS = [0.0, -0.0, 2.0**31, 2.0**52, 2.0**53 - 1, 2.0**53, -(2.0**53), 2.0**60, 5e-324, 1e308]
_FLOATS += [math.nan, math.inf, -math.inf]
_SIZES = [85, 255, 256, 4095, 4096, 4097, 65_536, 70_000]
_WORDS = ["", "__proto__", "constructor", "toString", "length", "then", "type"]
_WORDS += ["0", "1", "10", "01", "-1", "4294967294", "4294967295", "\ud83c\udf88", "\U0001f388"]
_LATEST = 315_537_897_599_999_999  # microseconds from the first day of year 1 to the last of 9999
_EPOCH = 62_135_596_800_000_000
_MOMENTS = [_EPOCH, 0, 1, 999, 1000, _EPOCH - 1, _EPOCH + 999, _LATEST]
_OFFSETS = [0, 3600, -3600, 19_800, -43_200, 86_399, -86_399, 1]

_none = st.just(["none"])
_ints = st.sampled_from(_EDGES) | st.integers()
_floats = st.sampled_from(_FLOATS) | st.floats()
_halves = st.text(st.sampled_from("a\ud83c\udf88\U0001f388é"), max_size=6)
_texts = st.sampled_from(_WORDS) | st.text(max_size=20) | _halves
_moments = st.sampled_from(_MOMENTS) | st.integers(0, _LATEST)
_again = st.integers(0, 30)

SCALARS = ("str", "int", "float", "bool", "none")
LEAVES = (*SCALARS, "bytes", "array", "date", "error", "again", "again")
CONTAINERS = ("list", "dict", "dict", "set")
OBJECTS = ("date", "error", "bytes", "tuple", "frozenset")


class _Maker:
    """Draws the parts of one recipe.

    Args:
        draw: Hypothesis's.
        extra: names of leaves beside the usual.
        keys: names of what may be a key or a member of a set.
        size: how many values it may have, about.
    """

    def __init__(self, draw: Draw, extra: tuple[str, ...], keys: tuple[str, ...]) -> None:
        self.draw = draw
        self.leaves = (*LEAVES, *extra)
        self.keys = keys
        self.left = 25

    def pick(self, names: tuple[str, ...] | list[Any]) -> Any:
        return self.draw(st.sampled_from(names))

    def value(self, depth: int = 0) -> Recipe:
        self.left -= 1
        if depth < 8 and self.left > 0 and self.draw(st.booleans()):
            name = self.pick(CONTAINERS)
            return getattr(self, f"make_{name}")(depth)  # type: ignore[no-any-return]
        return self.leaf(self.pick(self.leaves))

    def leaf(self, name: str) -> Recipe:
        make = getattr(self, f"make_{name}", None)
        return make() if make else [name]

    def many(self, make: Callable[[], Any]) -> list[Any]:
        return [make() for _ in range(self.draw(st.integers(0, max(0, min(5, self.left)))))]

    def key(self, depth: int = 0) -> Recipe:
        name = self.pick(self.keys)
        if name in ("tuple", "frozenset"):
            items = [
                self.key(depth + 1) for _ in range(self.draw(st.integers(0, 2 - min(depth, 2))))
            ]
            return ["list", items, name] if name == "tuple" else ["set", _unlike(items), name]
        return self.make_bytes("bytes") if name == "bytes" else self.leaf(name)

    def make_list(self, depth: int) -> Recipe:
        items = self.many(lambda: self.value(depth + 1))
        return ["list", items, self.pick(("list", "list", "tuple", "Items", "Row"))]

    def make_dict(self, depth: int) -> Recipe:
        words = self.draw(st.booleans())
        keys = _unlike(self.many(lambda: self.make_str() if words else self.key()))
        items = [[key, self.value(depth + 1)] for key in keys]
        return ["dict", items, self.pick(("dict", "dict", "Record", "OrderedDict"))]

    def make_set(self, _depth: int) -> Recipe:
        return [
            "set",
            _unlike(self.many(self.key)),
            self.pick(("set", "frozenset", "Bag", "Frozen")),
        ]

    def make_bool(self) -> Recipe:
        return ["bool", self.draw(st.booleans())]

    def make_int(self) -> Recipe:
        return ["int", str(self.draw(_ints)), self.pick(("int", "int", "Number"))]

    def make_float(self) -> Recipe:
        return ["float", struct.pack(">d", self.draw(_floats)).hex(), self.pick(("float", "Real"))]

    def make_str(self) -> Recipe:
        return ["str", [ord(one) for one in self.draw(_texts)], self.pick(("str", "str", "Text"))]

    def make_bytes(self, kind: str = "") -> Recipe:
        kind = kind or self.pick(("bytes", "Data", "bytearray", "memoryview", "reversed"))
        large = self.draw(st.integers(0, 19)) == 19
        data = bytes(self.pick(_SIZES)) if large else self.draw(st.binary(max_size=20))
        return ["bytes", data.hex(), kind]

    def make_array(self) -> Recipe:
        kind = self.pick(list("bBhHiIqQfde"))
        size = struct.calcsize(kind)
        items = self.draw(st.integers(0, 7))
        large = 4096 // size + items - 6
        data = (
            self.draw(st.binary(min_size=size * items, max_size=size * items))
            if items < 6
            else bytes(size * large)
        )
        return ["array", kind, data.hex(), self.pick(("array", "memoryview", "reversed"))]

    def make_date(self) -> Recipe:
        return ["date", str(self.draw(_moments)), self.pick(_OFFSETS)]

    def make_error(self) -> Recipe:
        return ["error", self.pick(sorted(BY_NAME)), [ord(one) for one in self.draw(_texts)]]

    def make_again(self) -> Recipe:
        return ["again", self.draw(_again)]

    def make_refused(self) -> Recipe:
        return ["refused", self.pick(sorted(REFUSED))]


def _unlike(recipes: list[Recipe]) -> list[Recipe]:
    """Leave out what Python takes for the same key as one before it."""
    kept: dict[Hashable, Recipe] = {}
    for recipe in recipes:
        case: Any = build(recipe)  # type: ignore[no-untyped-call]
        kept.setdefault(case.sent, recipe)
    return list(kept.values())


@st.composite
def recipes(draw: Draw, *, in_browser: bool) -> Recipe:
    """Make one of all that the table of values knows; one in eight can't be sent.

    Args:
        draw: Hypothesis's.
        in_browser: with what only a browser has: null, and keys that are objects in JavaScript.
    """
    extra = ("refused",) if draw(st.integers(0, 7)) == 7 else ()
    keys: tuple[str, ...] = SCALARS
    if in_browser:
        extra = (*extra, "null")
        if draw(st.booleans()):
            keys = (*SCALARS, *OBJECTS)
    return _Maker(draw, extra, keys).value()


def text_of(recipe: Recipe) -> str:
    """Give a recipe as JSON, of ASCII alone."""
    return json.dumps(recipe, separators=(",", ":"))

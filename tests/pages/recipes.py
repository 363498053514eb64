"""Values by recipe: what is sent, and what has to come back by the table in the README.

A recipe is plain JSON, so that random-values.mjs can make the same value in JavaScript by itself:
a name and what it needs. `["again", n]` stands for one of the objects made before, which makes
shared references and cycles.
"""

import array
import collections
import datetime as dt
import decimal
import enum
import fractions
import math
import struct
from typing import NamedTuple

from pages.differences import Fault, Kept, Same

from pyodide_msgchan import DataCloneError

try:
    from pyodide.ffi import jsnull
except ImportError:  # on the host, which has nowhere to send it
    jsnull = None

BEGIN = dt.datetime(1, 1, 1)  # noqa: DTZ001 - its time zone is put in later
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FIRST, LAST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
SAFE = 2**53 - 1

#: Keys and members that are objects in JavaScript, which Python can't hold as such.
OBJECTS = {"list", "set", "bytes", "date", "error"}

#: The error of JavaScript that is nearest to an exception, and what that is in Python again.
ERRORS = {
    Exception: ("Error", None),
    TypeError: ("TypeError", TypeError),
    ValueError: ("RangeError", ValueError),
    UnicodeError: ("URIError", ValueError),
    OverflowError: ("RangeError", ValueError),
    IndexError: ("RangeError", ValueError),
    LookupError: ("Error", None),
    SyntaxError: ("SyntaxError", SyntaxError),
    NameError: ("ReferenceError", NameError),
    ZeroDivisionError: ("Error", None),
    OSError: ("Error", None),
    TimeoutError: ("Error", None),
    KeyboardInterrupt: ("Error", None),
}
BY_NAME = {kind.__name__: kind for kind in ERRORS}


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Data(bytes):
    pass


class Items(list):
    pass


class Row(tuple):
    __slots__ = ()


class Record(dict):
    pass


class Bag(set):
    pass


class Frozen(frozenset):
    pass


class Colour(enum.IntEnum):
    RED = 1


def a_function():
    pass


#: Made when asked for, since each stands for a place in a message.
REFUSED = {
    "function": lambda: lambda: None,
    "named function": lambda: a_function,
    "class": lambda: Text,
    "object": object,
    "enum": lambda: Colour.RED,
    "complex": lambda: 1j,
    "range": lambda: range(3),
    "date": lambda: dt.date(2026, 1, 1),
    "time": lambda: dt.time(1),
    "timedelta": lambda: dt.timedelta(1),
    "naive datetime": lambda: dt.datetime(2026, 1, 1),  # noqa: DTZ001
    "decimal": lambda: decimal.Decimal(1),
    "fraction": lambda: fractions.Fraction(1, 3),
    "iterator": lambda: iter([]),
    "generator": lambda: (n for n in ()),
    "deque": lambda: collections.deque([1]),
    "keys": lambda: dict.fromkeys("a").keys(),
    "matrix": lambda: memoryview(bytes(4)).cast("B", (2, 2)),
    "truths": lambda: memoryview(bytes(2)).cast("?"),
}


#: Those of them that the packed lane takes.
PACKED = {"complex", "date", "time", "timedelta", "naive datetime", "decimal", "matrix"}


def as_javascript(text):
    """Give text as JavaScript has it, which knows no two halves of one character."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class Builder:
    """Makes the value of one recipe, twice: as it is sent, and as it arrives."""

    def __init__(self, lane):
        self.lane = lane
        self.packed = lane == "packed"
        self.in_memory = lane == "memory"
        self.made = []
        self.open = set()
        self.refused = False

    def value(self, recipe):
        name, *parts = recipe
        return getattr(self, f"_{name}")(*parts)

    def _key(self, recipe):
        """Make a key, which is not shared with a value: there a tuple is a list."""
        before = len(self.made)
        made = self.value(recipe)
        del self.made[before:]
        self.refused = self.refused or (self.packed and _has_set_or_error(recipe))
        return made

    def _note(self, sent, expected):
        self.made.append((sent, expected))
        return sent, expected

    def _again(self, number):
        if not self.made:
            return None, None
        sent, expected = self.made[number % len(self.made)]
        # The packed lane makes a plain container of a subclass's, from what must be there then
        self.refused = self.refused or (self.packed and id(sent) in self.open)
        return sent, expected

    def _none(self):
        return None, None

    def _null(self):
        return jsnull, None

    def _bool(self, value):
        return value, value

    def _int(self, digits, kind="int"):
        value = int(digits)
        return (Number if kind == "Number" else int)(value), value

    def _float(self, bits, kind="float"):
        (value,) = struct.unpack(">d", bytes.fromhex(bits))
        whole = math.isfinite(value) and value.is_integer() and abs(value) <= SAFE
        arrives = int(value) if whole and not self.packed else value
        return (Real if kind == "Real" else float)(value), arrives

    def _str(self, points, kind="str"):
        text = "".join(map(chr, points))
        return (Text if kind == "Text" else str)(text), self._text(text)

    def _text(self, text):
        return as_javascript(text) if self.lane == "clone" else text

    def _bytes(self, code, kind="bytes"):
        data = bytes.fromhex(code)
        kinds = {"bytes": bytes, "Data": Data, "bytearray": bytearray, "memoryview": memoryview}
        sent = memoryview(data[::-1])[::-1] if kind == "reversed" else kinds[kind](data)
        arrives = type(sent)(data) if self.packed and kind != "Data" else data
        return self._note(sent, arrives) if kind == "bytearray" else (sent, arrives)

    def _array(self, kind, code, how="array"):
        data = bytes.fromhex(code)
        view = memoryview(bytearray(data)).cast(kind)
        if how == "array" and kind != "e":
            sent = array.array(kind, data)
        elif how == "reversed":
            items = [data[i : i + view.itemsize] for i in range(0, len(data), view.itemsize)]
            sent = memoryview(b"".join(reversed(items))).cast(kind)[::-1]
        else:
            sent = memoryview(data).cast(kind)
        if self.packed:
            return self._note(sent, sent)
        return self._note(sent, data if kind == "B" else view)

    def _date(self, microseconds, offset):
        zone = dt.timezone(dt.timedelta(seconds=offset))
        value = (BEGIN + dt.timedelta(microseconds=int(microseconds))).replace(tzinfo=zone)
        if self.packed:
            return self._note(value, value)
        passed = (value - EPOCH) // MILLISECOND * MILLISECOND
        inside = FIRST - EPOCH <= passed <= LAST - EPOCH
        return self._note(value, EPOCH + passed if inside else self._keep("Date"))

    def _error(self, kind, points):
        text = "".join(map(chr, points))
        error = BY_NAME[kind](text)
        if not self.packed:
            return self._note(error, Fault(*ERRORS[BY_NAME[kind]], self._text(text)))
        rebuilt = kind not in ("TimeoutError", "KeyboardInterrupt")  # they mean something here
        return self._note(error, Same(error) if rebuilt else Fault(kind, None, text))

    def _list(self, items, kind="list"):
        if kind in ("tuple", "Row"):
            pairs = [self.value(item) for item in items]
            sent = (tuple if kind == "tuple" else Row)(one for one, _ in pairs)
            arrive = [other for _, other in pairs]
            return self._note(sent, tuple(arrive) if self.packed else arrive)
        sent, expected = self._note([] if kind == "list" else Items(), [])
        if kind == "Items":
            self.open.add(id(sent))
        for item in items:
            one, other = self.value(item)
            sent.append(one)
            expected.append(other)
        self.open.discard(id(sent))
        return sent, expected

    def _dict(self, items, kind="dict"):
        kinds = {"dict": dict, "Record": Record, "OrderedDict": collections.OrderedDict}
        outside = not self.packed and any(key[0] in OBJECTS for key, _ in items)
        sent, expected = self._note(kinds[kind](), self._keep("Map") if outside else {})
        if kind != "dict":
            self.open.add(id(sent))
        filled = []
        for key, item in items:
            own, others = self._key(key)
            value, arrives = self.value(item)
            sent[own] = value
            filled.append((others, arrives))
        self.open.discard(id(sent))
        self._distinct([key for key, _ in items], [key for key, _ in filled])
        if outside:
            return sent, expected
        if self.lane == "clone" and all(isinstance(key, str) for key, _ in filled):
            # Numbers come first in an Object
            filled.sort(key=lambda pair: int(pair[0]) if _is_index(pair[0]) else 2**32)
        expected.update(filled)
        return sent, expected

    def _set(self, members, kind="set"):
        pairs = [self._key(member) for member in members]
        kinds = {"set": set, "frozenset": frozenset, "Bag": Bag, "Frozen": Frozen}
        sent = kinds[kind](one for one, _ in pairs)
        self._distinct(members, [key for _, key in pairs])
        if not self.packed and any(member[0] in OBJECTS for member in members):
            return self._note(sent, self._keep("Set"))
        base = frozenset if self.packed and isinstance(sent, frozenset) else set
        return self._note(sent, base(key for _, key in pairs))

    def _refused(self, what):
        value = REFUSED[what]()
        self.refused = self.refused or not (self.packed and what in PACKED)
        return self._note(value, value)

    def _keep(self, tag):
        self.refused = self.refused or self.in_memory
        return Kept(tag)

    def _distinct(self, recipes, keys):
        """Keys that become one in JavaScript can't be sent; what is an object there never does."""
        pairs = zip(recipes, keys, strict=True)
        scalars = [key for recipe, key in pairs if recipe[0] not in OBJECTS]
        found = {"nan" if key != key else (key,) for key in scalars}  # noqa: PLR0124
        if self.lane == "clone":
            self.refused = self.refused or len(found) < len(scalars)


def _has_set_or_error(key):
    """Say whether a key holds what the packed lane has in none."""
    return key[0] in ("set", "error") or (key[0] == "list" and any(map(_has_set_or_error, key[1])))


def _is_index(key):
    return key.isascii() and key.isdigit() and str(int(key)) == key and int(key) < 2**32 - 1


class Case(NamedTuple):
    """What is sent, and what has to come back, unless it is refused instead."""

    sent: object
    expected: object
    refused: bool


def build(recipe, lane="clone"):
    """Make a value and what is to become of it.

    Args:
        recipe: of it.
        lane: that it goes by: "clone", "packed", or "memory", which is the former without
            JavaScript, where text, keys and objects are Python's own.
    """
    builder = Builder(lane)
    return Case(*builder.value(recipe), builder.refused)


def refusal(error):
    """Say what is wrong with an error for a value that can't be sent; "" if nothing is."""
    if not isinstance(error, DataCloneError):
        return f"{error!r} instead of a DataCloneError"
    return "" if error.path.startswith("message") else f"the path {error.path!r}"

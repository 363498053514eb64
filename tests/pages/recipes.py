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

from pyodide_msgchan import DataCloneError, RemoteError

try:
    from pyodide.ffi import jsnull
except ImportError:  # on the host, which has nowhere to send it
    jsnull = None

BEGIN = dt.datetime(1, 1, 1)  # noqa: DTZ001 - its time zone is put in later
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FIRST, LAST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)
MILLISECOND = dt.timedelta(milliseconds=1)
SAFE = 2**53 - 1

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
    "keys": lambda: {}.keys(),
    "matrix": lambda: memoryview(bytes(4)).cast("B", (2, 2)),
    "truths": lambda: memoryview(bytes(2)).cast("?"),
}


class Kept:
    """Expected: a JsProxy of what Python can't hold."""

    def __init__(self, tag):
        self.tag = tag

    def __repr__(self):
        return f"<JavaScript {self.tag}>"


class Fault:
    """Expected: an error from the other side."""

    def __init__(self, kind, message):
        self.name, self.builtin = ERRORS[kind]
        self.message = message

    def __repr__(self):
        return f"<{self.name} {self.message!r}>"


class _Refusal(Exception):
    """Nothing of it is sent."""


class Builder:
    """Makes the value of one recipe, twice: as it is sent, and as it arrives."""

    def __init__(self, *, in_memory):
        self.in_memory = in_memory
        self.made = []
        self.refused = False

    def value(self, recipe):
        name, *parts = recipe
        return getattr(self, f"_{name}")(*parts)

    def _key(self, recipe):
        """Make a key, which is not shared with a value: there a tuple is a list."""
        before = len(self.made)
        made = self.value(recipe)
        del self.made[before:]
        return made

    def _note(self, sent, expected):
        self.made.append((sent, expected))
        return sent, expected

    def _again(self, number):
        return self.made[number % len(self.made)] if self.made else (None, None)

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
        return (Real if kind == "Real" else float)(value), int(value) if whole else value

    def _str(self, points, kind="str"):
        text = "".join(map(chr, points))
        return (Text if kind == "Text" else str)(text), self._text(text)

    def _text(self, text):
        """Give text as JavaScript has it, which knows no two halves of one character."""
        if self.in_memory:
            return text
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

    def _bytes(self, code, kind="bytes"):
        data = bytes.fromhex(code)
        sent = {"bytes": bytes, "Data": Data, "bytearray": bytearray, "memoryview": memoryview}
        value = sent[kind](data) if kind != "reversed" else memoryview(data[::-1])[::-1]
        return self._note(value, data) if kind == "bytearray" else (value, data)

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
        return self._note(sent, data if kind == "B" else view)

    def _date(self, microseconds, offset):
        zone = dt.timezone(dt.timedelta(seconds=offset))
        value = (BEGIN + dt.timedelta(microseconds=int(microseconds))).replace(tzinfo=zone)
        passed = (value - EPOCH) // MILLISECOND * MILLISECOND
        inside = FIRST - EPOCH <= passed <= LAST - EPOCH
        return self._note(value, EPOCH + passed if inside else self._keep("Date"))

    def _error(self, kind, points):
        text = "".join(map(chr, points))
        error = BY_NAME[kind](text)
        return self._note(error, Fault(BY_NAME[kind], self._text(text)))

    def _list(self, items, kind="list"):
        if kind in ("tuple", "Row"):
            pairs = [self.value(item) for item in items]
            sent = (tuple if kind == "tuple" else Row)(one for one, _ in pairs)
            return self._note(sent, [other for _, other in pairs])
        sent, expected = self._note([] if kind == "list" else Items(), [])
        for item in items:
            one, other = self.value(item)
            sent.append(one)
            expected.append(other)
        return sent, expected

    def _dict(self, items, kind="dict"):
        kinds = {"dict": dict, "Record": Record, "OrderedDict": collections.OrderedDict}
        sent, expected = self._note(kinds[kind](), {})
        filled = []
        for key, item in items:
            own, others = self._key(key)
            value, arrives = self.value(item)
            sent[own] = value
            filled.append((others, arrives))
        self._distinct(filled)
        if any(_is_object(key) for key, _ in filled):
            kept = self._keep("Map")
            self._replace(expected, kept)
            return sent, kept
        if not self.in_memory and all(isinstance(key, str) for key, _ in filled):  # numbers come first in an Object
            filled.sort(key=lambda pair: int(pair[0]) if _is_index(pair[0]) else 2**32)
        expected.update(filled)
        return sent, expected

    def _set(self, members, kind="set"):
        pairs = [self._key(member) for member in members]
        kinds = {"set": set, "frozenset": frozenset, "Bag": Bag, "Frozen": Frozen}
        sent = kinds[kind](one for one, _ in pairs)
        self._distinct(pairs_of := [(other, None) for _, other in pairs])
        if any(_is_object(key) for key, _ in pairs_of):
            return self._note(sent, self._keep("Set"))
        return self._note(sent, {key for key, _ in pairs_of})

    def _refused(self, what):
        self.refused = True
        return REFUSED[what](), None

    def _keep(self, tag):
        self.refused = self.refused or self.in_memory
        return Kept(tag)

    def _distinct(self, pairs):
        """Keys that become one in JavaScript can't be sent."""
        keys = ["nan" if key != key else (key,) for key, _ in pairs if not _is_object(key)]  # noqa: PLR0124
        if not self.in_memory:
            self.refused = self.refused or len(set(keys)) < len(keys)

    def _replace(self, old, new):
        self.made = [(one, new if other is old else other) for one, other in self.made]


def _is_object(key):
    return isinstance(key, (list, dict, set, bytes, memoryview, dt.datetime, Kept, Fault))


def _is_index(key):
    return key.isascii() and key.isdigit() and str(int(key)) == key and int(key) < 2**32 - 1


class Case(NamedTuple):
    """What is sent, and what has to come back, unless it is refused instead."""

    sent: object
    expected: object
    refused: bool


def build(recipe, *, in_memory=False):
    """Make a value and what is to become of it.

    Args:
        recipe: of it.
        in_memory: where no JavaScript is on the way, which has text, keys and objects of its own.
    """
    builder = Builder(in_memory=in_memory)
    return Case(*builder.value(recipe), builder.refused)


def difference(got, expected, tag=None):
    """Say where two values differ, also in what is shared; "" if they do not.

    Args:
        got: what arrived.
        expected: as `build` made it.
        tag: gives the name of what arrived as a JsProxy.
    """
    ours, theirs = {}, {}

    def shared(one, other, where):
        if isinstance(other, (list, set)) and not other:
            return ""  # Python has but one empty tuple, and one empty frozenset
        if theirs.setdefault(id(one), id(other)) != id(other):
            return f"{where} is shared and should not be"
        if ours.setdefault(id(other), id(one)) != id(one):
            return f"{where} is not shared and should be"
        return ""

    def look(one, other, where):
        if isinstance(other, Kept):
            found = tag(one) if tag else None
            return "" if found == other.tag else f"{where} is {one!r:.80}, not {other}"
        if isinstance(other, Fault):
            fits = isinstance(one, RemoteError) and isinstance(one, other.builtin or RemoteError)
            fits = fits and (one.name, one.message) == (other.name, other.message)
            return shared(one, other, where) if fits else f"{where} is {one!r:.80}, not {other}"
        if type(one) is not type(other):
            return f"{where} is {one!r:.80}, not {other!r:.80}"
        if isinstance(other, memoryview):
            fits = (one.format, one.tobytes(), one.readonly) == (other.format, other.tobytes(), False)
            return shared(one, other, where) if fits else f"{where} is {one.format} {one.tolist()}"
        if not isinstance(other, (list, dict, set)):
            fits = one == other or (one != one and other != other)  # noqa: PLR0124 - NaN
            return "" if fits else f"{where} is {one!r:.200}, not {other!r:.200}"
        known = id(other) in ours
        if (text := shared(one, other, where)) or known:
            return text
        if len(one) != len(other):
            return f"{where} has {len(one)} items, not {len(other)}"
        if isinstance(other, set):
            return "" if _plain(one) == _plain(other) else f"{where} is {one!r:.200}, not {other!r:.200}"
        pairs = zip(*((value.items() if type(value) is dict else enumerate(value)) for value in (one, other)))
        for (key, item), (name, wanted) in pairs:
            text = look(key, name, f"a key of {where}") or look(item, wanted, f"{where}[{key!r:.40}]")
            if text:
                return text
        return ""

    return look(got, expected, "it")


def _plain(members):
    """Make members comparable, with their types, and NaN as well."""
    return {(type(member).__name__, "nan" if member != member else member) for member in members}  # noqa: PLR0124


def refusal(error, sent):
    """Say what is wrong with an error for a value that can't be sent; "" if nothing is."""
    if not isinstance(error, DataCloneError):
        return f"{error!r} instead of a DataCloneError"
    return "" if error.path.startswith("message") else f"the path {error.path!r}"

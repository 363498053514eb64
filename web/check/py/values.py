"""Rows: what a value becomes on its way through structured clone, from either side and back."""

import datetime as dt
import math
from array import array
from collections.abc import Callable
from typing import Any

import js
import page
from pyodide.ffi import jsnull

from pyodide_msgchan import MessageChannel, MessagePort

from .rows import group

row = group("values", "Values")

SERIALIZE = "HTML 2.7.3 StructuredSerializeInternal"
DESERIALIZE = "HTML 2.7.6 StructuredDeserialize"
CASES = "wpt html/infrastructure/safe-passing-of-structured-data/structured-cloning-…"


async def round_trip(value: Any) -> Any:
    """Send a value through a channel in this page."""
    one, two = MessageChannel()
    async with one, two:
        one.post_message(value)
        return await two.receive()


async def seen(value: Any) -> str:
    """Send a value to JavaScript, and give what that has got, in words."""
    native = js.MessageChannel.new()
    async with MessagePort(native.port1) as port:
        said = page.next(native.port2)
        port.post_message(value)
        return str(await said)


# From Python to JavaScript -----------------------------------------------------------------------

noon = dt.datetime(2026, 11, 24, 12, 30, 15, 123_456, tzinfo=dt.UTC)
east = dt.timezone(dt.timedelta(hours=5, minutes=30))


def cyclic_list() -> list[Any]:
    """Give a list that is its own member."""
    value: list[Any] = [1]
    value.append(value)
    return value


def shared() -> dict[str, Any]:
    """Give a dict that has one list twice."""
    member = [1]
    return {"a": member, "b": member}


class Measure(float):
    """A float of a class of its own."""


TO_JAVASCRIPT: dict[str, tuple[str, Callable[[], Any], str]] = {
    "none": ("None is undefined", lambda: None, "undefined"),
    "null": ("jsnull is null, at any depth", lambda: [jsnull, {"a": jsnull}], "[null, {a: null}]"),
    "bool": ("True and False", lambda: [True, False], "[true, false]"),
    "int": ("A small int is a number", lambda: -7, "-7"),
    "int-safe": ("2**53 - 1 is a number", lambda: 2**53 - 1, "9007199254740991"),
    "int-beyond": ("2**53 is a BigInt", lambda: 2**53, "9007199254740992n"),
    "int-huge": ("-(2**70) is a BigInt", lambda: -(2**70), "-1180591620717411303424n"),
    "float": ("A float is a number", lambda: 0.1, "0.1"),
    "float-integral": ("2.0 is the number 2", lambda: 2.0, "2"),
    "float-negative-zero": ("-0.0 is -0", lambda: -0.0, "-0"),
    "float-subclass": ("… of a subclass too", lambda: [Measure(-0.0), Measure(2)], "[-0, 2]"),
    "float-special": (
        "NaN and the infinities",
        lambda: [math.nan, math.inf, -math.inf],
        "[NaN, Infinity, -Infinity]",
    ),
    "str": ("Text with astral characters", lambda: "é☃\U0001f388", '"é☃\U0001f388"'),
    "str-empty": ("Empty text", lambda: "", '""'),
    "str-surrogates": ("Lone surrogates", lambda: "a\ud800b\udfff", r'"a\ud800b\udfff"'),
    "bytes": ("bytes are a Uint8Array", lambda: b"\0\1\xff", "Uint8Array [0, 1, 255]"),
    "bytes-empty": ("Empty bytes", lambda: b"", "Uint8Array []"),
    "bytearray": ("A bytearray is a Uint8Array", lambda: bytearray(b"a"), "Uint8Array [97]"),
    "memoryview": (
        "A memoryview with steps is copied as it reads",
        lambda: memoryview(b"abcdef")[::2],
        "Uint8Array [97, 99, 101]",
    ),
    "list": ("A list is an Array", lambda: [1, "a", [None]], '[1, "a", [undefined]]'),
    "tuple": ("A tuple is an Array", lambda: (1, (2,)), "[1, [2]]"),
    "dict": (
        "A dict with str keys is a plain object",
        lambda: {"b": 1, "a": {"c": []}},
        "{b: 1, a: {c: []}}",
    ),
    "dict-proto": (
        "__proto__ is a key like others",
        lambda: {"__proto__": {"x": 1}},
        "{__proto__: {x: 1}}",
    ),
    "dict-int": ("A dict with int keys is a Map", lambda: {1: "a"}, 'Map {1 => "a"}'),
    "dict-tuple": ("… and with tuples", lambda: {(1, 2): 3}, "Map {[1, 2] => 3}"),
    "dict-mixed": ("… and with mixed keys", lambda: {"a": 1, 2: 3}, 'Map {"a" => 1, 2 => 3}'),
    "set": ("A set is a Set", lambda: {5}, "Set {5}"),
    "frozenset": ("A frozenset is a Set", lambda: frozenset([(1, "a")]), 'Set {[1, "a"]}'),
    "datetime": ("An aware datetime is a Date", lambda: noon, "Date 2026-11-24T12:30:15.123Z"),
    "datetime-zone": (
        "… of any zone",
        lambda: dt.datetime(1900, 1, 1, tzinfo=east),
        "Date 1899-12-31T18:30:00.000Z",
    ),
    "error-value": (
        "ValueError is a RangeError",
        lambda: ValueError("words"),
        "RangeError RangeError: words",
    ),
    "error-type": (
        "TypeError is a TypeError",
        lambda: [TypeError("words")],
        "[TypeError TypeError: words]",
    ),
    "cycle": ("A list in itself", cyclic_list, "[1, the same as it]"),
    "shared": ("A shared list stays one", shared, "{a: [1], b: the same as it.a}"),
    "js-date": (
        "A Date of JavaScript goes as itself",
        lambda: js.Date.new(0),
        "Date 1970-01-01T00:00:00.000Z",
    ),
    "js-regexp": (
        "A RegExp of JavaScript goes as itself",
        lambda: {"pattern": js.RegExp.new("a", "g")},
        "{pattern: RegExp /a/g at 0}",
    ),
    "js-blob": (
        "A Blob of JavaScript goes as itself",
        lambda: [page.value("Blob")],
        "[Blob of 3, text/plain]",
    ),
    "js-object": (
        "An object of JavaScript is cloned",
        lambda: page.value("Array nested"),
        "[[], [[1]], {a: [2]}]",
    ),
}

for key, (title, make, expected) in TO_JAVASCRIPT.items():

    @row(f"value-to-js-{key}", title, source=SERIALIZE, expected=expected)
    async def _(scene: Any, make: Callable[[], Any] = make) -> Any:
        return await seen(make())


FORMATS = {
    "b": "Int8Array",
    "B": "Uint8Array",
    "h": "Int16Array",
    "H": "Uint16Array",
    "i": "Int32Array",
    "I": "Uint32Array",
    "f": "Float32Array",
    "d": "Float64Array",
    "q": "BigInt64Array",
    "Q": "BigUint64Array",
}

for code, name in FORMATS.items():
    items = "1n, 2n" if name.startswith("Big") else "1, 2"

    @row(
        f"value-to-js-array-{name}",
        f"array.array({code!r}) is {name}",
        source=f"{SERIALIZE}, step 15",
        expected=f"{name} [{items}]",
    )
    async def _(scene: Any, code: str = code) -> Any:
        return await seen(array(code, [1, 2]))

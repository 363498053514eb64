"""Rows: what a value becomes on its way through structured clone, from either side and back."""

import datetime as dt
import math
from array import array
from collections.abc import Callable
from typing import Any

import js
import page
from pyodide.ffi import JsProxy, jsnull

from pyodide_msgchan import DataCloneError, MessageChannel, MessagePort

from .compare import Raised
from .rows import NotRun, group

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


async def sent(name: str) -> Any:
    """Send a value of check-values.mjs from JavaScript, and give what came."""
    native = js.MessageChannel.new()
    async with MessagePort(native.port1) as port:
        await page.post(native.port2, name)
        got = await port.receive()
        return f"JsProxy of {page.describe(got)}" if isinstance(got, JsProxy) else got


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


# From JavaScript to Python -----------------------------------------------------------------------

epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def view(code: str, items: list[Any]) -> memoryview:
    """Give the memoryview that a typed array comes as."""
    return memoryview(array(code, items))


FROM_JAVASCRIPT: dict[str, Any] = {
    "undefined": None,
    "null": None,
    "true": True,
    "false": False,
    "empty string": "",
    "string": "é☃\U0001f388",
    "NUL string": "a\0b",
    "high surrogate": "\ud800",
    "low surrogate": "\udfff",
    "zero": 0,
    "negative zero": 0,
    "fraction": 0.2,
    "NaN": math.nan,
    "Infinity": math.inf,
    "-Infinity": -math.inf,
    "greatest safe integer": 2**53 - 1,
    "least safe integer": -(2**53) + 1,
    "greatest number": 1.7976931348623157e308,
    "least number": 5e-324,
    "2 ** 53": 2.0**53,
    "0n": 0,
    "-12345678901234567890n": -12345678901234567890,
    "Boolean object": "JsProxy of Boolean object false",
    "Number object": "JsProxy of Number object -0.5",
    "String object": 'JsProxy of String object "a"',
    "BigInt object": "JsProxy of BigInt object -9007199254740994n",
    "Date 0": epoch,
    "Date before 1970": epoch - dt.timedelta(milliseconds=1_500_000_000_000),
    "Date outside": "JsProxy of Date -271821-04-20T00:00:00.000Z",
    "Date invalid": "JsProxy of Date invalid",
    "RegExp": r"JsProxy of RegExp /a(?<b>[/\]])/giu at 0",
    "RegExp empty": "JsProxy of RegExp /(?:)/ at 0",
    "RegExp newline": r"JsProxy of RegExp /\n/y at 0",
    "Map": {1: {"a": [2]}, "x": None},
    "Map with objects": "JsProxy of Map {{a: 1} => 1}",
    "Map with equals": 'JsProxy of Map {1 => "number", true => "boolean"}',
    "Set": {1, "a", None},
    "Set with objects": "JsProxy of Set {{a: 1}}",
    "ArrayBuffer": b"\0\1\xff",
    "ArrayBuffer empty": b"",
    "ArrayBuffer resizable": b"\0\0",
    "Int8Array": view("b", [1, 2]),
    "Uint8Array": b"\1\2",
    "Uint8ClampedArray": view("B", [1, 2]),
    "Int16Array": view("h", [1, 2]),
    "Uint16Array": view("H", [1, 2]),
    "Int32Array": view("i", [1, 2]),
    "Uint32Array": view("I", [1, 2]),
    "Float32Array": view("f", [1.5, -2]),
    "Float64Array": view("d", [1.5, -2]),
    "BigInt64Array": view("q", [-1, 2**62]),
    "BigUint64Array": view("Q", [1, 2**63]),
    "view in the middle": view("H", [2, 3]),
    "two views of one buffer": [b"\1\2", b"\2\3"],
    "DataView": view("B", [0, 0, 0, 0]),
    "Blob": "JsProxy of Blob of 3, text/plain",
    "Blob empty": "JsProxy of Blob of 0, ",
    "File": "JsProxy of File a.txt of 2, text/plain, 42",
    "ImageData": "JsProxy of ImageData 2 by 1 [255, 0, 255, 4, 5, 6, 7, 8]",
    "ImageBitmap": "JsProxy of ImageBitmap 3 by 2",
    "DOMRect": "JsProxy of DOMRect 1 2 3 4",
    "CryptoKey": "JsProxy of CryptoKey secret AES-GCM",
    "Array empty": [],
    "Array nested": [[], [[1]], {"a": [2]}],
    "Array with holes": [1, None, 3, None, None],
    "Array with a name": [1],
    "Object empty": {},
    "Object": {"a": 1, "b": {"c": [None, None]}},
    "Object with a getter": {"a": 5},
    "Object of a class": {"x": 1},
    "Object with a hidden member": {"a": 1},
    "Object with a symbol": {"a": 1},
    "Object with __proto__": {"__proto__": {"x": 1}, "a": 2},
    "Object with numbers": {"1": 3, "2": 2, "b": 1},
    "Object without prototype": {"a": 1},
}

for name, expected in FROM_JAVASCRIPT.items():

    @row(
        f"value-from-js-{name.replace(' ', '-')}",
        f"{name} arrives in Python",
        source=f"{DESERIALIZE}; {CASES}",
        expected=expected,
    )
    async def _(scene: Any, name: str = name) -> Any:
        return await sent(name)


@row(
    "value-from-js-Float16Array",
    "A Float16Array arrives with its values",
    source=f"{DESERIALIZE}, step 11; {CASES}",
    expected=[1.5, -2.0],
)
async def _(scene: Any) -> Any:
    if not hasattr(js, "Float16Array"):
        raise NotRun("this browser has no Float16Array")
    got = await sent("Float16Array")
    return got.tolist() if isinstance(got, memoryview) else got


ERRORS = {
    "Error": Exception,
    "EvalError": Exception,
    "RangeError": ValueError,
    "ReferenceError": NameError,
    "SyntaxError": SyntaxError,
    "TypeError": TypeError,
    "URIError": ValueError,
}

for name, kind in ERRORS.items():

    @row(
        f"value-from-js-{name}",
        f"{name} arrives as RemoteError, which is {kind.__name__} too",
        source=f"{SERIALIZE}, step 17; {CASES}",
        expected=(name, "words", True, True),
    )
    async def _(scene: Any, name: str = name, kind: type[Exception] = kind) -> Any:
        error = await sent(name)
        return error.name, error.message, isinstance(error, kind), bool(error.stack)


@row(
    "value-from-js-Error-without-message",
    "An Error without a message has an empty one",
    source=f"{SERIALIZE}, step 17; {CASES}",
    expected=("Error", ""),
)
async def _(scene: Any) -> Any:
    error = await sent("Error without message")
    return error.name, error.message


@row(
    "value-from-js-Error-with-another-name",
    "A name that is none of the standard's becomes Error",
    source=f"{SERIALIZE}, step 17.2",
    expected=("Error", "words"),
)
async def _(scene: Any) -> Any:
    error = await sent("Error with another name")
    return error.name, error.message


@row(
    "value-from-js-DOMException",
    "A DOMException arrives as RemoteError with its name",
    source=f"{SERIALIZE}, step 19: serializable objects; {CASES}",
    expected=("AbortError", "words"),
)
async def _(scene: Any) -> Any:
    error = await sent("DOMException")
    return error.name, error.message


@row(
    "value-from-js-AggregateError",
    "An AggregateError keeps its message",
    source=f"{SERIALIZE}, step 17",
    expected="words",
)
async def _(scene: Any) -> Any:
    return (await sent("AggregateError")).message


@row(
    "value-from-js-Array-of-holes",
    "An Array that is mostly holes stays in JavaScript, and none is lost",
    source=f"{DESERIALIZE}, step 15; {CASES}",
    expected=(1000, 1),
)
async def _(scene: Any) -> Any:
    native = js.MessageChannel.new()
    async with MessagePort(native.port1) as port:
        await page.post(native.port2, "Array of holes")
        got = await port.receive()
        return (got.length if isinstance(got, JsProxy) else len(got)), got[999]


@row(
    "value-from-js-cycle-array",
    "An Array in itself is a list in itself",
    source=f"{SERIALIZE}, step 1; {CASES}",
    expected=True,
)
async def _(scene: Any) -> Any:
    got = await sent("Array in itself")
    return got[0] is got


@row(
    "value-from-js-cycle-object",
    "An Object in itself is a dict in itself",
    source=f"{SERIALIZE}, step 1; {CASES}",
    expected=True,
)
async def _(scene: Any) -> Any:
    got = await sent("Object in itself")
    return got["me"] is got


@row(
    "value-from-js-cycle-map",
    "A Map in itself is a dict in itself",
    source=f"{SERIALIZE}, step 1; {CASES}",
    expected=True,
)
async def _(scene: Any) -> Any:
    got = await sent("Map in itself")
    return got["me"] is got


@row(
    "value-from-js-shared",
    "A member that is there twice stays one",
    source=f"{SERIALIZE}, step 1; {CASES}",
    expected=(True, [1]),
)
async def _(scene: Any) -> Any:
    got = await sent("shared member")
    return got["a"] is got["b"], got["b"]


def depth(value: Any) -> tuple[int, str]:
    """Count the lists within lists, and say what is in the innermost."""
    levels = 0
    while isinstance(value, list):
        levels += 1
        value = value[0] if value else None
    return levels, page.describe(value)


@row(
    "value-from-js-deep",
    "500 Arrays within one another arrive as lists",
    source="this package: nested 500 deep at most, in every browser",
    expected=(500, "undefined"),
)
async def _(scene: Any) -> Any:
    return depth(await sent("500 levels"))


@row(
    "value-from-js-deeper",
    "An Array nested deeper arrives too: what is below stays in JavaScript",
    source="this package: nested 500 deep at most, in every browser",
    expected=(500, "[]"),
)
async def _(scene: Any) -> Any:
    return depth(await sent("501 levels"))


# There and back ----------------------------------------------------------------------------------

BACK: dict[str, tuple[str, Callable[[], Any], Any]] = {
    "nan": ("NaN stays NaN", lambda: math.nan, math.nan),
    "integral": ("2.0 comes back as the int 2", lambda: [2.0, 1e15], [2, 10**15]),
    "large-float": ("A float beyond 2**53 stays one", lambda: [1e300, 2.0**60], [1e300, 2.0**60]),
    "big": ("Large ints come back as they were", lambda: [2**53, -(2**200)], [2**53, -(2**200)]),
    "bytes": ("bytes come back as bytes", lambda: [b"abc", bytearray(b"d")], [b"abc", b"d"]),
    "array": (
        "array.array comes back as memoryview",
        lambda: array("d", [0.5]),
        memoryview(array("d", [0.5])),
    ),
    "tuple": ("A tuple comes back as a list", lambda: ((1, 2),), [[1, 2]]),
    "keys": ("Keys that are no text come back", lambda: {1: "a", None: 2}, {1: "a", None: 2}),
    "set": ("A frozenset comes back as a set", lambda: frozenset({1, "x"}), {1, "x"}),
    "datetime": (
        "A datetime comes back in UTC, cut to milliseconds",
        lambda: noon,
        noon.replace(microsecond=123_000),
    ),
    "text": ("Lone surrogates come back", lambda: "\udc00\ud83c", "\udc00\ud83c"),
    "keys-text": ("… also as keys", lambda: {"\ud800": 1}, {"\ud800": 1}),
    "empty": (
        "Empty ones of every kind",
        lambda: ["", b"", [], {}, set()],
        ["", b"", [], {}, set()],
    ),
}

for key, (title, make, expected) in BACK.items():

    @row(f"value-back-{key}", title, source=f"{SERIALIZE} and {DESERIALIZE}", expected=expected)
    async def _(scene: Any, make: Callable[[], Any] = make) -> Any:
        return await round_trip(make())


@row(
    "value-back-cycle",
    "A list in itself comes back in itself",
    source=f"{SERIALIZE}, step 1",
    expected=True,
)
async def _(scene: Any) -> Any:
    got = await round_trip(cyclic_list())
    return got[1] is got


@row(
    "value-back-shared",
    "A list that is there twice comes back as one",
    source=f"{SERIALIZE}, step 1",
    expected=True,
)
async def _(scene: Any) -> Any:
    got = await round_trip(shared())
    return got["a"] is got["b"]


@row(
    "value-back-kept",
    "What was sent stays usable, its buffers too",
    source="this package: buffers are copied once, and the copy is moved",
    expected=b"abc" * 50_000,
)
async def _(scene: Any) -> Any:
    data = bytearray(b"abc" * 50_000)
    await round_trip({"data": data})
    return bytes(data)


@row(
    "value-back-snapshot",
    "A message is what it was when it was posted",
    source=f"{SERIALIZE}: at the time of the call; wpt webmessaging/postMessage_…",
    expected=[1],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        value = [1]
        one.post_message(value)
        value.append(2)
        return await two.receive()


# What can't be cloned ----------------------------------------------------------------------------


def deep(levels: int) -> list[Any]:
    """Give lists within lists."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


REFUSED: dict[str, tuple[str, Callable[[], Any], str]] = {
    "function": ("A function", lambda: {"rows": [0, print]}, "message['rows'][1]"),
    "lambda": ("A lambda as the message itself", lambda: lambda: 1, "message"),
    "class": ("A class", lambda: [int], "message[0]"),
    "object": ("An object of a class", lambda: {"a": object()}, "message['a']"),
    "module": ("A module", lambda: (math,), "message[0]"),
    "generator": ("A generator", lambda: [(x for x in "a")], "message[0]"),
    "complex": ("A complex number", lambda: [1j], "message[0]"),
    "date": ("A date without a time", lambda: [dt.date(2026, 1, 1)], "message[0]"),
    "naive": ("A naive datetime", lambda: {"at": dt.datetime(2026, 1, 1)}, "message['at']"),  # noqa: DTZ001
    "deep": ("501 lists within one another", lambda: deep(501), "message" + 500 * "[0]"),
    "keys": (
        "A dict with two keys that are one in JavaScript",
        lambda: {math.nan: 1, -math.nan: 2},
        "message",
    ),
    "members": (
        "A set with two members that are one in JavaScript",
        lambda: [{"\ud83c\udf88", "\U0001f388"}],
        "message",
    ),
}

for key, (title, make, path) in REFUSED.items():

    @row(
        f"value-refused-{key}",
        f"{title} can't be cloned, and the error names the place",
        source=f"{SERIALIZE}, steps 21 and 24",
        expected=Raised(DataCloneError, path=path),
    )
    async def _(scene: Any, make: Callable[[], Any] = make) -> Any:
        return await round_trip(make())


REFUSED_FROM_JAVASCRIPT = (
    "function",
    "symbol",
    "Element",
    "document",
    "window",
    "Event",
    "WeakMap",
    "WeakSet",
    "WeakRef",
    "Response",
    "Headers",
    "generator",
    "Object with a function",
    "Object with a getter that throws",
)

for name in REFUSED_FROM_JAVASCRIPT:

    @row(
        f"value-refused-js-{name.replace(' ', '-')}",
        f"{name} of JavaScript can't be cloned, and the error names its place in the message",
        source=f"{SERIALIZE}, steps 21 to 24; {CASES}",
        expected=Raised(DataCloneError, path="message['value']"),
    )
    async def _(scene: Any, name: str = name) -> Any:
        return await round_trip({"value": page.value(name)})


@row(
    "value-refused-nothing-sent",
    "After a refusal the port is as before, and nothing was sent",
    source="HTML 9.4.4, postMessage: serialize before anything is enqueued",
    expected=["after"],
)
async def _(scene: Any) -> Any:
    one, two = MessageChannel()
    async with one, two:
        try:
            one.post_message([1, print])
        except DataCloneError:
            one.post_message("after")
        return [await two.receive(), *two.take_buffered()]

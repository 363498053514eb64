"""Rows: what values of JavaScript's are in Python."""

import datetime as dt
import math
from array import array
from typing import Any

import js
import page
from pyodide.ffi import JsProxy

from pyodide_msgchan import MessagePort

from .rows import NotRun, group
from .values import CASES, DESERIALIZE, SERIALIZE

row = group("values", "Values")


async def sent(name: str) -> Any:
    """Send a value of values.mjs from JavaScript, and give what came."""
    native = js.MessageChannel.new()
    async with MessagePort(native.port1) as port:
        await page.post(native.port2, name)
        got = await port.receive()
        return f"JsProxy of {page.describe(got)}" if isinstance(got, JsProxy) else got


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

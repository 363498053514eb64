"""Rows: what a value is after its way to JavaScript and back."""

import math
from array import array
from collections.abc import Callable
from typing import Any

from pyodide_msgchan import MessageChannel

from .rows import group
from .values import DESERIALIZE, SERIALIZE, cyclic_list, noon, round_trip, shared

row = group("values", "Values")

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

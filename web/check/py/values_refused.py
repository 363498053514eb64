"""Rows: what can't be cloned, and the place that the error names."""

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import page

from pyodide_msgchan import DataCloneError, MessageChannel

from .compare import Raised
from .rows import group
from .values import CASES, SERIALIZE, round_trip

row = group("values", "Values")


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

"""Rows: what a value becomes on its way through structured clone and back."""

import math
from typing import Any

from pyodide_msgchan import DataCloneError, MessageChannel

from .compare import Raised
from .rows import group

row = group("values", "Values")


async def round_trip(value: Any) -> Any:
    """Send a value through a channel in this page."""
    one, two = MessageChannel()
    async with one, two:
        one.post_message(value)
        return await two.receive()


@row(
    "value-nan",
    "NaN stays NaN",
    source="HTML 2.7.3 StructuredSerializeInternal, step 4; wpt structured-clone.any.js",
    expected=math.nan,
)
async def _(scene: Any) -> Any:
    return await round_trip(math.nan)


@row(
    "value-function",
    "A function can't be cloned, and the error names its place",
    source="HTML 2.7.3 StructuredSerializeInternal, step 21; wpt webmessaging/postMessage_Function",
    expected=Raised(DataCloneError, path="message['rows'][1]"),
)
async def _(scene: Any) -> Any:
    return await round_trip({"rows": [0, print]})

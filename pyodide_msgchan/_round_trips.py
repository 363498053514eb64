"""What is sent and what arrives: the value table of structured clone, as data."""

from __future__ import annotations

import array
import datetime as dt
import math
from typing import Any, Final

__all__ = ["ROUND_TRIPS", "same"]


def same(one: Any, other: Any) -> bool:
    """Compare values with their types, NaN with NaN, views by format and bytes."""
    if isinstance(other, memoryview):
        return (
            isinstance(one, memoryview)
            and one.format == other.format
            and one.tobytes() == other.tobytes()
        )
    if type(one) is not type(other):
        return False
    if isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in other)
    if isinstance(other, float) and math.isnan(other):
        return math.isnan(one)
    return bool(one == other)


_NOON = dt.datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))

ROUND_TRIPS: Final[tuple[tuple[Any, Any], ...]] = (
    (None, None),
    (True, True),
    (0, 0),
    (-1, -1),
    (2**31, 2**31),
    (2**53 - 1, 2**53 - 1),
    (2**53, 2**53),
    (-(2**64), -(2**64)),
    (1.5, 1.5),
    (2.0, 2),
    (-0.0, 0),
    (math.inf, math.inf),
    (math.nan, math.nan),
    ("", ""),
    ("snow ☃, clef 𝄞, lone \ud834", "snow ☃, clef 𝄞, lone \ud834"),
    (b"", b""),
    (bytearray(b"\x00\xff"), b"\x00\xff"),
    (memoryview(b"abc"), b"abc"),
    (bytes(range(256)) * 400, bytes(range(256)) * 400),
    (array.array("d", [1.5, -2.5]), memoryview(array.array("d", [1.5, -2.5]))),
    (array.array("h", range(5000)), memoryview(array.array("h", range(5000)))),
    ((1, (2, [3])), [1, [2, [3]]]),
    ({"a": {"b": None}, "__proto__": 1}, {"a": {"b": None}, "__proto__": 1}),
    ({1: "int", "s": 2, None: 3}, {1: "int", "s": 2, None: 3}),
    ({1, "two"}, {1, "two"}),
    (frozenset({3}), {3}),
    (_NOON, _NOON.replace(microsecond=123000).astimezone(dt.UTC)),
    ([{"id": i, "name": f"row {i}"} for i in range(50)],) * 2,
)
"""What is sent, and what arrives."""

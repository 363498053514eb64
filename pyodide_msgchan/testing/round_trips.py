"""Values for the contract: what is sent, and what arrives on each lane."""

from __future__ import annotations

import array
import datetime as dt
import math
from decimal import Decimal
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final
from uuid import UUID

__all__ = ["PACKED_TRIPS", "ROUND_TRIPS", "same"]


def same(one: Any, other: Any) -> bool:
    """Return True if two values and their types are equal; NaN equals NaN here."""
    if isinstance(other, memoryview):
        return (
            isinstance(one, memoryview)
            and (one.format, one.shape) == (other.format, other.shape)
            and one.tobytes() == other.tobytes()
        )
    if type(one) is not type(other):
        return False
    if isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in other)
    if isinstance(other, float):
        if math.isnan(other):
            return math.isnan(one)
        return one == other and math.copysign(1, one) == math.copysign(1, other)
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
    ([{"id": i} for i in range(50)], [{"id": i} for i in range(50)]),
)
"""Pairs of a value that is sent and the value that arrives on the clone lane."""


PACKED_TRIPS: Final[tuple[Any, ...]] = (
    *(value for value, _ in ROUND_TRIPS),
    2.0**53,
    -math.inf,
    1 + 2j,
    2**3000,
    bytearray(b"\x00\xff" * 50_000),
    bytes(range(256)) * 4000,
    "text \u2603" * 100_000,
    ((), [], {}, set(), frozenset()),
    {(1, "two"): [3.0], 2.5: None, b"bytes": (4,)},
    {(1, ("two", (3.0,))): 1, dt.date(2026, 11, 24): 2, 1j: 3, Decimal("1.10"): 4},
    {dt.date(2026, 11, 24), (1, 2)},
    dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    dt.datetime(2026, 11, 24, 12, 0, 0, 123456),  # noqa: DTZ001 - naive on purpose
    dt.date(2026, 11, 24),
    dt.time(1, 2, 3, 4),
    dt.time(1, 2, tzinfo=dt.UTC),
    dt.timedelta(days=-1, microseconds=5),
    Decimal("1.50"),
    UUID(int=2**127),
    PurePosixPath("/a/b.txt"),
    PureWindowsPath("c:/d"),
    array.array("q", range(5000)),
    memoryview(array.array("f", range(2000))),
    memoryview(bytes(range(24))).cast("B", (2, 3, 4)),
    [(i, float(i), {i}) for i in range(2000)],
)
"""Values that arrive on the packed lane as they were sent."""

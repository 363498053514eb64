"""The keys, their units and their budgets, and how samples become an entry of bench.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

RAW, OBVIOUS, JSON_TEXT = "raw JavaScript", "obvious Python", "JSON text"
COMLINK = "Comlink JS to JS"
BY_HAND = "JavaScript by hand"
#: The sign that budgets are written with.
TIMES = "\N{MULTIPLICATION SIGN}"
COPIES = "two JavaScript copies and a transfer"


@dataclass(frozen=True)
class AtMost:
    """So many times the rival's number, or less."""

    times: float
    rival: str

    def __str__(self) -> str:
        return f"≤ {self.times:g} {TIMES} {self.rival}"

    def holds(self, ours: float, rivals: Mapping[str, float]) -> bool:
        return ours <= self.times * rivals[self.rival]


@dataclass(frozen=True)
class AtLeast:
    """So many times the rival's number, or more: for numbers of which more is better."""

    times: float
    rival: str

    def __str__(self) -> str:
        return f"≥ {self.times:g} {TIMES} {self.rival}"

    def holds(self, ours: float, rivals: Mapping[str, float]) -> bool:
        return ours >= self.times * rivals[self.rival]


@dataclass(frozen=True)
class Faster:
    """So many times faster than the rival: for numbers of time."""

    times: float
    rival: str

    def __str__(self) -> str:
        return f"≥ {self.times:g} {TIMES} faster than {self.rival}"

    def holds(self, ours: float, rivals: Mapping[str, float]) -> bool:
        return ours * self.times <= rivals[self.rival]


@dataclass(frozen=True)
class Limit:
    """A number that is not compared with anybody's."""

    most: float
    text: str

    def __str__(self) -> str:
        return self.text

    def holds(self, ours: float, rivals: Mapping[str, float]) -> bool:
        del rivals
        return ours <= self.most


type Bound = AtMost | AtLeast | Faster | Limit


@dataclass(frozen=True)
class Key:
    """One line of the table.

    Attributes:
        unit: Of our number and of the rivals'.
        bounds: All have to hold; `ratio` is against the first one's rival, or its limit.
        workload: File and function in workloads/; empty for what is measured in its own way.
    """

    unit: str
    bounds: Sequence[Bound]
    workload: tuple[str, str] = ("", "")

    def from_milliseconds(self, number: float, messages: int) -> float:
        """Give what one time of the work took, in the key's unit.

        Args:
            number: Milliseconds.
            messages: Or calls, in one burst, which is one time of that work.
        """
        if self.unit.endswith("/s"):
            return messages / number * 1000
        return number * {"µs": 1000, "ms": 1}[self.unit]


#: The order is the table's.
KEYS = {
    "roundtrip_local": Key("µs", [AtMost(5, RAW), Faster(3, OBVIOUS)], ("roundtrip", "local")),
    "roundtrip_plain": Key("µs", [AtMost(3.5, RAW), Faster(5, OBVIOUS)], ("roundtrip", "plain")),
    "roundtrip_frame": Key("µs", [AtMost(1.25, RAW)], ("roundtrip", "frame")),
    "burst": Key("messages/s", [AtLeast(0.6, RAW)], ("burst", "small_objects")),
    "rows_packed": Key("ms", [Faster(5, OBVIOUS), Faster(2, JSON_TEXT)], ("data", "packed_rows")),
    "rows_clone": Key("ms", [AtMost(1, OBVIOUS)], ("data", "rows")),
    "buffer_16mb": Key("ms", [AtMost(1.2, COPIES)], ("data", "buffer")),
    "call_python_js": Key("µs", [AtMost(1.25, COMLINK)], ("calls", "python_to_javascript")),
    "call_js_python": Key("µs", [AtMost(1.5, COMLINK)], ("calls", "javascript_to_python")),
    "call_python_python": Key("µs", [AtMost(2, COMLINK)], ("calls", "python_to_python")),
    "calls_pipelined": Key("calls/s", [AtLeast(0.6, COMLINK)], ("calls", "pipelined")),
    "connect": Key("ms", [AtMost(2, BY_HAND)], ("connections", "opening")),
    "fan_out": Key(
        "messages/s",
        [AtLeast(0.8, "1 connection"), AtLeast(0.8, "10 connections")],
        ("connections", "fan_out"),
    ),
    "import": Key("ms", [Limit(60, "≤ 60 ms")]),
    "wheel": Key("bytes", [Limit(60_000, "≤ 60 kB")]),
    "soak": Key("bytes", [Limit(1_000_000, "0 proxies more; growth ≤ 1 MB")]),
}

#: What each is, for people.
TITLES = {
    "roundtrip_local": "A string there and back in one page, awaited at both ends",
    "roundtrip_plain": "The same with stack_switching=False",
    "roundtrip_frame": "A string there and back, echoed by JavaScript in a cross-site frame",
    "burst": "20,000 small objects that JavaScript posts at once",
    "rows_clone": "1,000 dicts of 4 fields, as JavaScript's objects",
    "rows_packed": "1,000 dicts of 4 fields, to another Python",
    "buffer_16mb": "16 MB of bytes from Python to Python",
    "call_python_js": "Python calls add(1, 2) in a page with Comlink",
    "call_js_python": "A page with Comlink calls add(1, 2) in Python",
    "call_python_python": "Python calls add(1, 2) in Python",
    "calls_pipelined": "3,000 calls to a page with Comlink, all sent before the first is awaited",
    "connect": "A connection with a frame that is ready",
    "fan_out": "Messages from 50 frames at once",
    "import": "import pyodide_msgchan, once Python runs",
    "wheel": "The package as it is downloaded",
    "soak": "What 1,000,000 messages on each lane leave behind",
}


def entry(
    key: str,
    samples: Mapping[str, Sequence[float]],
    *,
    fine: bool = True,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Judge what was measured.

    Args:
        key: Of KEYS.
        samples: By name, `ours` among them, the number of each round in the key's unit.
        fine: Whether what no number of the unit says was as it should be.
        details: More that a reader may want.

    Returns:
        The entry of bench.json: medians, with the lowest and highest sample as `spread`.
    """
    medians = {name: median(numbers) for name, numbers in samples.items()}
    ours, bounds = medians.pop("ours"), KEYS[key].bounds
    ratios = {name: ours / theirs for name, theirs in medians.items()}
    first = bounds[0]
    ratio = ours / first.most if isinstance(first, Limit) else ratios[first.rival]
    return {
        "ours": ours,
        "rivals": medians,
        "unit": KEYS[key].unit,
        "ratio": ratio,
        "title": TITLES[key],
        "ratios": ratios,
        "spread": {name: [min(numbers), max(numbers)] for name, numbers in samples.items()},
        "budget": "; ".join(map(str, bounds)),
        "ok": fine and all(bound.holds(ours, medians) for bound in bounds),
        "details": dict(details or {}),
    }

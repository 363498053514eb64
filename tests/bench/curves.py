"""How cost grows: the curves, and how samples become an entry of curves.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any

from bench.budgets import RAW

#: The growth of a curve is that of its end, where x becomes so many times what it was.
DECADE = 10


@dataclass(frozen=True)
class Curve:
    """Something of which there is more and more.

    Attributes:
        title: What there is more of.
        about: What is measured, for people who look at the chart.
        x: What the points count.
        points: In rising order.
        function: In workloads/growth.py.
        ours: Its lines, in the order in which they are shown.
        rivals: The lines of others, which come after.
    """

    title: str
    about: str
    x: str
    points: tuple[int, ...]
    function: str
    ours: tuple[str, ...]
    rivals: tuple[str, ...]


CURVES = {
    "size": Curve(
        "Larger messages",
        "Bytes from Python to Python in one page, until the receiver has them. "
        "JavaScript does the least that this takes: a copy out, a transfer, a copy in.",
        "bytes in the message",
        (1, 64, 2**12, 2**16, 2**20, 2**23, 2**26),
        "size",
        ("clone lane", "packed lane"),
        (RAW,),
    ),
    "in_flight": Curve(
        "More messages in flight",
        "So many small objects are posted at once, then all of them received.",
        "messages in flight",
        (1, 3, 10, 30, 100, 300, 1000),
        "in_flight",
        ("clone lane", "packed lane"),
        (RAW,),
    ),
    "frames": Curve(
        "More frames",
        "Every frame posts 100 small objects at once when it is told to, "
        "each on a connection of its own to the page, which receives them all.",
        "frames",
        (1, 2, 5, 10, 20, 50),
        "frames",
        ("clone lane",),
        (RAW,),
    ),
    "proxies": Curve(
        "More live proxies",
        "So many remote objects are made and kept, then each is called once, in turn, "
        "then all are released. Comlink: between two JavaScript ends.",
        "live proxies",
        (1, 10, 100, 1000, 10_000),
        "proxies",
        ("made", "called once each", "released"),
        ("Comlink: made", "Comlink: called once each"),
    ),
}


def entry(curve: Curve, points: Sequence[int], samples: Mapping[str, Any]) -> dict[str, Any]:
    """Give a curve's entry of curves.json.

    Args:
        curve: What was measured.
        points: Those that were.
        samples: By line, for each point the milliseconds of each round.

    Returns:
        For each line the medians, the lowest and highest sample at each point, and as `growth`
        the exponent of its last decade: 1 is linear, less is better.
    """
    ordered = {name: samples[name] for name in curve.ours + curve.rivals if name in samples}
    lines = {name: [median(rounds) for rounds in of_line] for name, of_line in ordered.items()}
    return {
        "title": curve.title,
        "about": curve.about,
        "x": curve.x,
        "unit": "ms",
        "points": list(points),
        "rivals": [name for name in curve.rivals if name in lines],
        "lines": lines,
        "spread": {
            name: [[min(rounds), max(rounds)] for rounds in of_line]
            for name, of_line in ordered.items()
        },
        "growth": {name: growth(points, numbers) for name, numbers in lines.items()},
    }


def growth(points: Sequence[int], numbers: Sequence[float]) -> float:
    """Give the exponent by which the numbers grow over the last decade of the points, or all."""
    start = next(i for i, point in enumerate(points) if point * DECADE >= points[-1])
    start = min(start, len(points) - 2)
    return log(numbers[-1] / numbers[start]) / log(points[-1] / points[start])

"""Opens the bench page in a browser and measures key after key."""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium.common import WebDriverException
from selenium.webdriver.remote.webdriver import WebDriver
from tools.bundle import wheel
from tools.common import SITE
from tools.pages import run_async, wait_state
from tools.server import Origins, serving
from urllib3.exceptions import HTTPError

from bench import curves
from bench.budgets import KEYS, TITLES, entry

HERE = Path(__file__).parent
#: Seconds that one call into the page may take.
TIMEOUT = 600
#: Messages of the long run in one such call.
SOAK_SLICE = 100_000
_FAILURES = (AssertionError, WebDriverException, HTTPError, OSError)
_BENCH = "return await bench(...arguments)"


@dataclass(frozen=True)
class Effort:
    """How much is done.

    Attributes:
        rounds: Samples of each contestant; fewer where they are long.
        seconds: After so many no more rounds begin.
        milliseconds: A sample takes about so long.
        count: Do the work that often instead; 0 finds out how often.
        burst: Messages posted at once.
        calls: Calls made at once.
        soak: Messages in the long run.
        boots: Fresh interpreters that import the package.
        fresh: Measure each key in a page of its own.
        points: Of each curve, the first ones.
    """

    # Many and short: another program then slows all contestants of a round alike.
    rounds: int = 31
    seconds: int = 20
    milliseconds: int = 60
    count: int = 0
    burst: int = 20_000
    calls: int = 3_000
    soak: int = 1_000_000
    boots: int = 5
    fresh: bool = True
    points: int = 100


#: Enough to see that everything runs; its numbers mean nothing.
TINY = Effort(rounds=2, count=2, burst=20, calls=20, soak=50, boots=1, fresh=False, points=2)
#: A curve has many points, and what it tells is its shape.
CURVES_EFFORT = Effort(rounds=5, seconds=4, milliseconds=20)


@contextlib.contextmanager
def bench_pages() -> Iterator[Origins]:
    """Serve the built site and this folder on two origins."""
    with serving({"/": SITE, "/bench/": HERE}) as origins:
        yield origins


class Bench:
    """The bench page in one browser.

    Args:
        driver: The browser, showing anything.
        origins: From `bench_pages`.
        effort: How much to do.
    """

    def __init__(self, driver: WebDriver, origins: Origins, effort: Effort) -> None:
        files = sorted(path.name for path in (HERE / "workloads").glob("*.py"))
        self._address = origins.url(
            "bench/page.html", frames=origins.other_origin, workloads=",".join(files)
        )
        self._driver = driver
        self._effort = effort
        self._booted = False

    def measure(self, key: str) -> dict[str, Any]:
        """Measure one key of budgets.KEYS.

        Returns:
            Its entry of bench.json.

        Raises:
            AssertionError: The page failed; with its words.
        """
        special: dict[str, Callable[[], dict[str, Any]]] = {
            "import": self._import,
            "soak": self._soak,
            "wheel": lambda: entry("wheel", {"ours": [wheel().stat().st_size]}),
        }
        return special.get(key, lambda: self._race(key))()

    def curve(self, name: str) -> dict[str, Any]:
        """Measure one curve of curves.CURVES.

        Returns:
            Its entry of curves.json.

        Raises:
            AssertionError: The page failed; with its words.
        """
        effort, curve = self._effort, curves.CURVES[name]
        self._boot(fresh=effort.fresh)
        points = curve.points[: effort.points]
        told = self._call(
            "growth",
            curve.function,
            points=points,
            rounds=effort.rounds,
            seconds=effort.seconds,
            milliseconds=effort.milliseconds,
            count=effort.count,
        )
        return curves.entry(curve, points, told["samples"])

    def _boot(self, *, fresh: bool) -> None:
        if self._booted and not fresh:
            return
        self._driver.get(self._address)
        if wait_state(self._driver) != "done":
            raise AssertionError(self._driver.execute_script("return document.body.innerText"))
        self._booted = True

    def _call(self, file: str, function: str, **options: object) -> Any:
        told = run_async(self._driver, _BENCH, file, function, options, timeout=TIMEOUT)
        return json.loads(told)

    def _race(self, key: str) -> dict[str, Any]:
        effort, line = self._effort, KEYS[key]
        self._boot(fresh=effort.fresh)
        told = self._call(
            *line.workload,
            rounds=effort.rounds,
            seconds=effort.seconds,
            milliseconds=effort.milliseconds,
            count=effort.count,
            burst=effort.burst,
            calls=effort.calls,
        )
        at_once = effort.calls if line.unit == "calls/s" else effort.burst
        samples = {
            name: [line.from_milliseconds(number, at_once) for number in numbers]
            for name, numbers in told["samples"].items()
        }
        details = {"counts": told["counts"], **told.get("details", {})}
        return entry(key, samples, fine=told.get("fine", True), details=details)

    def _import(self) -> dict[str, Any]:
        told = []
        for _ in range(self._effort.boots):
            self._boot(fresh=True)
            told.append(self._call("loading", "first_use"))
        channel_ms = [round(one["first channel"], 3) for one in told]
        samples = {"ours": [one["import"] for one in told]}
        return entry("import", samples, details={"first channel, ms": channel_ms})

    def _soak(self) -> dict[str, Any]:
        self._boot(fresh=self._effort.fresh)
        self._call("soak", "trace")
        details = {f"{lane} lane": self._soak_on(lane) for lane in ("clone", "packed")}
        more = [of_lane["more"] for of_lane in details.values()]
        counts = ("python proxies", "javascript references")
        fine = all(of_lane[name] <= 0 for of_lane in more for name in counts)
        worst = max(of_lane[name] for of_lane in more for name in of_lane if "bytes" in name)
        return entry("soak", {"ours": [worst]}, fine=fine, details=details)

    def _soak_on(self, lane: str) -> dict[str, Any]:
        before = self._call("soak", "prepare", lane=lane) | self._heap()
        left, seconds, after = self._effort.soak, 0.0, before
        while left > 0:
            after = self._call("soak", "run", lane=lane, messages=min(left, SOAK_SLICE))
            left -= after.pop("messages")
            seconds += after.pop("seconds")
            after |= self._heap()
        more = {name: after[name] - before[name] for name in before}
        return {"messages": self._effort.soak, "seconds": round(seconds, 1), "more": more}

    def _heap(self) -> dict[str, int]:
        """Chrome's heap, from its debugger: `performance.memory` is rounded and late."""
        if not self._driver.capabilities.get("browserName", "").startswith("chrom"):
            return {}
        ask: Any = self._driver.execute_cdp_cmd
        ask("HeapProfiler.collectGarbage", {})
        return {"heap bytes": int(ask("Runtime.getHeapUsage", {})["usedSize"])}


def measured(bench: Bench, key: str) -> dict[str, Any]:
    """Measure a key; what fails is an entry too, with the `error` in it."""
    try:
        return bench.measure(key)
    except _FAILURES as error:
        return {**_nothing(key), "error": str(error) or repr(error)}


def curve_of(bench: Bench, name: str) -> dict[str, Any]:
    """Measure a curve; what fails is an entry too, with the `error` in it."""
    try:
        return bench.curve(name)
    except _FAILURES as error:
        curve = curves.CURVES[name]
        empty = curves.entry(curve, (), {})
        return {**empty, "error": str(error) or repr(error)}


def _nothing(key: str) -> dict[str, Any]:
    line = KEYS[key]
    budget = "; ".join(map(str, line.bounds))
    return {
        "ours": None,
        "rivals": {},
        "unit": line.unit,
        "ratio": None,
        "title": TITLES[key],
        "budget": budget,
        "ok": False,
    }

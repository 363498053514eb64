"""The `bench` verb: measures keys or curves in each browser, prints and writes them."""

import argparse
import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.common import DIST, SetupError, say
from tools.pool import BrowserPool, end
from tools.server import Origins

from bench.budgets import KEYS
from bench.curves import CURVES
from bench.measure import CURVES_EFFORT, TINY, Bench, Effort, bench_pages, curve_of, measured
from bench.table import show, show_curves


def main(words: list[str]) -> int:
    """Measure the keys that are named, or all; or the curves.

    Returns:
        1 if something could not be measured; a missed budget is a result.
    """
    options = _parse(words)
    effort = TINY if options.tiny else CURVES_EFFORT if options.curves else Effort()
    if options.soak is not None:
        effort = replace(effort, soak=options.soak)
    every, measure = (CURVES, curve_of) if options.curves else (KEYS, measured)
    output = options.output or DIST / ("curves.json" if options.curves else "bench.json")
    names = [name for name in every if name in (options.names or every)]
    results: dict[str, dict[str, Any]] = {}
    pool = BrowserPool()
    try:
        with bench_pages() as origins:
            for browser in options.browser or ["chrome", "firefox"]:
                results[browser] = {}
                for name, entry in _measure_in(browser, pool, origins, effort, names, measure):
                    results[browser][name] = entry
                    write(results, output)  # now: a long run may be broken off
    finally:
        pool.close()
    entries = [entry for of_browser in results.values() for entry in of_browser.values()]
    if options.curves:
        show_curves(results)
    else:
        show(results)
        say(f"{sum(entry['ok'] for entry in entries)} of {len(entries)} within budget")
    say("./build.sh serve shows them: bench.html")
    return 1 if any("error" in entry for entry in entries) else 0


def _measure_in(
    browser: str,
    pool: BrowserPool,
    origins: Origins,
    effort: Effort,
    names: Sequence[str],
    measure: Callable[[Bench, str], dict[str, Any]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    driver = None
    try:
        for name in names:
            driver = driver or pool.take(browser)
            entry = measure(Bench(driver, origins, effort), name)
            say(f"{browser}: {name}{' failed' if 'error' in entry else ''}")
            if "error" in entry:  # a browser that crashed takes no other with it
                end(driver)
                driver = None
            yield name, entry
    finally:
        if driver is not None:
            end(driver)


def write(results: Mapping[str, Any], path: Path) -> None:
    """Write what other programs read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="build.sh bench")
    parser.add_argument("names", nargs="*", metavar="key", help=f"of {', '.join(KEYS)}")
    parser.add_argument(
        "--curves", action="store_true", help=f"how cost grows with {', '.join(CURVES)}"
    )
    parser.add_argument("--browser", action="append", choices=["chrome", "firefox", "webkit"])
    parser.add_argument("--soak", type=int, metavar="N", help="messages in the soak (1,000,000)")
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs")
    parser.add_argument("--output", type=Path, help="the file (dist/bench.json; dist/curves.json)")
    options = parser.parse_args(words)
    known: Collection[str] = CURVES if options.curves else KEYS
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no such key: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        say(f"build.sh: {error}")
        sys.exit(1)

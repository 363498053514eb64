"""The `bench` verb: measures in each browser, prints the table and writes dist/bench.json."""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.common import DIST, SetupError, say
from tools.pool import BrowserPool, end
from tools.server import Origins

from bench.budgets import KEYS
from bench.measure import TINY, Bench, Effort, bench_pages, measured
from bench.table import show


def main(words: list[str]) -> int:
    """Measure the keys that are named, or all.

    Returns:
        1 if something could not be measured; a missed budget is a result.
    """
    options = _parse(words)
    effort = TINY if options.tiny else Effort()
    if options.soak is not None:
        effort = replace(effort, soak=options.soak)
    keys = [key for key in KEYS if key in (options.keys or KEYS)]
    results: dict[str, dict[str, Any]] = {}
    pool = BrowserPool()
    try:
        with bench_pages() as origins:
            for browser in options.browser or ["chrome", "firefox"]:
                results[browser] = {}
                for key, entry in _measure_in(browser, pool, origins, effort, keys):
                    results[browser][key] = entry
                    write(results, options.output)  # now: a long run may be broken off
    finally:
        pool.close()
    show(results)
    entries = [entry for of_browser in results.values() for entry in of_browser.values()]
    say(f"{sum(entry['ok'] for entry in entries)} of {len(entries)} within budget")
    return 1 if any("error" in entry for entry in entries) else 0


def _measure_in(
    browser: str, pool: BrowserPool, origins: Origins, effort: Effort, keys: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    driver = None
    try:
        for key in keys:
            driver = driver or pool.take(browser)
            entry = measured(Bench(driver, origins, effort), key)
            say(f"{browser}: {key}{' failed' if 'error' in entry else ''}")
            if "error" in entry:  # a browser that crashed takes no other key with it
                end(driver)
                driver = None
            yield key, entry
    finally:
        if driver is not None:
            end(driver)


def write(results: Mapping[str, Any], path: Path) -> None:
    """Write what other programs read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="build.sh bench")
    parser.add_argument("keys", nargs="*", metavar="key", help=f"of {', '.join(KEYS)}")
    parser.add_argument("--browser", action="append", choices=["chrome", "firefox", "webkit"])
    parser.add_argument("--soak", type=int, metavar="N", help="messages in the soak (1,000,000)")
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs")
    parser.add_argument("--output", type=Path, default=DIST / "bench.json")
    options = parser.parse_args(words)
    unknown = [key for key in options.keys if key not in KEYS]
    if unknown:
        parser.error(f"no such key: {', '.join(unknown)}")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        say(f"build.sh: {error}")
        sys.exit(1)

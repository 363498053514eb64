"""The `test` verb: every suite in turn, and one plain total as the last line.

`--quick` runs what answers within two minutes: the host suite without its slow tests, and a part of
the browser tests in Chrome (see `_QUICK`), or in the browser that `--browser` names.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools import browsers
from tools.bundle import build
from tools.common import BUILD, ROOT, say

_REPORTS = BUILD / "reports"
_INTERRUPTED, _NOTHING_RAN = 2, 5
_FAILURES = ("failure", "error")
_PAGES = ["tests/browser", "tests/interop"]


@dataclass(frozen=True)
class Suite:
    """Some of the tests, run by one pytest."""

    name: str
    folders: list[str]
    parts: tuple[str, ...] = ()

    @property
    def report(self) -> Path:
        """What its runner writes about it."""
        return _REPORTS / f"{self.name}.xml"

    def start(self, words: list[str], output: IO[str] | None) -> subprocess.Popen[str]:
        """Start pytest."""
        self.report.unlink(missing_ok=True)
        parts = [f"--part={part}" for part in self.parts]
        command = [sys.executable, "-P", "-m", "pytest", f"--junitxml={self.report}", *parts]
        return subprocess.Popen(
            [*command, *self.folders, *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            text=True,
        )


class NodeSuite(Suite):
    """The unit tests of the JavaScript part, run by Node's own test runner."""

    def start(self, words: list[str], output: IO[str] | None) -> subprocess.Popen[str]:
        """Start Node; it prints the coverage of each module. The words are pytest's."""
        del words
        self.report.parent.mkdir(parents=True, exist_ok=True)
        self.report.unlink(missing_ok=True)
        options = ["--test", "--experimental-test-coverage"]
        for reporter, destination in (("spec", "stdout"), ("junit", self.report)):
            options += [f"--test-reporter={reporter}", f"--test-reporter-destination={destination}"]
        # Not tests/js: tests is on the path of Python, which would take it for the module js.
        files = sorted(str(path) for path in (ROOT / "tests" / "javascript").glob("*.test.mjs"))
        return subprocess.Popen(
            ["node", *options, *files], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, text=True
        )


#: In the order they run; those in one line run beside each other, as a browser leaves time for one.
_SUITES = (
    (NodeSuite("javascript", []),),
    (Suite("host", ["tests/host"]),),
    (
        Suite("chrome", _PAGES, ("chrome", "node", "none")),
        Suite("firefox", _PAGES, ("firefox", "webkit")),
    ),
)

#: What `--quick` runs: the host suite, and real messages through a real browser, without its pages.
_QUICK = (
    (
        Suite("host", ["tests/host"]),
        Suite("smoke", ["tests/browser/test_smoke.py", "tests/browser/test_contract.py"]),
    ),
)


@dataclass
class Total:
    """How many tests went how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, report: Path, status: int) -> None:
        """Add what one run reports; a run that broke off counts as one failure more."""
        failed = 0
        if report.is_file():
            # Written a moment ago, so nobody's trap.
            cases = list(ET.parse(report).iter("testcase"))  # noqa: S314
            tests = len(cases)
            failed = sum(any(case.find(kind) is not None for kind in _FAILURES) for case in cases)
            skipped = sum(case.find("skipped") is not None for case in cases)
            self.passed += tests - failed - skipped
            self.skipped += skipped
        if status not in {0, _NOTHING_RAN} and not failed:
            failed = 1
        self.failed += failed

    def __str__(self) -> str:
        """The line that other programs read."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def main(words: list[str]) -> int:
    """Run the suites with the words, which are pytest's, or only what the words name by path."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--browser", action="append")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_known_args(words)[0]
    asked: list[str] | None = options.browser
    if options.quick and not asked:
        asked = ["chrome"]
        words = [*words, "--browser=chrome"]
    build()
    browsers.ensure(asked or ["chrome", "firefox"])
    if not asked:
        browsers.have_webkit()

    total = Total()
    chosen = any((ROOT / word.split("::")[0]).exists() for word in words)
    suites = _QUICK if options.quick else _SUITES
    for beside in ((Suite("chosen", []),),) if chosen else suites:
        if _INTERRUPTED in _run(beside, words, total):
            break
    say(f"\n{total}")
    return 0 if total.passed and not total.failed else 1


def _run(suites: Sequence[Suite], words: list[str], total: Total) -> list[int]:
    """Run suites at once: the first is seen at work, the others are shown when they are done."""
    statuses: list[int] = []
    with contextlib.ExitStack() as stack:
        outputs: list[IO[str] | None] = [
            None,
            *(stack.enter_context(tempfile.TemporaryFile("w+")) for _ in suites[1:]),
        ]
        say(f"\nTests: {' and '.join(suite.name for suite in suites)}")
        running = [
            suite.start(words, output) for suite, output in zip(suites, outputs, strict=True)
        ]
        for suite, process, output in zip(suites, running, outputs, strict=True):
            statuses.append(process.wait())
            if output is not None:
                output.seek(0)
                say(f"\nTests: {suite.name}\n{output.read()}")
            total.add(suite.report, statuses[-1])
    return statuses

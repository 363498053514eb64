"""The `test` verb: every suite in turn, and one plain total as the last line."""

import argparse
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from tools import browsers
from tools.bundle import build
from tools.common import BUILD, ROOT, say

_REPORTS = BUILD / "reports"
_INTERRUPTED, _NOTHING_RAN = 2, 5
#: Name and folders, in the order they run: the quick ones first.
_SUITES = (("host", ["tests/host"]), ("browsers", ["tests/browser", "tests/interop"]))


@dataclass
class Total:
    """How many tests went how."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, report: Path, status: int) -> None:
        """Add what one run of pytest reports; a run that broke off counts as one failure more."""
        failed = 0
        if report.is_file():
            # Written by pytest a moment ago, so nobody's trap.
            suite = next(ET.parse(report).iter("testsuite"))  # noqa: S314
            tests, failures, errors, skipped = (
                int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")
            )
            failed = failures + errors
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
    asked = parser.parse_known_args(words)[0].browser
    build()
    browsers.ensure(asked or ["chrome", "firefox"])
    if not asked:
        browsers.have_webkit()

    total = Total()
    paths = [word for word in words if (ROOT / word.split("::")[0]).exists()]
    suites = (("chosen", []),) if paths else _SUITES
    for name, folders in suites:
        there = [folder for folder in folders if any((ROOT / folder).rglob("test_*.py"))]
        if folders and not there:
            continue
        say(f"\nTests: {name}")
        report = _REPORTS / f"{name}.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-P", "-m", "pytest", f"--junitxml={report}", *there, *words]
        status = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode
        total.add(report, status)
        if status == _INTERRUPTED:
            break
    say(f"\n{total}")
    return 0 if total.passed and not total.failed else 1

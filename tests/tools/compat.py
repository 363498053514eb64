"""The `table` verb: which rows of the check page hold in which browser; `--write` to the README."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tools.common import DIST, ROOT, SetupError, say

#: Heading by the name of the report, `dist/check-<name>.json`, in the order of the columns.
COLUMNS = {
    "chrome": "Chrome",
    "firefox": "Firefox",
    "webkit": "WebKitGTK",
    "chrome-mobile": "Chrome as a phone",
    "chrome-0.29": "Chrome, Pyodide 0.29",
    "firefox-0.29": "Firefox, Pyodide 0.29",
}

#: A report on the newest pre-release of Pyodide, which no test judges.
NEXT = "chrome-next"

#: Rows that do not hold, or can't be run, in a browser; and why. By the name of the report.
KNOWN: dict[str, dict[str, str]] = {}

#: What was run for each family of browsers, and what is inferred from that.
FAMILIES = (
    ("Chrome, Edge, Opera", "Chromium", "Chrome was run; Edge and Opera are the same engine"),
    ("Firefox", "Gecko", "was run"),
    (
        "Safari on desktop",
        "WebKit",
        "inferred: WebKitGTK, the same engine on Linux, was run in its MiniBrowser",
    ),
    (
        "Safari, and every browser on iPhone and iPad",
        "WebKit",
        "inferred from WebKitGTK; nothing was run on a phone of Apple's",
    ),
    (
        "Chrome on Android",
        "Chromium",
        "inferred: Chrome was run as a phone (its mobile emulation), on a desktop's machine",
    ),
    ("WebView on Android", "Chromium", "inferred from Chrome as a phone"),
    (
        "Internet Explorer, BlackBerry, Opera Mini",
        "Trident, old WebKit, Presto",
        "can't: they have no WebAssembly, so no Python; the pages say so",
    ),
)

#: What stands before and after the tables in the README.
BEGIN, END = "<!-- ./build.sh table --write -->", "<!-- end of the table -->"

type Report = Mapping[str, Any]


def main(words: list[str]) -> int:
    """Print the tables of the reports that the tests have left, or write them to the README."""
    if words not in ([], ["--write"]):
        raise SetupError("table takes no word but --write")
    reports = read()
    if not reports:
        raise SetupError("there are no reports in dist/: ./build.sh test makes them")
    tables = markdown(reports, titles())
    if words:
        readme = ROOT / "README.md"
        before, begin, rest = readme.read_text("utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        readme.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}", "utf-8")
    else:
        say(tables)
    return 0


def read() -> dict[str, Report]:
    """The reports that are there, by name."""
    paths = {name: DIST / f"check-{name}.json" for name in (*COLUMNS, NEXT)}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.is_file()}


def titles() -> dict[str, str]:
    """Titles of the groups by name, in the order of the page."""
    modules = (ROOT / "web" / "check" / "modules.mjs").read_text()
    names = modules.partition("const GROUPS = [")[2].partition("]")[0]
    found: dict[str, str] = {}
    for module in re.findall(r'"(\w+)"', names):
        source = (ROOT / "web" / "check" / "py" / f"{module}.py").read_text()
        # Several files may make one group.
        found.update(re.findall(r'group\("(\w+)", "([^"]+)"\)', source))
    return found


def markdown(reports: Mapping[str, Report], groups: Mapping[str, str]) -> str:
    """Both tables and the differences between them."""
    shown = [name for name in COLUMNS if name in reports]
    parts = ["\n".join(_results(reports, shown, groups))]
    differences = [line for name in shown for line in _differences(name, reports[name])]
    if differences:
        parts.append("\n".join(differences))
    if NEXT in reports:
        parts.append(_next(reports[NEXT]))
    rows = [("browsers", "engine", "what was run"), ("---",) * 3, *FAMILIES]
    parts.append("\n".join(map(_line, rows)))
    return "\n\n".join(parts)


def _head(column: str, version: str) -> str:
    browser, comma, more = column.partition(",")
    return f"{browser} {version}{comma}{more}"


def _results(
    reports: Mapping[str, Report], shown: Iterable[str], groups: Mapping[str, str]
) -> Iterable[str]:
    names = list(shown)
    heads = [_head(COLUMNS[name], _major(reports[name]["version"])) for name in names]
    yield _line(["behaviours", *heads])
    yield _line(["---", *("--:" for _ in names)])
    for group, title in [*groups.items(), ("", "all")]:
        cells = []
        for name in names:
            rows = [row for row in reports[name]["rows"] if group in {"", row["group"]}]
            held = sum(row["ok"] is True for row in rows)
            cells.append(f"{held} of {len(rows)}" if rows else "not run")
        yield _line([title, *cells])


def _differences(name: str, report: Report) -> Iterable[str]:
    for row in report["rows"]:
        if row["ok"] is not True:
            how = "not run" if row["ok"] is None else "does not hold"
            why = KNOWN.get(name, {}).get(row["id"], f"got {row['got']}")
            yield f"- {COLUMNS[name]}, {how}: {row['title']} (`{row['id']}`). {why}"


def _next(report: Report) -> str:
    rows = report["rows"]
    held = sum(row["ok"] is True for row in rows)
    how = f"{held} of {len(rows)} hold" if rows else "the page does not start"
    return f"On Pyodide's pre-release {report['pyodide'] or '(unknown)'}, in Chrome: {how}."


def _major(version: str) -> str:
    """As much of a version as tells one from the next."""
    first, *rest = version.split(".")
    # Chrome and Firefox count up by one; WebKitGTK by its second number.
    return ".".join([first, *rest[:1]]) if rest and int(first) < 10 else first


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""The table of browsers: what the command prints, and that the README shows it."""

import re

from tools.common import ROOT
from tools.compat import BEGIN, COLUMNS, END, FAMILIES, KNOWN, NEXT, markdown, titles


def report(*, version="156.0.1", hold=True, **more):
    rows = [
        {"id": f"{group}-row", "group": group, "title": "words", "ok": hold, "got": "something"}
        for group in titles()
    ]
    return {"version": version, "pyodide": "314.0.7", "rows": rows, **more}


def test_every_group_has_a_title_and_a_line():
    groups = titles()
    assert groups["starting"] == "Starting and queueing"
    assert "" not in groups.values()
    lines = markdown({"chrome": report()}, groups).splitlines()
    assert lines[0] == "| behaviours | Chrome 156 |"
    assert [f"| {title} | 1 of 1 |" for title in groups.values()] == lines[2 : 2 + len(groups)]
    assert lines[2 + len(groups)] == f"| all | {len(groups)} of {len(groups)} |"


def test_every_family_is_named():
    text = markdown({"chrome": report()}, titles())
    for name, *_ in FAMILIES:
        assert f"| {name} |" in text
    for name in ("Edge", "Opera", "Safari", "WebView", "Internet Explorer", "BlackBerry"):
        assert name in text


def test_what_does_not_hold_is_explained(monkeypatch):
    failing = report(version="2.50.6", hold=False)
    monkeypatch.setitem(KNOWN, "webkit", {"creation-row": "It is known."})
    lines = markdown({"webkit": failing}, titles()).splitlines()
    assert lines[0] == "| behaviours | WebKitGTK 2.50 |"
    assert "- WebKitGTK, does not hold: words (`creation-row`). It is known." in lines
    assert "- WebKitGTK, does not hold: words (`order-row`). got something" in lines


def test_the_pre_release_is_one_sentence():
    text = markdown({"chrome": report(), NEXT: report(pyodide="315.0.0")}, titles())
    assert "On Pyodide's pre-release 315.0.0, in Chrome: " in text
    text = markdown({"chrome": report(), NEXT: report(pyodide="", rows=[])}, titles())
    assert "the page does not start" in text


def test_the_readme_shows_what_the_command_prints():
    shown = (ROOT / "README.md").read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    reports = {name: report() for name in (*COLUMNS, NEXT)}
    printed = markdown(reports, titles())
    assert shape(shown) == shape(printed)


def shape(text):
    """The lines without their numbers, and without the differences, which come and go."""
    lines = [line for line in text.strip().splitlines() if line and not line.startswith("- ")]
    text = "\n".join(lines).replace("not run", "0 of 0")  # a report older than a group
    return re.sub(r"\d[\w.-]*", "N", text).splitlines()

"""The results as a table that a person can read."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

#: Where no terminal says how wide it is, as in a log.
_WIDTH = 140


def show(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print one table for all browsers, one line for each key in each."""
    table = Table(title="Medians, with the lowest and highest sample; ratio is ours / rival")
    for name in ("browser", "key", "ours", "rivals", "ratio", "budget", ""):
        table.add_column(name, justify="right" if name in {"ours", "ratio"} else "left")
    for browser, entries in results.items():
        for key, entry in entries.items():
            table.add_row(browser, key, *(escape(cell) for cell in _cells(entry)))
        table.add_section()
    _print(table)


def show_curves(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Print a table for each curve, with the medians of all browsers."""
    for name in dict.fromkeys(name for entries in results.values() for name in entries):
        of_curve = {browser: entries[name] for browser, entries in results.items()}
        some = next((entry for entry in of_curve.values() if entry["points"]), None)
        for browser, entry in of_curve.items():
            if "error" in entry:
                _print(escape(f"{browser}: {name} failed: {str(entry['error'])[:400]}"))
        if some is None:
            continue
        title = (
            f"{some['title']}: {some['unit']} by {some['x']}; growth: the last decade's exponent"
        )
        table = Table(title=title)
        for head in ("browser", "", *(f"{point:,}" for point in some["points"]), "growth"):
            table.add_column(head, justify="left" if head in {"browser", ""} else "right")
        for browser, entry in of_curve.items():
            for line, numbers in entry["lines"].items():
                growth = f"{entry['growth'][line]:.2f}"
                table.add_row(browser, line, *map(_number, numbers), growth)
            table.add_section()
        _print(table)


def _print(what: Table | str) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    console.print(what)


def _cells(entry: Mapping[str, Any]) -> list[str]:
    if "error" in entry:
        return ["failed", str(entry["error"])[:400], "", entry["budget"], "✗"]
    spread = entry["spread"]
    rivals = [
        f"{name} {_number(number)} ({_range(spread[name])})"
        for name, number in entry["rivals"].items()
    ]
    ratios = [f"{ratio:.2f}" for ratio in entry["ratios"].values()] or [f"{entry['ratio']:.2f}"]
    ours = f"{_number(entry['ours'])} {entry['unit']}\n({_range(spread['ours'])})"
    details = _words(entry["details"]) if not rivals else ""
    shown = "\n".join(rivals) or details
    return [
        ours,
        shown,
        "\n".join(ratios),
        entry["budget"].replace("; ", "\n"),
        "✓" if entry["ok"] else "✗",
    ]


def _words(details: Mapping[str, Any], before: str = "") -> str:
    lines = [
        _words(value, f"{before}{name} ")
        if isinstance(value, Mapping)
        else f"{before}{name} {_number(value)}"
        for name, value in details.items()
    ]
    return "\n".join(lines)


def _range(ends: list[float]) -> str:
    return " to ".join(map(_number, ends))


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"

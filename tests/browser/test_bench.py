"""The benchmarks run from end to end; their numbers are nobody's test."""

import json
from numbers import Real

import pytest
from bench.__main__ import write
from bench.budgets import BY_HAND, COMLINK, COPIES, JSON_TEXT, KEYS, OBVIOUS, RAW
from bench.curves import CURVES, growth
from bench.measure import TINY, Bench, bench_pages, curve_of, measured
from bench.table import show, show_curves

_SHAPE = {"ours", "rivals", "unit", "ratio", "budget", "ok"}
_RIVALS = {
    "roundtrip_local": {RAW, OBVIOUS},
    "roundtrip_plain": {RAW, OBVIOUS},
    "roundtrip_frame": {RAW, OBVIOUS},
    "burst": {RAW, OBVIOUS},
    "rows_packed": {OBVIOUS, JSON_TEXT},
    "rows_clone": {OBVIOUS, JSON_TEXT},
    "buffer_16mb": {COPIES, OBVIOUS},
    "call_python_js": {COMLINK},
    "call_js_python": {COMLINK},
    "call_python_python": {COMLINK},
    "calls_pipelined": {COMLINK},
    "connect": {BY_HAND},
    "fan_out": {"1 connection", "10 connections"},
    "import": set(),
    "wheel": set(),
    "soak": set(),
}


@pytest.mark.slow("the whole benchmark runs")
def test_bench_measures_every_key(driver, browser, tmp_path, capsys):
    with bench_pages() as origins:
        bench = Bench(driver, origins, TINY)
        results = {browser: {key: measured(bench, key) for key in KEYS}}
    write(results, tmp_path / "bench.json")
    show(results)

    entries = json.loads((tmp_path / "bench.json").read_text())[browser]
    assert list(entries) == list(_RIVALS)
    for key, entry in entries.items():
        assert "error" not in entry, f"{key}: {entry['error']}"
        assert entry.keys() >= _SHAPE, key
        assert isinstance(entry["ok"], bool), key
        assert entry["unit"] == KEYS[key].unit
        assert entry["title"]
        assert all(entry["budget"].count(str(bound)) == 1 for bound in KEYS[key].bounds)
        assert isinstance(entry["ours"], Real), key
        assert isinstance(entry["ratio"], Real), key
        assert entry["rivals"].keys() == _RIVALS[key]
        assert all(number > 0 for number in entry["rivals"].values()), key
    assert entries["wheel"]["ours"] > 10_000
    soak = entries["soak"]["details"]
    assert soak.keys() == {"clone lane", "packed lane"}
    for of_lane in soak.values():
        assert of_lane["messages"] == TINY.soak
        assert of_lane["more"]["python proxies"] == 0

    shown = capsys.readouterr().out
    assert all(key in shown for key in KEYS)


@pytest.mark.slow("all curves are measured")
def test_bench_measures_every_curve(driver, browser, tmp_path, capsys):
    with bench_pages() as origins:
        bench = Bench(driver, origins, TINY)
        results = {browser: {name: curve_of(bench, name) for name in CURVES}}
    write(results, tmp_path / "curves.json")
    show_curves(results)

    entries = json.loads((tmp_path / "curves.json").read_text())[browser]
    assert list(entries) == ["size", "in_flight", "frames", "proxies"]
    for name, entry in entries.items():
        assert "error" not in entry, f"{name}: {entry['error']}"
        assert entry["points"] == list(CURVES[name].points[: TINY.points])
        assert list(entry["lines"]) == [*CURVES[name].ours, *CURVES[name].rivals]
        for of_line in entry["lines"].values():
            assert len(of_line) == TINY.points
            assert all(number > 0 for number in of_line)

    shown = capsys.readouterr().out
    assert all(curve.title in shown for curve in CURVES.values())


def test_bench_says_what_failed(driver, monkeypatch):
    monkeypatch.setattr(Bench, "_race", lambda self, _: self._call("roundtrip", "no_such_work"))
    with bench_pages() as origins:
        bench = Bench(driver, origins, TINY)
        wheel, burst = (measured(bench, key) for key in ("wheel", "burst"))
    assert "error" not in wheel
    assert "bench is not defined" in burst["error"]
    assert burst.keys() >= _SHAPE
    assert not burst["ok"]


def test_growth_is_that_of_the_last_decade():
    points = [1, 10, 100, 1000]
    assert growth(points, [7, 7, 7, 70]) == pytest.approx(1)
    assert growth(points, [1, 100, 5, 500]) == pytest.approx(2)
    assert growth([1, 100], [3, 3]) == 0

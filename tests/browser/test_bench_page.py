"""The page of results: it draws what the benchmarks wrote, or says which command writes it."""

import json

import pytest
from bench.budgets import RAW, TIMES, entry
from bench.curves import CURVES
from bench.curves import entry as curve_entry
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tools.common import SITE
from tools.pages import wait_state
from tools.server import serving

_STATES = ("done", "empty", "failed")
_UNDRAWN = """
return [...document.querySelectorAll(".curve")].flatMap((curve) => {
    const canvas = curve.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const pixels = new Set();
    for (let i = 0; i < data.length; i += 4) pixels.add(data.slice(i, i + 3).join(", "));
    return [...curve.querySelectorAll(".legend tbody th")]
        .filter((line) => !pixels.has(getComputedStyle(line.firstElementChild).color.slice(4, -1)))
        .map((line) => `${curve.dataset.curve}: ${line.textContent.trim()}`);
});
"""
_VALUES = """
return [...document.querySelectorAll("[data-curve=size] .legend td:nth-child(2)")].map(
    (cell) => cell.textContent);
"""


@pytest.fixture
def site(tmp_path):
    """The site with no results in it, and its folder to put some in."""
    for path in SITE.iterdir():
        if path.name not in {"bench.json", "curves.json"}:
            (tmp_path / path.name).symlink_to(path)
    with serving({"/": tmp_path}) as origins:
        yield origins.url("bench.html") + "?other=http://other.example", tmp_path


def curve(name, slope):
    of = CURVES[name]
    samples = {
        name: [[0.9 * slope * point * i, 1.1 * slope * point * i] for point in of.points]
        for i, name in enumerate(of.ours + of.rivals, start=1)
    }
    return curve_entry(of, of.points, samples)


def results():
    """What two browsers measured; one of them not everything."""
    burst = entry("burst", {"ours": [70_000, 80_000], "raw JavaScript": [125_000]})
    local = entry(
        "roundtrip_local", {"ours": [300.0], "raw JavaScript": [50.0], "obvious Python": [1000.0]}
    )
    failed = {**local, "ours": None, "rivals": {}, "ratio": None, "error": "it <b>broke</b>"}
    keys = {
        "chrome": {"roundtrip_local": local, "burst": burst},
        "firefox": {"roundtrip_local": {**failed, "ok": False}},
    }
    curves = {
        "chrome": {name: curve(name, 0.01) for name in CURVES},
        "firefox": {"size": {**curve_entry(CURVES["size"], (), {}), "error": "it <b>broke</b>"}},
    }
    return keys, curves


def texts(driver, selector):
    return [found.text for found in driver.find_elements(By.CSS_SELECTOR, selector)]


def choose(driver, name):
    driver.execute_script("document.querySelector(`[value=${arguments[0]}]`).click()", name)


def test_results_are_drawn(driver, site):
    address, folder = site
    keys, curves = results()
    (folder / "bench.json").write_text(json.dumps(keys))
    (folder / "curves.json").write_text(json.dumps(curves))
    driver.get(address)
    assert wait_state(driver, states=_STATES) == "done"

    choose(driver, "chrome")
    assert texts(driver, "#keys tbody th code") == ["roundtrip_local", "burst"]
    local, burst = (row.text for row in driver.find_elements(By.CSS_SELECTOR, "#keys tbody tr"))
    for words in ("300 µs", "50 µs", f"6.00 {TIMES} {RAW}", f"≤ 5 {TIMES} {RAW}", "✗"):
        assert words in local
    for words in ("75,000 messages/s", "125,000 messages/s", "more is better", "✓"):
        assert words in burst
    assert texts(driver, "#verdict") == ["1 of 2 within budget"]

    drawn = driver.find_elements(By.CSS_SELECTOR, ".curve")
    assert [figure.get_attribute("data-curve") for figure in drawn] == list(CURVES)
    assert driver.execute_script(_UNDRAWN) == []
    for name, figure in zip(CURVES, drawn, strict=True):
        lines = figure.find_elements(By.CSS_SELECTOR, ".legend tbody th")
        assert [line.text for line in lines] == [*CURVES[name].ours, *CURVES[name].rivals]
        growth = figure.find_elements(By.CSS_SELECTOR, ".legend td:last-child")
        assert {cell.text for cell in growth} == {"1.00"}
        rows = figure.find_elements(By.CSS_SELECTOR, "details tbody tr")
        assert len(rows) == len(CURVES[name].points)

    # A person without a mouse goes along the lines; the values are shown, and told.
    assert driver.execute_script(_VALUES) == ["671 s", "1,342 s", "2,013 s"]
    chart = driver.find_element(By.CSS_SELECTOR, "[data-curve=size] .chart")
    chart.send_keys(Keys.HOME)
    assert driver.execute_script(_VALUES) == ["10 µs", "20 µs", "30 µs"]
    chart.send_keys(Keys.ARROW_RIGHT)
    assert driver.execute_script(_VALUES) == ["640 µs", "1.28 ms", "1.92 ms"]
    told = driver.find_element(By.CSS_SELECTOR, "[data-curve=size] [aria-live]")
    assert told.get_attribute("textContent").startswith(
        "64 bytes in the message: clone lane 640 µs"
    )

    choose(driver, "firefox")
    assert texts(driver, "#verdict") == ["0 of 1 within budget"]
    assert "it <b>broke</b>" in driver.find_element(By.ID, "keys").text
    assert driver.find_elements(By.CSS_SELECTOR, ".curve") == []
    assert "it <b>broke</b>" in driver.find_element(By.ID, "curves").text

    links = {
        link.get_attribute("href") for link in driver.find_elements(By.CSS_SELECTOR, "header a")
    }
    query = address.partition("?")[2]
    base = address.partition("bench.html")[0]
    assert links == {f"{base}?{query}", f"{base}check.html?{query}"}


def test_without_results_the_page_says_how_to_get_them(driver, site):
    address, folder = site
    driver.get(address)
    assert wait_state(driver, states=_STATES) == "empty"
    commands = ["./build.sh bench", "./build.sh bench --curves"]
    assert texts(driver, ".notice code:first-of-type") == commands
    assert texts(driver, "#browsers:not([hidden])") == []

    (folder / "bench.json").write_text(json.dumps(results()[0]))
    driver.get(address)
    assert wait_state(driver, states=_STATES) == "done"
    assert texts(driver, ".notice code:first-of-type") == commands[1:]


def test_results_that_cannot_be_read(driver, site):
    address, folder = site
    (folder / "bench.json").write_text('{"chrome": ')
    driver.get(address)
    assert wait_state(driver, states=_STATES) == "failed"
    assert "bench.json" in driver.find_element(By.CSS_SELECTOR, ".notice").text


def test_pages_lead_to_it(driver, pages):
    for name in ("index.html", "check.html?only=none"):
        driver.get(pages.url(name))
        link = driver.find_element(By.ID, "bench").get_attribute("href")
        assert link.startswith(pages.url("bench.html"))

"""The check page: every row holds in every browser, but for differences that are known by name."""

import json
from urllib.parse import urlencode

import pytest
from selenium.webdriver.common.by import By
from tools.browsers import start_phone
from tools.common import DIST, SITE
from tools.compat import COLUMNS, KNOWN, NEXT
from tools.pages import run_async, wait_state
from tools.pool import end
from tools.server import serving

#: Seconds for six interpreters and all rows, on a machine that does something else too.
PATIENCE = 400
FEWEST = 150
#: A browser may want one for each window that a page opens.
CLICKS = 6

pytestmark = pytest.mark.timeout(2 * PATIENCE)

REPORT = "return (await fetch(document.getElementById('download').href)).text();"


def run_page(driver, pages, **query):
    """Run the page to its end, with popups, and give its report."""
    words = urlencode({"other": pages.other_origin, **query}, doseq=True)
    driver.get(f"{pages.origin}/check.html?{words}")
    wait_state(driver, PATIENCE)
    again = driver.find_element(By.ID, "again")
    clicks = 0
    while again.is_displayed() and clicks < CLICKS:
        again.click()
        clicks += 1
        wait_state(driver, PATIENCE)
    return json.loads(run_async(driver, REPORT))


def leave(driver, name, report):
    """Keep the report where other programs find it."""
    # The driver knows better: WebKitGTK calls itself by a version of Safari's.
    report["version"] = driver.capabilities["browserVersion"]
    (DIST / f"check-{name}.json").write_text(json.dumps(report, indent=1) + "\n")


def judge(name, report):
    """Fail for each row that does not hold, and each difference that is none any more."""
    known = KNOWN.get(name, {})
    rows = {row["id"]: row for row in report["rows"]}
    assert len(rows) >= FEWEST, "the page did not get to its rows"
    trouble = [
        f"{row['id']}: {row['title']}\n  expected {row['expected']}\n  got {row['got']}"
        for row in rows.values()
        if row["ok"] is not True and row["id"] not in known
    ]
    trouble += [
        f"{row_id}: known not to hold ({reason}), and it does"
        for row_id, reason in known.items()
        if row_id not in rows or rows[row_id]["ok"] is True
    ]
    assert not trouble, f"{len(trouble)} rows in {COLUMNS.get(name, name)}:\n" + "\n".join(trouble)


def try_again(driver, pages, report):
    """Run rows once more that waited in vain for what came to a port that was moved.

    WebKit loses such a message now and then, without this package too: see test_engines.py, which
    fails once it does not. A row that got anything else than nothing gets no second chance.
    """
    lost = [
        row["id"]
        for row in report["rows"]
        if row["group"] == "transfer" and row["got"].startswith("nothing within")
    ]
    if lost:
        again = {row["id"]: row for row in run_page(driver, pages, only=lost)["rows"]}
        report["rows"] = [again.get(row["id"], row) for row in report["rows"]]


@pytest.mark.slow("six interpreters and all rows")
@pytest.mark.webkit
def test_every_row_holds(driver, browser, pages):
    report = run_page(driver, pages)
    if browser == "webkit":
        try_again(driver, pages, report)
    leave(driver, browser, report)
    judge(browser, report)


@pytest.mark.slow("six interpreters and all rows")
@pytest.mark.only_in("chrome")
def test_every_row_holds_on_a_phone(browser, pages):
    phone = start_phone()
    try:
        report = run_page(phone, pages)
        assert "Android" in report["browser"]
        wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert phone.execute_script(wide) == 0, "it scrolls sideways"
        leave(phone, "chrome-mobile", report)
    finally:
        end(phone)
    judge("chrome-mobile", report)


@pytest.mark.slow("six interpreters and all rows")
def test_every_row_holds_on_the_older_pyodide(driver, browser, pages):
    report = run_page(driver, pages, pyodide="0.29")
    assert report["pyodide"].startswith("0.29.")
    leave(driver, f"{browser}-0.29", report)
    judge(f"{browser}-0.29", report)


@pytest.mark.slow("six interpreters and all rows")
@pytest.mark.only_in("chrome")
def test_the_newest_pre_release_is_reported(driver, pages):
    """Whatever comes of it: what does not hold there is for people to read, and fails nothing."""
    report = run_page(driver, pages, pyodide="next")
    leave(driver, NEXT, report)
    assert (DIST / f"check-{NEXT}.json").is_file()


ROWS = """
import asyncio
from .rows import NotRun, group
row = group("creation", "Made for a test")

@row("good", "holds", source="s", expected=[1.0, float("nan"), {"a": {2}}])
async def _(scene): return [1.0, float("nan"), {"a": {2}}]

@row("strict", "True is not 1", source="s", expected=[1])
async def _(scene): return [True]

@row("raises", "an error is what came", source="s", expected=None)
async def _(scene): raise LookupError("<b>words</b>")

@row("hangs", "the time is over", source="s", expected=None, limit=0.1)
async def _(scene):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@row("not-run", "it can't be run", source="s", expected=None)
async def _(scene): raise NotRun("no reason")

@row("stand-in", "there is one origin only", source="s", expected=None)
async def _(scene):
    async with scene.light("cross"):
        pass
"""
FILTER = """
document.getElementById("failures").click();
return [...document.querySelectorAll("tbody tr")].filter((row) => row.offsetParent)
    .map((row) => row.dataset.id);
"""


def test_rows_that_fail_are_told_and_shown(driver, tmp_path):
    for path in (SITE / "check" / "py").iterdir():
        if path.name != "creation.py":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "creation.py").write_text(ROWS)
    with serving({"/": SITE, "/check/py/": tmp_path}) as origins:
        driver.get(f"{origins.origin}/check.html?group=creation")
        assert wait_state(driver, PATIENCE) == "failed"
        assert driver.title == "✗ 3 failed, 2 of 6 hold, 1 not run: checks"
        report = json.loads(run_async(driver, REPORT))
        rows = {row["id"]: row for row in report["rows"]}
        assert {name: row["ok"] for name, row in rows.items()} == {
            "good": True,
            "strict": False,
            "raises": False,
            "hangs": False,
            "not-run": None,
            "stand-in": True,
        }
        assert rows["strict"]["expected"] == "[1]"
        assert rows["strict"]["got"] == "[True]"
        assert rows["raises"]["got"] == "LookupError: <b>words</b>"
        assert "nothing within 0.1 s" in rows["hangs"]["got"]
        assert "a sandboxed frame stood in" in rows["stand-in"]["note"]
        assert driver.execute_script(FILTER) == ["strict", "raises", "hangs"]
        driver.find_element(By.ID, "again").click()  # what was not run runs again
        assert wait_state(driver, PATIENCE) == "failed"
        assert driver.title == "✗ 3 failed, 2 of 6 hold, 1 not run: checks"

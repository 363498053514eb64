"""The demo: people type in one frame and read in another, pictures arrive, failures are told."""

import itertools
import urllib.parse

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from tools.common import SITE
from tools.pages import run_async, wait_state
from tools.server import serving

#: Four interpreters boot on as many cores as there are.
BOOT = 150

_WAIT_FOR = """
const [selector] = arguments;
while (!document.querySelector(selector)) {
    await new Promise((resolve) => {
        const observer = new MutationObserver(() => {
            observer.disconnect();
            resolve();
        });
        observer.observe(document, {
            attributes: true, characterData: true, childList: true, subtree: true,
        });
    });
}
return document.querySelector(selector).textContent;
"""
_COLOURS = """
const canvas = document.querySelector("canvas");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return [canvas.width, canvas.height, new Set(new Uint32Array(data.buffer)).size];
"""


def visit(driver, origins, *, two_origins=True, **query):
    if two_origins:
        query["other"] = origins.other_origin
    driver.get(f"{origins.origin}/index.html?{urllib.parse.urlencode(query)}")
    return wait_state(driver, BOOT, ("ready", "failed"))


def enter(driver, name):
    driver.switch_to.default_content()
    if name != "host":
        driver.switch_to.frame(driver.find_element(By.ID, name))


def wait_for(driver, selector):
    return run_async(driver, _WAIT_FOR, selector)


def click(driver, element):
    # Firefox's older driver does not scroll the outer page for an element inside a frame.
    driver.execute_script("arguments[0].scrollIntoView(); arguments[0].click()", element)


def type_message(driver, sender, text, to="*"):
    enter(driver, sender)
    Select(driver.find_element(By.NAME, "to")).select_by_value(to)
    driver.find_element(By.NAME, "text").send_keys(text, Keys.ENTER)


def everybody(driver):
    driver.switch_to.default_content()
    return [
        "host",
        *(frame.get_attribute("id") for frame in driver.find_elements(By.TAG_NAME, "iframe")),
    ]


def check_messages(driver, senders):
    names = everybody(driver)
    for sender in senders:
        type_message(driver, sender, f"from {sender} ✓ <b>")
    for receiver, sender in itertools.product(names, senders):
        enter(driver, receiver)
        if receiver == sender:
            row = "li[data-kind=sent][data-other='*']"
            assert wait_for(driver, f"{row} small:not(:empty)").endswith(" ms")
        else:
            row = f"li[data-kind=received][data-other={sender}]"
            assert wait_for(driver, f"{row} .words") == f"from {sender} ✓ <b>"


def check_no_trouble(driver):
    for name in everybody(driver):
        enter(driver, name)
        rows = driver.find_elements(By.CSS_SELECTOR, "li[data-kind=trouble]")
        assert [row.text for row in rows] == [], name
    enter(driver, "host")
    assert wait_state(driver, 5, ("ready",)) == "ready"


def check_picture(driver, sender, receiver):
    enter(driver, sender)
    Select(driver.find_element(By.NAME, "to")).select_by_value(receiver)
    click(driver, driver.find_element(By.NAME, "picture"))
    enter(driver, receiver)
    wait_for(driver, f"canvas[data-from={sender}]")
    width, height, colours = driver.execute_script(_COLOURS)
    assert (width, height) == (160, 120)
    assert colours > 8


@pytest.mark.timeout(400)
def test_everybody_reaches_everybody(driver, pages):
    assert visit(driver, pages) == "ready"
    names = everybody(driver)
    assert names == ["host", "same", "cross", "sandbox", "script"]
    numbers = driver.execute_script(
        "return [...document.querySelectorAll('#round-trips .number')].map((n) => n.textContent)"
    )
    assert len(numbers) == 10
    assert all(number.endswith(" ms") for number in numbers)

    origins = {}
    for name in names:
        enter(driver, name)
        origins[name] = driver.execute_script("return self.origin")
    assert origins == dict.fromkeys(names, pages.origin) | {
        "cross": pages.other_origin,
        "sandbox": "null",
    }

    check_messages(driver, names)
    for sender, receiver in zip(names, names[1:] + names[:1], strict=True):
        check_picture(driver, sender, receiver)

    # To one alone: what reaches the next after it would have come before.
    type_message(driver, "same", "secret", to="cross")
    enter(driver, "cross")
    wait_for(driver, "li[data-other=same]:nth-last-child(1) .words")
    type_message(driver, "same", "last", to="script")
    enter(driver, "script")
    wait_for(driver, "li[data-other=same]:last-child .words")
    assert "secret" not in driver.find_element(By.CSS_SELECTOR, ".log").text

    check_no_trouble(driver)

    # A frame that is loaded anew is introduced again.
    enter(driver, "host")
    click(driver, driver.find_element(By.CSS_SELECTOR, "[aria-label='Reload the frame Sandbox']"))
    assert wait_state(driver, 5, ("loading",)) == "loading"
    assert wait_state(driver, BOOT, ("ready", "failed")) == "ready"
    type_message(driver, "sandbox", "back again")
    for name in ("host", "same", "cross", "script"):
        enter(driver, name)
        assert wait_for(driver, "li:last-child[data-other=sandbox] .words") == "back again"


@pytest.mark.timeout(300)
def test_one_origin_is_enough(driver, pages):
    assert visit(driver, pages, two_origins=False) == "ready"
    assert "one origin only" in driver.find_element(By.ID, "notice").text
    assert everybody(driver) == ["host", "same", "second", "sandbox", "script"]
    check_messages(driver, ["second"])


def test_python_that_cannot_be_fetched(driver, tmp_path):
    with serving({"/": SITE, "/pyodide/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        assert "Python could not be fetched" in driver.find_element(By.ID, "status").text
        for name in ("host", "same", "cross", "sandbox"):
            enter(driver, name)
            assert "Python could not be fetched" in wait_for(driver, "[role=alert]:not([hidden])")


def test_browser_without_webassembly_is_told(driver, tmp_path):
    for path in SITE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "guard.js").unlink()
    # The first script of every page here: from then on it is a browser that has none.
    guard = "delete globalThis.WebAssembly;\n" + (SITE / "guard.js").read_text()
    (tmp_path / "guard.js").write_text(guard)
    with serving({"/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        assert "no WebAssembly" in driver.find_element(By.ID, "status").text
        for name in ("host", "same", "cross", "sandbox"):
            enter(driver, name)
            assert "no WebAssembly" in wait_for(driver, "[role=alert]:not([hidden])")
        enter(driver, "script")  # needs none
        assert wait_state(driver, 10, ("ready", "failed")) == "ready"


def test_package_that_cannot_be_fetched(driver, tmp_path):
    for file in (SITE / "pyodide").iterdir():
        if file.suffix != ".whl":
            (tmp_path / file.name).symlink_to(file)
    with serving({"/": SITE, "/pyodide/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        assert "pyodide-msgchan did not load" in driver.find_element(By.ID, "status").text


def test_a_frame_that_fails_is_named(driver, tmp_path):
    for file in (SITE / "py").iterdir():
        if file.name != "frame.py":
            (tmp_path / file.name).symlink_to(file)
    with serving({"/": SITE, "/py/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        wait_for(driver, ".node[data-name=sandbox][data-state=failed]")
        assert "Sandbox" in driver.find_element(By.ID, "status").text
        enter(driver, "sandbox")
        assert "py/frame.py could not be fetched (404)" in wait_for(driver, ".failure")


def test_modules_that_cannot_be_fetched(driver, tmp_path):
    copy = {path.name: path for path in SITE.iterdir() if path.name != "names.mjs"}
    for name, path in copy.items():
        (tmp_path / name).symlink_to(path)
    with serving({"/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        assert "host.mjs" in wait_for(driver, "[role=alert]")


def test_frame_on_its_own_leads_to_the_demo(driver, pages):
    driver.get(pages.url("frame-python.html"))
    assert wait_state(driver, 10, ("ready", "failed")) == "failed"
    assert driver.find_element(By.LINK_TEXT, "the demo").get_attribute("href") == pages.url("")

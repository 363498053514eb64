"""The demo: people type in one frame and read in another, frames come and go, failures are told."""

import itertools

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from tools.common import SITE
from tools.demo import enter, press, settle, visit, wait_for
from tools.pages import run_async, wait_state
from tools.server import serving

_REMOVE = """
const [button, edge] = arguments;
const graph = document.getElementById("graph");
const start = performance.now();
const gone = new Promise((resolve) => {
    new MutationObserver((_, observer) => {
        if (graph.querySelector(edge)) return;
        observer.disconnect();
        resolve(performance.now() - start);
    }).observe(graph, { childList: true, subtree: true });
});
if (!graph.querySelector(edge)) throw new Error(`there is no ${edge}`);
button.click();
if (!graph.querySelector(edge)) throw new Error("the button, not the connection's end, removed it");
return gone;
"""
_TAKE_FOR_LOST = """
const [frame] = arguments;
const lost = new Promise((resolve) => {
    new MutationObserver((_, observer) => {
        if (document.body.dataset.state !== "loading") return;
        observer.disconnect();
        resolve();
    }).observe(document.body, { attributeFilter: ["data-state"] });
});
// As of a page that took the other's place; the first one might be the frame's own.
for (let i = 0; i < 2; i++) frame.dispatchEvent(new Event("load"));
return lost;
"""
_NUMBERS = """
return [...document.querySelectorAll("#links tr")].map(
    (row) => [row.dataset.ends, ...[...row.cells].slice(2).map((cell) => cell.textContent)]);
"""
_COUNT = """
while (Number(document.getElementById("direct").textContent.replaceAll(",", "")) < arguments[0]) {
    await new Promise((resolve) => {
        new MutationObserver((_, observer) => {
            observer.disconnect();
            resolve();
        }).observe(document.getElementById("direct"), { childList: true });
    });
}
return document.getElementById("relayed").textContent;
"""
_COLOURS = """
const canvas = document.querySelector("canvas");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return [canvas.width, canvas.height, new Set(new Uint32Array(data.buffer)).size];
"""


def edges(driver):
    """Who is connected to whom, as drawn; each pair must have a number."""
    driver.switch_to.default_content()
    rows = driver.execute_script(_NUMBERS)
    for ends, ms, rate in rows:
        assert ms.endswith(" ms"), (ends, ms)
        assert rate.endswith("/s"), (ends, rate)
    drawn = driver.find_elements(By.CSS_SELECTOR, "#graph line[data-state=connected]")
    pairs = {frozenset(ends.split()) for ends, *_ in rows}
    assert {frozenset(line.get_attribute("data-ends").split()) for line in drawn} == pairs
    return pairs


def all_pairs(names):
    return {frozenset(pair) for pair in itertools.combinations(names, 2)}


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


@pytest.mark.slow("the demo with all its interpreters")
@pytest.mark.timeout(400)
def test_everybody_reaches_everybody(driver, pages):
    assert visit(driver, pages) == "ready"
    names = everybody(driver)
    assert names == ["host", "same", "cross", "sandbox", "script"]
    assert edges(driver) == all_pairs(names)

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

    # The frames talk past the host: their messages are counted, none came to it to be passed on.
    enter(driver, "host")
    assert run_async(driver, _COUNT, 100) == "0"


@pytest.mark.slow("the demo with all its interpreters")
@pytest.mark.timeout(400)
def test_frames_come_and_go(driver, pages):
    assert visit(driver, pages) == "ready"

    # One that is taken for lost, though it is there, learns of it and is connected again.
    for name in ("cross", "script"):
        enter(driver, "host")
        run_async(driver, _TAKE_FOR_LOST, driver.find_element(By.ID, name))
        enter(driver, name)
        assert "vanished" in wait_for(driver, "li[data-kind=note][data-other=host]")
        settle(driver)
        assert edges(driver) == all_pairs(everybody(driver))
    check_messages(driver, ["cross", "script"])

    # A frame that is loaded anew is connected and introduced again.
    press(driver, "Reload Sandbox")
    assert wait_state(driver, 10, ("loading",)) == "loading"
    for name in ("same", "cross", "script"):
        enter(driver, name)
        assert "vanished" in wait_for(driver, "li[data-kind=note][data-other=sandbox]")
    settle(driver)
    assert edges(driver) == all_pairs(everybody(driver))
    type_message(driver, "sandbox", "back again")
    for name in ("host", "same", "cross", "script"):
        enter(driver, name)
        wait_for(driver, "li[data-kind=received][data-other=sandbox]")

    # One that is removed is gone from the graph in a moment, since its connections have ended.
    for description, name in (("Remove Cross site", "cross"), ("Remove JavaScript", "script")):
        enter(driver, "host")
        button = driver.find_element(By.CSS_SELECTOR, f"[aria-label='{description}']")
        run_async(driver, _REMOVE, button, f"line[data-ends='host {name}']")
        wait_for(driver, f"#graph:not(:has([data-name={name}]))")
        wait_for(driver, f"#graph:not(:has(line[data-ends~={name}]))")
        enter(driver, "same")
        # Firefox loses the goodbye of some frames of another site: then a heartbeat tells.
        wait_for(driver, f"select:not(:has([value={name}]))", timeout=60)
    settle(driver)
    assert edges(driver) == all_pairs(["host", "same", "sandbox"])

    # Another of a kind that was there before, and one of a kind that is there.
    for kind in ("script", "same"):
        enter(driver, "host")
        Select(driver.find_element(By.NAME, "kind")).select_by_value(kind)
        press(driver, "add")
        wait_for(driver, f"#{kind}-2")
    settle(driver)
    names = ["host", "same", "sandbox", "script-2", "same-2"]
    assert everybody(driver) == names
    assert edges(driver) == all_pairs(names)
    check_messages(driver, ["same-2", "script-2"])


@pytest.mark.slow("the demo with all its interpreters")
@pytest.mark.timeout(400)
def test_popup(driver, pages):
    assert visit(driver, pages) == "ready"
    [page] = driver.window_handles
    press(driver, "popup")
    wait_for(driver, "#graph [data-name=popup]")
    settle(driver)
    names = [*everybody(driver), "popup"]
    assert edges(driver) == all_pairs(names)

    type_message(driver, "cross", "to a window", to="popup")
    [popup] = set(driver.window_handles) - {page}
    driver.switch_to.window(popup)
    assert wait_for(driver, "li[data-kind=received][data-other=cross] .words") == "to a window"
    driver.find_element(By.NAME, "text").send_keys("from a window", Keys.ENTER)
    driver.switch_to.window(page)
    for name in names[:-1]:
        enter(driver, name)
        words = wait_for(driver, "li[data-kind=received][data-other=popup] .words")
        assert words == "from a window"

    press(driver, "Reload Popup")
    assert wait_state(driver, 10, ("loading",)) == "loading"
    settle(driver)
    assert edges(driver) == all_pairs(names)

    # A person closes it there: its card and its place in the graph go too.
    driver.switch_to.window(popup)
    driver.close()
    driver.switch_to.window(page)
    wait_for(driver, "#graph:not(:has([data-name=popup]))")
    wait_for(driver, "#stand:not(:has([data-name=popup]))")
    settle(driver)
    assert edges(driver) == all_pairs(names[:-1])
    check_no_trouble(driver)


@pytest.mark.slow("the demo with all its interpreters")
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


def link_all(source, folder, missing):
    """Link everything in a folder of the site into another, except one name."""
    folder.mkdir(exist_ok=True)
    for path in source.iterdir():
        if path.name != missing:
            (folder / path.name).symlink_to(path)


def test_browser_without_webassembly_is_told(driver, tmp_path):
    link_all(SITE, tmp_path, "shared")
    link_all(SITE / "shared", tmp_path / "shared", "guard.js")
    # The first script of every page here: from then on it is a browser that has none.
    guard = "delete globalThis.WebAssembly;\n" + (SITE / "shared" / "guard.js").read_text()
    (tmp_path / "shared" / "guard.js").write_text(guard)
    with serving({"/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        assert "no WebAssembly" in driver.find_element(By.ID, "status").text
        for name in ("host", "same", "cross", "sandbox"):
            enter(driver, name)
            assert "no WebAssembly" in wait_for(driver, "[role=alert]:not([hidden])")
        enter(driver, "script")  # needs none, and waits for a host that never comes
        assert "no Python here" in wait_for(driver, ".runtime")
        assert driver.find_elements(By.CSS_SELECTOR, "[role=alert]:not([hidden])") == []


def test_package_that_cannot_be_fetched(driver, tmp_path):
    for file in (SITE / "pyodide").iterdir():
        if file.suffix != ".whl":
            (tmp_path / file.name).symlink_to(file)
    with serving({"/": SITE, "/pyodide/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        assert "pyodide-msgchan did not load" in driver.find_element(By.ID, "status").text


def test_a_frame_that_fails_is_named(driver, tmp_path):
    for file in (SITE / "demo" / "py").iterdir():
        if file.name != "frame.py":
            (tmp_path / file.name).symlink_to(file)
    with serving({"/": SITE, "/demo/py/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        wait_for(driver, ".node[data-name=sandbox][data-state=failed]")
        assert "Sandbox" in driver.find_element(By.ID, "status").text
        enter(driver, "sandbox")
        assert "frame.py could not be fetched (404)" in wait_for(driver, ".failure")


def test_modules_that_cannot_be_fetched(driver, tmp_path):
    link_all(SITE, tmp_path, "shared")
    link_all(SITE / "shared", tmp_path / "shared", "names.mjs")
    with serving({"/": tmp_path}) as origins:
        assert visit(driver, origins) == "failed"
        assert "host.mjs" in wait_for(driver, "[role=alert]")


def test_frame_on_its_own_leads_to_the_demo(driver, pages):
    driver.get(pages.url("demo/frame-python.html"))
    assert wait_state(driver, 10, ("ready", "failed")) == "failed"
    assert driver.find_element(By.LINK_TEXT, "the demo").get_attribute("href") == pages.url("")

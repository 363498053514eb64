"""The harness itself: pages on two origins, in every browser."""

import pytest
from selenium.webdriver.common.by import By
from tools.pages import run_async, wait_state

_HEARS_FROM_FRAME = """
const [address, kind] = arguments;
const frame = document.createElement("iframe");
if (kind === "sandboxed") frame.sandbox = "allow-scripts";
frame.src = address;
const heard = new Promise(resolve => addEventListener("message", resolve, { once: true }));
document.body.append(frame);
const event = await heard;
frame.remove();
return [event.origin, event.data.origin];
"""


@pytest.mark.webkit
@pytest.mark.parametrize("place, version", [("/pyodide/", "3.14"), ("/pyodide-0.29/", "3.13")])
def test_page_loads_the_wheel_by_name(driver, open_page, place, version):
    assert open_page("pages/smoke.html", pyodide=place) == "done"
    assert driver.find_element(By.TAG_NAME, "body").text.startswith(version)


def test_failed_page_says_so(driver, open_page):
    assert open_page("pages/smoke.html", pyodide="/nowhere/") == "failed"


def test_waiting_survives_a_reload(driver, pages):
    driver.get(pages.url("pages/echo-origin.html"))
    next_page = pages.url("pages/smoke.html", pyodide="/nowhere/")
    driver.execute_script("setTimeout(() => location.replace(arguments[0]), 300)", next_page)
    assert wait_state(driver) == "failed"


def test_frames_have_two_origins(driver, pages):
    driver.get(pages.url("pages/echo-origin.html"))
    for other in (False, True):
        address = pages.url("pages/echo-origin.html", other=other)
        origin = pages.other_origin if other else pages.origin
        assert run_async(driver, _HEARS_FROM_FRAME, address, "plain") == [origin, origin]
        assert run_async(driver, _HEARS_FROM_FRAME, address, "sandboxed") == ["null", "null"]


def test_query_asks_for_headers(driver, pages):
    driver.get(pages.url("pages/echo-origin.html", headers={"Content-Security-Policy": "sandbox"}))
    assert driver.title == "Origin"
    policy = "script-src 'self' 'wasm-unsafe-eval'"
    driver.get(pages.url("pages/echo-origin.html"))
    address = pages.url("pages/echo-origin.html", headers={"Content-Security-Policy": policy})
    script = "return (await fetch(arguments[0])).headers.get('content-security-policy')"
    assert run_async(driver, script, address) == policy

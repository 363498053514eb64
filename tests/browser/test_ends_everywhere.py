"""The end of the other side is seen in every engine, WebKit too where it is installed."""

import json

import pytest
from tools.pages import run_async, wait_state


@pytest.mark.slow("an interpreter for every kind of end")
@pytest.mark.webkit
@pytest.mark.timeout(200)
def test_every_end_is_seen(driver, pages, browser):
    driver.get(pages.url("pages/python.html", run="ends.py", far=pages.other_origin))
    assert wait_state(driver, timeout=150) == "done", run_async(
        driver, "return document.body.innerText"
    )
    results = json.loads(driver.execute_script("return window.results"))
    assert len(results) == 14
    for name, (complete, error, took) in results.items():
        print(f"{browser}: {name} seen after {took} ms")  # noqa: T201 - to read, not to judge
        assert complete, name
        assert error == ("PeerClosedError" if name.endswith("close") else "PeerLostError"), name

"""Calls over connections whose other side ends: every await ends with the error that says how."""

import json

import pytest
from tools.pages import run_async, wait_state

PYTHON, JAVASCRIPT = "python.html?run=serve_calls.py", "serve-calls.html?"
ENDS = {
    "remove": "PeerLostError",
    "navigate": "PeerLostError",
    "reload": "PeerLostError",
    "close": "PeerClosedError",
    "ours": "PortClosedError",
}
STORIES = {"idle", "called", "ran", "stream", "thing", "thing_called"}
STORIES |= {"callback", "source", "asked"}


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    "page,where,ways",
    [
        (PYTHON, "same-origin", "remove reload close ours"),
        (PYTHON, "cross-site", "navigate reload close"),
        (JAVASCRIPT, "same-origin", "remove navigate reload close ours"),
        (JAVASCRIPT, "cross-site", "remove navigate reload close ours"),
        (JAVASCRIPT, "sandboxed", "remove navigate reload close ours"),
    ],
)
def test_no_call_hangs(driver, pages, page, where, ways):
    base = pages.other_origin if where == "cross-site" else pages.origin
    more = {"sandboxed": "1"} if where == "sandboxed" else {}
    driver.get(
        pages.url("pages/python.html", run="call_ends.py", base=base, page=page, ways=ways, **more)
    )
    assert wait_state(driver, timeout=150) == "done", run_async(
        driver, "return document.body.innerText"
    )
    results = json.loads(driver.execute_script("return window.results"))
    assert list(results) == ways.split()
    for way, outcomes in results.items():
        assert outcomes.pop("more") == 0, way
        last = outcomes.pop("last", None)
        if way == "ours":  # which the other side's own call learns of
            assert last == ("PeerClosedError" if page == PYTHON else "nothing")
        assert outcomes == dict.fromkeys(STORIES, ENDS[way]), way

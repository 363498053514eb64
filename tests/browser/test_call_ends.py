"""Calls over connections whose other side ends: every await ends with the error that says how."""

import json

import pytest
from tools.pages import run_async, wait_state

ENDS = {
    "remove": "PeerLostError",
    "navigate": "PeerLostError",
    "reload": "PeerLostError",
    "close": "PeerClosedError",
    "ours": "PortClosedError",
}
STORIES = {"idle", "called", "ran", "stream", "thing", "thing_called"}
STORIES |= {"callback", "source", "asked"}

#: By place: the ways of its end, one after the other; one page lives through the first of them.
PYTHON = {
    "same-origin": "close ours reload remove",
    "cross-site": "close ours navigate",
    "sandboxed": "close ours remove",
    "popup": "close ours remove",
    "worker": "close ours remove",
}
JAVASCRIPT = {
    "same-origin": "close ours reload remove",
    "cross-site": "close ours reload navigate",
    "sandboxed": "close ours reload remove",
    "popup": "close ours reload navigate",
    "worker": "close ours remove",
}
NAVIGATED = {"same-origin": "navigate", "sandboxed": "navigate"}
REMOVED = {"cross-site": "remove", "popup": "remove"}


def results_of(driver, pages, file, worker, *places):
    peers = [
        (worker if where == "worker" else file, where, ways)
        for each in places
        for where, ways in each.items()
    ]
    more = {"far": pages.other_origin, "peers": json.dumps(peers)}
    driver.get(pages.url("pages/python.html", run="call_ends.py", **more))
    assert wait_state(driver, timeout=250) == "done", run_async(
        driver, "return document.body.innerText"
    )
    results = json.loads(driver.execute_script("return window.results"))
    assert list(results) == [f"{where} {way}" for _, where, ways in peers for way in ways.split()]
    return results


def check(results, last):
    for name, outcomes in results.items():
        way = name.split()[1]
        assert outcomes.pop("more") == 0, name
        if way == "ours":  # which the other side's own call learns of
            assert outcomes.pop("last") == last, name
        else:
            outcomes.pop("last", None)
        assert outcomes == dict.fromkeys(STORIES, ENDS[way]), name


@pytest.mark.slow("every end in every kind of window")
@pytest.mark.timeout(280)
def test_no_call_to_python_hangs(driver, pages):
    file, worker = "python.html?run=serve_calls.py", "python-run.mjs?run=serve_calls.py"
    results = results_of(driver, pages, file, worker, PYTHON)
    traces = {name: outcomes.pop("traces") for name, outcomes in results.items()}
    check(results, "PeerClosedError")
    # Where an error was raised is told to pages of the same origin, and to who owns a worker.
    for name, traced in traces.items():
        near = name.split()[0] in {"same-origin", "popup", "worker"}
        assert traced == [near, near], name


@pytest.mark.slow("every end in every kind of window")
@pytest.mark.timeout(280)
def test_no_call_to_javascript_hangs(driver, pages):
    places = (JAVASCRIPT, NAVIGATED, REMOVED)
    results = results_of(driver, pages, "serve-calls.html?", "serve-calls.mjs?", *places)
    for outcomes in results.values():
        outcomes.pop("traces")
    check(results, "nothing")

"""The unmodified npm package penpal and Python call each other: one table, both directions."""

import json

import pytest
from tools.common import ROOT
from tools.pages import run_async, wait_state

CASES = json.loads((ROOT / "tests/pages/penpal-cases.json").read_text("utf-8"))


def differences(case, exposer, outcomes):
    """Give what came out otherwise than the table says."""
    for step, outcome in zip(case["steps"], outcomes, strict=True):
        wanted = step | step.get(f"from {exposer}", {})
        keys = {"is", "throws", "hears"} | ({"says"} & set(wanted))
        if "code" in outcome:  # which an error has in JavaScript
            keys.add("code")
        if any(outcome.get(key) != wanted.get(key) for key in keys):
            yield f"{step}: {outcome}"


def wrong(tables):
    for name, results in tables.items():
        exposer = name.split()[-1]
        expected = {case["id"]: case for case in CASES if exposer in case.get("to", exposer)}
        assert set(results) == set(expected), name
        for id_, case in expected.items():
            yield from (f"{name}, {id_}: {d}" for d in differences(case, exposer, results[id_]))


def results_of(driver, timeout):
    state = wait_state(driver, timeout=timeout)
    assert state == "done", run_async(driver, "return document.body.innerText")
    return driver.execute_script("return window.results")


@pytest.mark.slow("tables of calls through several interpreters")
@pytest.mark.timeout(200)
def test_python_page_and_penpal_in_frames_and_a_worker(driver, pages):
    driver.get(pages.url("pages/python.html", run="penpal_host.py", far=pages.other_origin))
    results = json.loads(results_of(driver, 150))
    tables = results.pop("tables")
    assert len(tables) == 6
    assert list(wrong(tables)) == []
    assert results.pop("more") == 0
    assert results == dict.fromkeys(results, "fine")
    assert len(results) == 10


@pytest.mark.slow("tables of calls through several interpreters")
@pytest.mark.timeout(200)
def test_penpal_page_and_python_in_a_frame(driver, pages):
    driver.get(pages.url("pages/penpal-host.html", far=pages.other_origin))
    results = results_of(driver, 150)
    tables = results.pop("tables")
    assert len(tables) == 2
    assert list(wrong(tables)) == []
    assert results == {
        "first": "connected",
        "reloaded": "connected",
        "again": [3, False],
        "destroyed": "PeerClosedError",
        "destroyedByPython": "CONNECTION_DESTROYED",
        "waits": "waits",
        "wrongHost": f"HandshakeTimeoutError ('{pages.origin}',)",
    }

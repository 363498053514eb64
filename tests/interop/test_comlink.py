"""The unmodified npm package comlink and Python call each other: one table, both directions."""

import json

import pytest
from tools.common import ROOT
from tools.pages import run_async, wait_state

CASES = json.loads((ROOT / "tests/pages/comlink-cases.json").read_text("utf-8"))


def applies(case, caller, exposer):
    return caller in case.get("by", [caller]) and exposer in case.get("to", [exposer])


def differences(case, exposer, outcomes):
    """Give what came out otherwise than the table says."""
    if isinstance(outcomes, str):
        yield outcomes
        return
    for step, outcome in zip(case["steps"], outcomes, strict=True):
        wanted = step | step.get(f"from {exposer}", {})
        for key in ("is", "throws", "says", "hears"):
            if (key != "says" or key in wanted) and outcome.get(key) != wanted.get(key):
                yield f"{step}: {outcome}"
                break


@pytest.mark.parametrize("where", ["page", "frame"])
@pytest.mark.parametrize("caller, exposer", [("js", "py"), ("py", "js"), ("js", "js")])
def test_cases(driver, pages, caller, exposer, where):
    if where == "frame" and caller == exposer:
        pytest.skip("two ends of Comlink, as a check of the table, are in the page")
    more = {"frame": pages.other_origin} if where == "frame" else {}
    driver.get(pages.url("pages/comlink.html", caller=caller, exposer=exposer, **more))
    state = wait_state(driver, timeout=120)
    results = run_async(driver, "return window.results")
    assert state == "done", results
    expected = {case["id"]: case for case in CASES if applies(case, caller, exposer)}
    assert set(results) == set(expected)
    wrong = {
        id_: found
        for id_, case in expected.items()
        if (found := list(differences(case, exposer, results[id_])))
    }
    assert wrong == {}

"""The unmodified npm package comlink and Python call each other: one table, both directions.

Comlink's own scenarios, by the names of its tests, and what shows each here: a case of the table
(in quotes), another test, or why it has no meaning between two languages.

- objects, functions on an object, parameterized functions, undefined parameters: "call", "values"
- functions; functions that return promises: "a function as the root", "call a function that waits"
- objects that have undefined properties: "read what is not there" (Python refuses by an error)
- stack and message of thrown errors; throwing class instance methods: "errors"; the stack of a
  Python error only with ``tracebacks=True``
- rethrow non-error objects, scalars: "errors" (``fail("none")``)
- unserializable types: "results that can't be sent", "arguments that can't be sent"
- classes; a class in an object; constructor parameters: "classes", "a class as the root"
- class instance properties, getters, methods (also several times): "classes", "objects as results"
- set class instance properties, setters: "write"; of a Python instance only what is `writable`
- private-looking properties (``_counter``): "private names"; Python never gives those
- properties that are promises: tests/host/test_rpc.py; a property that returns a coroutine
- static class properties and methods: none; attributes of a class are not reachable in Python
- bound class instance methods: Comlink's wrapper drops `bind` before anything is sent
- BroadcastChannel; worker: test_workers_and_what_else_has_messages
- transfer buffers, also deeply nested: "buffers"; Python's own are always copied once and moved
- transfer a message port: "ports as arguments"
- marked return values, also of instance methods: "objects as results", "functions as results"
- marked parameter values; simple function: "objects as arguments", "callbacks"
- deeply nested marked values; in an array: Comlink itself has no such thing since version 4;
  "arguments that can't be sent"
- destructuring on the proxy's side: reads and calls of names, as in "read"
- proxy with a given target: of JavaScript's Proxy alone
- createEndpoint tunnels a new endpoint: "another endpoint"
- released proxies are not usable, invoke the finalizer, also by the collector: "release of the
  root", "objects as results", tests/host/test_rpc.py, tests/browser/test_calls.py
- custom transfer handlers: none; both ends would need them
- two-way iframe: "both roles on one port", in a frame
- iframe of another origin; origins that are allowed or not: those are connections' (test_windows)
- string channel, node worker: other transports than a browser's
"""

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


def test_callbacks_are_let_go_when_the_page_collects_them(driver, open_page, browser):
    if browser != "chrome":
        pytest.skip("no other browser collects garbage when it is asked to")
    assert open_page("pages/comlink-garbage.html") == "done"
    before = json.loads(run_async(driver, "return left()"))
    run_async(driver, "await use(10000)", timeout=120)
    for _ in range(20):
        driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        after = json.loads(run_async(driver, "await use(1); return left()"))
        if after[0] <= 1:
            break
    assert after[0] <= 1  # the last one may still be in use
    assert all(more - less <= 1 for less, more in zip(before, after, strict=True))


def test_workers_and_what_else_has_messages(driver, open_page):
    assert open_page("pages/comlink-worker.html") == "done", run_async(
        driver, "return document.body.textContent"
    )

"""How to write and run tests here.

Running: `./build.sh test` runs everything; `./build.sh test --browser firefox -k reload` a part.
`./build.sh test --quick` is for the time between two edits and takes under two minutes: the host
suite, and in Chrome the wheel, the check for leaks and the contract of a channel (`test_smoke.py`
and `test_contract.py`), all without the tests that are marked slow. What it leaves out: the long
random searches, the types of the public surface, frames, windows and workers, the other browsers,
the site, and Comlink and Penpal. Run the tests of what you changed as well, and everything at the
end. `--quick` goes with paths and with pytest alone too: it leaves out what is slow.
After one `./build.sh` the quick way is `build/venv/bin/pytest tests/browser -k reload --browser
chrome`: wheel, distributions and site are rebuilt first if a source changed. `--browser` takes
`chrome`, `firefox`, `node` (Pyodide tests only) or `webkit` (page tests only), also several times;
without it Pyodide tests run in the first three and page tests in Chrome and Firefox.

A test that takes over ten seconds on an idle machine is marked `@pytest.mark.slow("reason")`; the
reason says what takes so long.

Host tests, `tests/host`: plain pytest on the source tree; `async def` tests run by themselves.

JavaScript tests, `tests/javascript`: Node runs js/src and msgchan.mjs as far as they need neither
Python nor a browser: `node --test tests/javascript/`.

Pyodide tests, `tests/browser`: the function runs inside Pyodide, in each runtime.

    from pytest_pyodide import run_in_pyodide

    @run_in_pyodide
    async def test_something(selenium):
        from pyodide_msgchan import MessageChannel   # imports go inside; the wheel is installed
        ...                                          # plain asserts, `await` where needed

- More parameters (fixtures, `parametrize`) arrive pickled. Module globals do not: import inside.
- `pytest`, `hypothesis` and `tblib` can be imported in there too (`@run_in_pyodide(packages=
  ["hypothesis"])` loads the second one).
- All modules of a session share one interpreter per runtime; after a failure it boots anew.
  `selenium_standalone` instead of `selenium` boots one for the test alone (5 s);
  `selenium_worker` runs in a worker of Chrome or Firefox.
- Python proxies and references to JavaScript objects are counted around each test; one that leaves
  more behind runs once more, and fails if it does so again. `@pytest.mark.may_leak("reason")`
  lets it; `no_leaks(selenium)` from `tools.pytest_runtimes` is the check as a context manager.
- A script may take 30 s; `@pytest.mark.driver_timeout(60)` gives it more. No test may take more
  than 300 s; `@pytest.mark.timeout(600)` gives it more.
- The fixture `pages` (below) can be asked for on the host side, for addresses to pass in.

Page tests, `tests/browser` and `tests/interop`: the host drives a real page.

    from tools.pages import run_async, wait_state

    def test_something(driver, pages, open_page):
        assert open_page("check.html") == "done"     # waits for <body data-state="done|failed">
        driver.get(pages.url("pages/host.html", other=False, frame=pages.url("x", other=True)))
        assert wait_state(driver, timeout=30) == "done"
        assert run_async(driver, "return await thing(arguments[0])", 42) == 43

- `driver`: selenium's driver with one blank window, in each browser; further windows are closed
  after the test. `browser` is its name. `@pytest.mark.webkit` adds WebKit where it is installed,
  `@pytest.mark.only_in("chrome")` leaves the others out.
- `pages`: `.origin` and `.other_origin` (127.0.0.1 and localhost: different sites) serve the same
  files; `.url(path, other=, headers=, delay=, **query)` asks for response headers (a policy) or for
  a late answer. Paths: `/` the built site with `/pyodide/`, `/msgchan.mjs`, `/vendor/comlink.mjs`;
  `/pages/` is tests/pages; `/test-pyodide/` Pyodide with pytest and hypothesis;
  `/pyodide-0.29/` the older Pyodide; `/pyscript/`, `/jupyterlite/` and `/node_modules/`. Each
  Pyodide but JupyterLite's finds the wheel by `loadPackage("pyodide-msgchan")`.
- A page that failed leaves its picture in build/screenshots and, from Chrome, its console in the
  report.
"""

import pytest

pytest_plugins = ["tools.pytest_runtimes", "tools.pytest_pages"]


def pytest_addoption(parser):
    parser.addoption("--chaos-seconds", type=float, help="how long chaos reigns (20)")
    parser.addoption(
        "--chaos-seed", type=int, help="the course that it takes (0; any with --chaos-seconds)"
    )
    parser.addoption("--examples", type=int, help="how many random values are sent (2000)")
    parser.addoption("--quick", action="store_true", help="leave out the tests marked slow")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow(reason): the test takes over ten seconds")


def pytest_collection_modifyitems(config, items):
    marks = {item: mark for item in items if (mark := item.get_closest_marker("slow"))}
    for item, mark in marks.items():
        if not mark.args:
            raise pytest.UsageError(f"slow needs a reason: {item.nodeid}")
    if marks and config.getoption("quick"):
        config.hook.pytest_deselected(items=list(marks))
        items[:] = [item for item in items if item not in marks]

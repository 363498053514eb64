"""Pytest plugin: which browsers run, and `@run_in_pyodide` in each of them with leak checks."""

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Literal

import pytest
from pytest_pyodide.config import get_global_config
from pytest_pyodide.fixture import _get_runner_cls, selenium_context_manager
from pytest_pyodide.hook import pytest_wrapper
from pytest_pyodide.runner import NodeRunner, SeleniumChromeRunner, SeleniumFirefoxRunner
from pytest_pyodide.utils import parse_driver_timeout
from selenium.webdriver.remote.webdriver import WebDriver

from tools.bundle import NEXT_DISTRIBUTION, OLD_DISTRIBUTION, TEST_DISTRIBUTION
from tools.common import NODE_MODULES, ROOT, SITE
from tools.jupyterlite import JUPYTERLITE
from tools.pool import BrowserPool
from tools.server import serving

RUNTIMES: tuple[Literal["chrome", "firefox", "node"], ...] = ("chrome", "firefox", "node")
PAGE_BROWSERS = ("chrome", "firefox", "webkit")

#: Where tests find files, whichever folder the server shows at its root.
MOUNTS = {
    "/pages/": ROOT / "tests" / "pages",
    "/test-pyodide/": TEST_DISTRIBUTION,
    "/pyodide-0.29/": OLD_DISTRIBUTION,
    "/pyodide-next/": NEXT_DISTRIBUTION,
    "/node_modules/": NODE_MODULES,
    "/pyscript/": NODE_MODULES / "@pyscript" / "core" / "dist",
    "/jupyterlite/": JUPYTERLITE,
    "/site/": SITE,
}
#: What a page has and Node keeps from code in its sandbox.
_NODE_GLOBALS = (
    "BroadcastChannel",
    "DOMException",
    "Event",
    "EventTarget",
    "MessageChannel",
    "MessageEvent",
    "MessagePort",
    "URL",
    "atob",
    "btoa",
    "crypto",
    "performance",
    "queueMicrotask",
    "structuredClone",
)
_LOAD = """
let pyodide = await loadPyodide({
    fullStdLib: false, jsglobals: self, packages: ["pyodide-msgchan", "pytest", "tblib"],
});
"""
# Done once, so that no test is charged for what a first import or a first call keeps for good.
_WARM_UP = """
const code = `
import asyncio, gc, js, pytest, tblib, pyodide_msgchan
from pyodide.code import run_js
from pyodide.ffi import JsException, create_once_callable, create_proxy, to_js

async def warm_up():
    channel = js.MessageChannel.new()
    arrived = asyncio.Event()
    listener = create_proxy(lambda event: (event.data.to_py(), arrived.set()))
    channel.port2.onmessage = listener
    channel.port1.postMessage(to_js({"list": [1, "two", 3.0, None, b"5"]}))
    await arrived.wait()
    channel.port2.onmessage = None
    listener.destroy()
    channel.port1.close()
    channel.port2.close()
    await run_js("(async () => 1)()")
    run_js("f => f()")(create_once_callable(lambda: 1))
    try:
        run_js("null.x")
    except JsException:
        pass

await warm_up()
del warm_up
`;
await pyodide.loadPackagesFromImports(code);
await pyodide.runPythonAsync(code);
"""
#: Seconds for one script: while an interpreter boots, and in a test without `driver_timeout`.
_BOOT_TIMEOUT, _TEST_TIMEOUT = 150, 30
_pool = pytest.StashKey[BrowserPool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--browser",
        action="append",
        choices=sorted({*RUNTIMES, *PAGE_BROWSERS}),
        help="run in this one; may be given several times (default: chrome, firefox and node; "
        "webkit for tests marked so, where it is installed)",
    )
    parser.addoption(
        "--part",
        action="append",
        choices=sorted({*RUNTIMES, *PAGE_BROWSERS, "none"}),
        help="of all that would run keep the tests in this browser; `none` are those in none",
    )


def chosen(config: pytest.Config, known: Sequence[str], default: Sequence[str]) -> list[str]:
    """The browsers to run in, of those that make sense here."""
    asked = config.getoption("browser")
    return [name for name in known if name in (asked or default)]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "may_leak(reason): the test may leave proxies behind")
    config.addinivalue_line("markers", "needs_windows: not for Node, which has none")
    config.stash[_pool] = BrowserPool()
    config.option.dist_dir = TEST_DISTRIBUTION
    # pytest-pyodide reads this in its own pytest_configure, which comes after this one.
    config.option.runtime = ",".join(chosen(config, RUNTIMES, RUNTIMES)) or "host"
    settings = get_global_config()
    settings.add_node_extra_globals(_NODE_GLOBALS)
    settings.set_initialize_script(_WARM_UP)
    for runtime in RUNTIMES:
        settings.set_load_pyodide_script(runtime, _LOAD)
    _adapt_runners(config.stash[_pool])


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_pool].close()


def _adapt_runners(pool: BrowserPool) -> None:
    """Make pytest-pyodide's runners use our browsers, and end a Node that hangs."""

    def get_driver(runner: Any, jspi: object = None) -> WebDriver:
        del jspi  # today's browsers have it anyway
        return pool.take(runner.browser)

    def give_back(runner: Any) -> None:
        pool.give_back(runner.browser, runner.driver)

    browsers: tuple[Any, ...] = (SeleniumChromeRunner, SeleniumFirefoxRunner)
    node: Any = NodeRunner
    for runner in browsers:
        runner.get_driver, runner.quit = get_driver, give_back
    node.quit = lambda runner: runner.p.close(force=True)
    for runner in (node, *browsers):
        runner.script_timeout = _BOOT_TIMEOUT


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    # pytest-pyodide keeps a set, whose order differs from run to run.
    del session
    settings: Any = pytest_wrapper
    settings.pyodide_runtimes = [name for name in RUNTIMES if name in settings.pyodide_runtimes]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop tests for which no browser was chosen, those of windows in Node, and other parts."""
    parts = config.getoption("part")
    dropped = [
        item
        for item in items
        if "NOTSET" in item.name
        or (item.get_closest_marker("needs_windows") and _browser_of(item) == "node")
        or (parts and _browser_of(item) not in parts)
    ]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


def _browser_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec else {}
    return str(params.get("runtime", params.get("browser", "none")))


@pytest.fixture(scope="session")
def browser_pool(request: pytest.FixtureRequest) -> BrowserPool:
    """Running browsers to take and to give back."""
    return request.config.stash[_pool]


@pytest.fixture(scope="session")
def web_server_main() -> Iterator[tuple[str, int, str]]:
    """The server behind `@run_in_pyodide`, threaded: frames would wait for each other else."""
    mounts = {"/": TEST_DISTRIBUTION, "/pyodide/": TEST_DISTRIBUTION, **MOUNTS}
    with serving(mounts, obeys_query=True) as origins:
        host, _, port = origins.origin.removeprefix("http://").partition(":")
        yield host, int(port), ""


@pytest.fixture(scope="session")
def booted_runners() -> Iterator[dict[str, Any]]:
    """The interpreters that are running, by runtime."""
    runners: dict[str, Any] = {}
    yield runners
    for runner in runners.values():
        runner.quit()


@pytest.fixture(scope="module")
def selenium_module_scope(
    runtime: str, web_server_main: tuple[str, int, str], booted_runners: dict[str, Any]
) -> Any:
    """Pyodide with the wheel loaded, the same one for every module of a session."""
    if runtime not in booted_runners:
        host, port, log = web_server_main
        booted_runners[runtime] = _get_runner_cls(runtime, "selenium", is_worker=False)(
            server_port=port, server_hostname=host, server_log=log, dist_dir=TEST_DISTRIBUTION
        )
    return booted_runners[runtime]


@pytest.fixture
def selenium(request: pytest.FixtureRequest, selenium_module_scope: Any) -> Iterator[Any]:
    """The module's Pyodide, booted anew if a test has failed in it."""
    runner = selenium_module_scope
    if getattr(runner, "has_failed", False):
        runner.quit()
        runner.__init__(
            server_port=runner.server_port,
            server_hostname=runner.server_hostname,
            dist_dir=TEST_DISTRIBUTION,
        )
        runner.has_failed = False
    runner.set_script_timeout(parse_driver_timeout(request.node) or _TEST_TIMEOUT)
    with selenium_context_manager(runner):
        yield runner


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    runner = getattr(item, "funcargs", {}).get("selenium")
    if report.failed and runner is not None:
        runner.has_failed = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Count proxies before and after every test that runs in Pyodide.

    A test that leaks fails here, in the call: pytest counts what a fixture raises as an error.
    """
    if not isinstance(item, pytest.Function):
        return (yield)
    runner: Any = next(filter(None, map(item.funcargs.get, _LEAK_CHECKED)), None)
    mark = item.get_closest_marker("may_leak")
    if mark is not None and not mark.args:
        pytest.fail("may_leak needs a reason")
    if runner is None or mark is not None or not runner.pyodide_loaded:
        return (yield)
    try:
        with no_leaks(runner):
            return (yield)
    except LeakError:
        pass
    # A first import or a first call may keep something once; what leaks, leaks every time.
    try:
        with no_leaks(runner):
            item.runtest()
    except LeakError as error:
        message = str(error)
    else:
        return None
    return pytest.fail(message, pytrace=False)


class LeakError(AssertionError):
    """Something was left behind in Pyodide."""


@contextlib.contextmanager
def no_leaks(runner: Any) -> Iterator[None]:
    """Fail if Pyodide holds more proxies, or more JavaScript objects, after the block than before.

    A block that raises is not checked: its traceback holds on to things.

    Raises:
        LeakError: How many, and where the last proxies were made.
    """
    runner.run_js("pyodide._module.enable_pyproxy_allocation_tracing()")
    before = _count(runner)
    try:
        yield
        after = _count(runner)
    finally:
        with contextlib.suppress(Exception):
            runner.run_js("pyodide._module.disable_pyproxy_allocation_tracing()")
    proxies, references = (after[key] - before[key] for key in ("proxies", "references"))
    if proxies > 0 or references > 0:
        made = "\n\n".join(after["made"][-proxies:] if proxies else ["(no proxy)"])
        raise LeakError(
            f"leaked {proxies} Python proxies and {references} references to JavaScript objects;"
            f" the last proxies were made here:\n{made}"
        )


#: Fixtures of pytest-pyodide that are a Pyodide to count in.
_LEAK_CHECKED = ("selenium", "selenium_worker", "selenium_standalone")
_COUNT = """
// Let what was scheduled run out, then collect, then let finalizers run.
await pyodide.runPythonAsync(`
for _ in range(3):
    await asyncio.sleep(0)
gc.collect()
await asyncio.sleep(0)
`);
const map = pyodide._module.pyproxy_alloc_map;
return {
    proxies: map.size,
    references: pyodide._module.hiwire.num_keys(),
    made: [...map.values()].slice(-3).map(String),
};
"""


def _count(runner: Any) -> dict[str, Any]:
    counts: dict[str, Any] = runner.run_js(_COUNT)
    return counts

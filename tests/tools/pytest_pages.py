"""Pytest plugin: real pages in real browsers, on two origins."""

import contextlib
import re
from collections.abc import Callable, Generator, Iterator

import pytest
from selenium.common import WebDriverException
from selenium.webdriver.remote.webdriver import WebDriver
from urllib3.exceptions import HTTPError

from tools.browsers import webkit_is_there
from tools.common import BUILD, SITE
from tools.pages import wait_state
from tools.pool import BrowserPool, end, reset
from tools.pytest_runtimes import MOUNTS, PAGE_BROWSERS, chosen
from tools.server import Origins, serving

SCREENSHOTS = BUILD / "screenshots"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "webkit: the test runs in WebKit too, where that can be had")
    config.addinivalue_line("markers", "only_in(*browsers): the test runs in these alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a page's browser in each of them."""
    if "browser" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only_in")
        default = ["chrome", "firefox"]
        if metafunc.definition.get_closest_marker("webkit") and webkit_is_there():
            default.append("webkit")
        known, usual = (only.args, only.args) if only else (PAGE_BROWSERS, default)
        browsers = chosen(metafunc.config, known, usual)
        metafunc.parametrize("browser", browsers, scope="session")


@pytest.fixture(scope="session")
def pages() -> Iterator[Origins]:
    """The built site on two origins, and beside it everything in MOUNTS."""
    with serving({"/": SITE, **MOUNTS}, obeys_query=True) as origins:
        yield origins


@pytest.fixture(scope="session")
def session_driver(browser: str, browser_pool: BrowserPool) -> Iterator[list[WebDriver]]:
    """The browser of this session, in a list: one that breaks is replaced."""
    holder = [browser_pool.take(browser)]
    yield holder
    browser_pool.give_back(browser, holder[0])


@pytest.fixture
def driver(
    session_driver: list[WebDriver], browser: str, browser_pool: BrowserPool
) -> Iterator[WebDriver]:
    """A running browser that shows one blank window."""
    yield session_driver[0]
    try:
        reset(session_driver[0])
    except (WebDriverException, HTTPError, OSError):
        end(session_driver[0])
        session_driver[0] = browser_pool.take(browser)


@pytest.fixture
def open_page(driver: WebDriver, pages: Origins) -> Callable[..., str]:
    """A function that opens a page and waits until it has said how it went."""

    def open_page(path: str, *, timeout: float = 60, **how: object) -> str:
        driver.get(pages.url(path, **how))  # type: ignore[arg-type]
        return wait_state(driver, timeout)

    return open_page


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a page looked like, and what it logged, when its test failed."""
    report = yield
    driver = getattr(item, "funcargs", {}).get("driver")
    if report.failed and report.when != "teardown" and driver is not None:
        picture = SCREENSHOTS / (re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-") + ".png")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(WebDriverException, HTTPError, OSError):
            driver.save_screenshot(str(picture))
            report.sections.append(("screenshot", str(picture)))
            if driver.capabilities.get("browserName", "").startswith("chrom"):
                lines = [entry["message"] for entry in driver.get_log("browser")[-30:]]
                report.sections.append(("browser console", "\n".join(lines)))
    return report

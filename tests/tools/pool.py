"""Running browsers, kept from one test to the next: starting one takes seconds."""

import contextlib
import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable

from selenium.common import WebDriverException
from selenium.webdriver.remote.webdriver import WebDriver
from urllib3.exceptions import HTTPError

from tools.browsers import ensure, start


class BrowserPool:
    """Hands out running browsers and takes them back."""

    def __init__(self) -> None:
        self._idle: defaultdict[str, list[WebDriver]] = defaultdict(list)
        self._endings = contextlib.ExitStack()
        self._ready: set[str] = set()

    def take(self, browser: str) -> WebDriver:
        """A browser with one blank window."""
        if browser not in self._ready:
            ensure([browser])
            if browser == "webkit":
                self._endings.callback(_start_display())
            self._ready.add(browser)
        if self._idle[browser]:
            return self._idle[browser].pop()
        return start(browser)

    def give_back(self, browser: str, driver: WebDriver) -> None:
        """Take a browser back; one that does not answer any more is ended."""
        try:
            reset(driver)
        except (WebDriverException, HTTPError, OSError):
            end(driver)
        else:
            self._idle[browser].append(driver)

    def close(self) -> None:
        """End every idle browser."""
        for drivers in self._idle.values():
            while drivers:
                end(drivers.pop())
        self._endings.close()
        self._ready.clear()


def reset(driver: WebDriver) -> None:
    """Leave one blank window open."""
    first, *others = driver.window_handles
    for handle in others:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(first)
    driver.get("about:blank")


def end(driver: WebDriver) -> None:
    """End a browser, also one that has crashed."""
    with contextlib.suppress(WebDriverException, HTTPError, OSError):
        driver.quit()


def _start_display() -> Callable[[], None]:
    """Start an X server without a screen and name it in DISPLAY."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        [
            shutil.which("Xvfb") or "Xvfb",
            "-displayfd",
            str(write_end),
            "-screen",
            "0",
            "1280x1024x24",
        ],
        pass_fds=[write_end],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"

    def stop() -> None:
        server.terminate()
        server.wait()

    return stop

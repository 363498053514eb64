"""Finding browsers and their drivers, installing what is missing, and starting one headless."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, override

from selenium import webdriver
from selenium.common import WebDriverException
from selenium.webdriver.chrome.service import Service as ChromeService
from selenium.webdriver.common.selenium_manager import SeleniumManager
from selenium.webdriver.firefox.service import Service as FirefoxService
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.webkitgtk.service import Service as WebKitService

from tools.common import BUILD, SetupError, run, say
from tools.provision import fallback_geckodriver

#: Seconds a command to a driver may take: a soak test is one command.
COMMAND_TIMEOUT = 900
_DRIVERS = BUILD / "drivers"
_CHROME_NAMES = ("google-chrome", "google-chrome-stable", "chrome", "chromium", "chromium-browser")
_FIREFOX_NAMES = ("firefox", "firefox-esr")
_CHROME_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--js-flags=--expose-gc",
)
_FIREFOX_SETTINGS = {
    "app.update.disabledForTesting": True,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.disable_open_during_load": False,  # popups without a click
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class _OldFirefoxService(FirefoxService):
    """For a geckodriver from before 0.30, which knows none of today's arguments."""

    @override
    def command_line_args(self) -> list[str]:
        return ["--port", str(self.port)]


def ensure(browsers: list[str]) -> None:
    """Install what the browsers need and this machine lacks.

    Raises:
        SetupError: Something is missing and can't be installed.
    """
    missing = _missing(browsers)
    if missing:
        _apt_install(missing)
    still_missing = _missing(browsers)
    if still_missing:
        raise SetupError(f"installed, but not found: {' '.join(still_missing)}")
    if "firefox" in browsers:
        geckodriver()


def have_webkit() -> bool:
    """Whether WebKitGTK can be driven here, after installing it where that is allowed."""
    if not _missing(["webkit"]):
        return True
    try:
        ensure(["webkit"])
    except SetupError as error:
        say(f"No WebKit: {error}")
        return False
    return True


def webkit_is_there() -> bool:
    """Whether WebKitGTK can be driven here."""
    return not _missing(["webkit"])


def _missing(browsers: list[str]) -> list[str]:
    """Debian's names of the packages that are needed and not there."""
    missing: list[str] = []
    if "chrome" in browsers:
        if not chrome():
            missing += ["chromium", "chromium-driver"]
        elif _is_debians_chrome() and not shutil.which("chromedriver"):
            missing.append("chromium-driver")
    if "firefox" in browsers and not firefox():
        missing.append("firefox-esr")
    if "webkit" in browsers:
        driver = minibrowser() and shutil.which("WebKitWebDriver")
        wanted = {"webkit2gtk-driver": driver, "xvfb": shutil.which("Xvfb")}
        missing += [package for package, there in wanted.items() if not there]
    return missing


def chrome() -> str | None:
    """Chrome's program, or None."""
    return _program("CHROME_BINARY", _CHROME_NAMES, "Google Chrome")


def firefox() -> str | None:
    """Firefox's program, or None."""
    return _program("FIREFOX_BINARY", _FIREFOX_NAMES, "Firefox")


def minibrowser() -> Path | None:
    """WebKitGTK's browser for tests, the newest there is, or None."""
    found = sorted(Path("/usr/lib").glob("*/webkit2gtk-4*/MiniBrowser"))
    return found[-1] if found else None


def _program(variable: str, names: tuple[str, ...], mac_name: str) -> str | None:
    if os.environ.get(variable):
        return os.environ[variable]
    found = next(filter(None, map(shutil.which, names)), None)
    if found or sys.platform != "darwin":
        return found
    bundle = Path(f"/Applications/{mac_name}.app/Contents/MacOS")
    return next((str(path) for path in bundle.glob("*") if path.stem == mac_name), None) or next(
        (str(path) for path in bundle.glob(mac_name.lower())), None
    )


def _is_debians_chrome() -> bool:
    return Path(chrome() or "").name.startswith("chromium") and bool(shutil.which("apt-get"))


def _apt_install(packages: list[str]) -> None:
    names = " ".join(packages)
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    may = shutil.which("apt-get") and (not sudo or _succeeds(["sudo", "-n", "true"]))
    if not may:
        raise SetupError(f"missing and not installable here: {names} (or their like on PATH)")
    say(f"Installing {names}")
    settings = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run([*sudo, "apt-get", "update"], env=settings)
        run([*sudo, "apt-get", "install", "-y", "--no-install-recommends", *packages], env=settings)
    except SetupError:
        raise SetupError(f"apt-get could not install {names}") from None


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _version(program: str | Path) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, check=False, timeout=60
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"(\d+)\.(\d+)", answer)
    return tuple(map(int, found.groups())) if found else ()


@functools.cache
def geckodriver() -> Path:
    """The geckodriver to use: the caller's, PATH's, Selenium Manager's, or the fallback."""
    named = os.environ.get("SE_GECKODRIVER") or shutil.which("geckodriver")
    if named:
        return Path(named)
    remembered = _DRIVERS / "geckodriver.path"
    if remembered.is_file() and Path(remembered.read_text()).is_file():
        return Path(remembered.read_text())
    driver = _managed("geckodriver")
    if driver is None:
        if not sys.platform.startswith("linux") or os.uname().machine != "x86_64":
            raise SetupError("geckodriver is missing: put one on PATH or name it in SE_GECKODRIVER")
        driver = fallback_geckodriver()
    _DRIVERS.mkdir(parents=True, exist_ok=True)
    remembered.write_text(str(driver))
    return driver


def _managed(driver: str) -> Path | None:
    """What Selenium Manager finds or downloads; None where it reaches nothing."""
    say(f"Asking Selenium Manager for a {driver}")
    words = ["--driver", driver, "--timeout", "20", "--avoid-stats"]
    try:
        found = SeleniumManager().binary_paths(words)
    except WebDriverException:
        return None
    path = Path(found["driver_path"])
    return path if path.is_file() else None


@functools.cache
def _chromedriver() -> str | None:
    """The chromedriver that fits, or None: Selenium Manager then finds one."""
    named = os.environ.get("SE_CHROMEDRIVER")
    if named:
        return named
    found = shutil.which("chromedriver")
    fits = found and _version(found)[:1] == _version(chrome() or "")[:1]
    if not fits:
        os.environ["SE_SKIP_DRIVER_IN_PATH"] = "true"
    return found if fits else None


def start(browser: str) -> WebDriver:
    """Start a browser without a window.

    Args:
        browser: `chrome`, `firefox` or `webkit` (which needs DISPLAY to be set).
    """
    driver = {"chrome": _start_chrome, "firefox": _start_firefox, "webkit": _start_webkit}[
        browser
    ]()
    executor: Any = driver.command_executor
    executor.client_config.timeout = COMMAND_TIMEOUT
    return driver


def start_phone() -> WebDriver:
    """Start Chrome as it is on a phone: its screen, its touches, what it calls itself."""
    return _start_chrome(mobileEmulation={"deviceName": "Pixel 7"})


def _start_chrome(**experimental: dict[str, Any]) -> WebDriver:
    options = webdriver.ChromeOptions()
    for name, value in experimental.items():
        options.add_experimental_option(name, value)
    options.binary_location = chrome() or ""
    for flag in _CHROME_FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, ChromeService(_chromedriver()))


def _start_firefox() -> WebDriver:
    options = webdriver.FirefoxOptions()
    options.binary_location = firefox() or ""
    options.add_argument("-headless")
    for name, value in _FIREFOX_SETTINGS.items():
        options.set_preference(name, value)
    driver = geckodriver()
    if _version(driver) >= (0, 30):
        return webdriver.Firefox(options, FirefoxService(str(driver)))
    options._caps.pop("moz:debuggerAddress", None)
    return webdriver.Firefox(options, _OldFirefoxService(str(driver)))


def _start_webkit() -> WebDriver:
    options = webdriver.WebKitGTKOptions()
    options.binary_location = str(minibrowser())
    options.add_argument("--automation")
    environment = {**os.environ}
    if os.geteuid() == 0:
        environment["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"
    program = shutil.which("WebKitWebDriver") or ""
    return webdriver.WebKitGTK(options, service=WebKitService(program, env=environment))


def describe(driver: WebDriver) -> str:
    """The browser's name and version, as reports show it."""
    have = driver.capabilities
    return json.dumps([have.get("browserName"), have.get("browserVersion")])

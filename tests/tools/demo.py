"""Driving the demo: visit it, press its buttons, look into its frames."""

import urllib.parse

from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from tools.pages import run_async, wait_state
from tools.server import Origins

#: Seconds: four interpreters boot on as many cores as there are.
BOOT = 150

_WAIT_FOR = """
const [selector] = arguments;
while (!document.querySelector(selector)) {
    await new Promise((resolve) => {
        const observer = new MutationObserver(() => {
            observer.disconnect();
            resolve();
        });
        observer.observe(document, {
            attributes: true, characterData: true, childList: true, subtree: true,
        });
    });
}
return document.querySelector(selector).textContent;
"""


def visit(driver: WebDriver, origins: Origins, *, two_origins: bool = True, **query: str) -> str:
    """Open the demo, and wait until everybody is connected or somebody has failed."""
    if two_origins:
        query["other"] = origins.other_origin
    driver.get(f"{origins.origin}/index.html?{urllib.parse.urlencode(query)}")
    return wait_state(driver, BOOT, ("ready", "failed"))


def enter(driver: WebDriver, name: str) -> None:
    """Turn to the page of a participant."""
    driver.switch_to.default_content()
    if name != "host":
        driver.switch_to.frame(driver.find_element(By.ID, name))


def press(driver: WebDriver, description: str) -> None:
    """Press one of the host page's buttons as a person does: a popup needs a real click."""
    driver.switch_to.default_content()
    button = driver.find_element(
        By.CSS_SELECTOR, f"[aria-label='{description}'], [name={description!r}]"
    )
    driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", button)
    button.click()


def settle(driver: WebDriver) -> None:
    """Wait until everybody is connected to everybody again."""
    driver.switch_to.default_content()
    assert wait_state(driver, BOOT, ("ready", "failed")) == "ready"


def wait_for(driver: WebDriver, selector: str, timeout: float = 30) -> str:
    """Wait for an element in the current page, and give its text."""
    return str(run_async(driver, _WAIT_FOR, selector, timeout=timeout))

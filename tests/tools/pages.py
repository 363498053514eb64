"""Waiting for a page to say how it went, without polling."""

import time
from typing import Any

from selenium.common import JavascriptException, TimeoutException
from selenium.webdriver.remote.webdriver import WebDriver

_WAIT_FOR_STATE = """
const [states, report] = arguments;
const check = () => {
    const state = document.body?.dataset.state;
    if (states.includes(state)) {
        observer.disconnect();
        report(state);
    }
};
const observer = new MutationObserver(check);
observer.observe(document, {
    attributeFilter: ["data-state"], attributes: true, childList: true, subtree: true,
});
check();
"""
_WAIT_FOR_TEXT = """
const [wanted] = arguments;
await new Promise((resolve) => {
    const check = () => {
        if (!document.body.innerText.includes(wanted)) return;
        observer.disconnect();
        resolve();
    };
    const observer = new MutationObserver(check);
    observer.observe(document.body, { childList: true, subtree: true, characterData: true });
    check();
});
"""
_STORY = """
return `${document.URL}, data-state=${document.body?.dataset.state}, title «${document.title}»\n`
    + (document.body?.innerText ?? "").slice(-2000);
"""


def wait_state(
    driver: WebDriver, timeout: float = 60, states: tuple[str, ...] = ("done", "failed")
) -> str:
    """Wait until the page's body has one of the states in its `data-state`.

    Args:
        driver: A browser that shows the page.
        timeout: Seconds to wait.
        states: What to wait for.

    Returns:
        The state.

    Raises:
        AssertionError: The time is over; it says what the page shows.
    """
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        # A page that navigates takes the waiting script with it; Chrome's driver does not say so,
        # so the script is put into whatever page stands there every few seconds.
        driver.set_script_timeout(min(left, 3))
        try:
            state = driver.execute_async_script(_WAIT_FOR_STATE, states)
            if state in states:  # Firefox's driver gives None for a script whose page went away
                return str(state)
        except TimeoutException:
            continue
        except JavascriptException as error:
            if "unload" not in str(error):
                raise
    story = driver.execute_script(_STORY)
    raise AssertionError(f"not {' or '.join(states)} within {timeout} s: {story}")


def run_async(driver: WebDriver, body: str, *arguments: object, timeout: float = 30) -> Any:
    """Run the body of an async JavaScript function in the page and return what it returns.

    Args:
        driver: A browser that shows the page.
        body: May `await` and `return`; finds what it is given in `arguments`.
        arguments: Plain values and elements.
        timeout: Seconds it may take.

    Raises:
        AssertionError: It threw; with the JavaScript stack.
    """
    driver.set_script_timeout(timeout)
    script = (
        "const report = [].pop.call(arguments);"
        f"(async function () {{ {body} \n}}).apply(null, arguments).then("
        "value => report([true, value]),"
        "error => report([false, `${error}\\n${error?.stack ?? ''}`]));"
    )
    fine, value = driver.execute_async_script(script, *arguments)
    if not fine:
        raise AssertionError(value)
    return value


def wait_text(driver: WebDriver, wanted: str, timeout: float = 60) -> None:
    """Wait until the page shows a text.

    Args:
        driver: A browser that shows the page.
        wanted: The text, or a part of it.
        timeout: Seconds to wait.

    Raises:
        AssertionError: The time is over; it says what the page shows.
    """
    try:
        run_async(driver, _WAIT_FOR_TEXT, wanted, timeout=timeout)
    except TimeoutException:
        story = driver.execute_script(_STORY)
        raise AssertionError(f"no {wanted!r} within {timeout} s: {story}") from None

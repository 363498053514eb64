"""The pages in the README can be pasted, and work."""

import re

from tools.common import ROOT
from tools.pages import run_async

WAIT_FOR_TEXT = """
const [wanted] = arguments;
if (document.body.innerText.includes(wanted)) return true;
return new Promise((resolve) => {
  new MutationObserver(() => {
    if (document.body.innerText.includes(wanted)) resolve(true);
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
});
"""


def html_blocks():
    text = (ROOT / "README.md").read_text("utf-8")
    return re.findall(r"```html\n(.*?)```", text, re.DOTALL)


def test_the_first_page_of_the_readme(driver, pages, pasted):
    pasted("hello.html", html_blocks()[0])
    driver.get(pages.url("hello.html"))
    assert run_async(driver, WAIT_FOR_TEXT, "The frame says: 6", timeout=60)


def test_host_and_frame_of_the_readme(driver, pages, pasted):
    pasted("editor-host.html", html_blocks()[1])
    pasted("editor-frame.html", html_blocks()[2])
    driver.get(pages.url("editor-host.html"))
    assert run_async(driver, WAIT_FOR_TEXT, "Hello, pyodide 314", timeout=60)
    again = """
        const words = document.getElementById("words");
        words.textContent = "";
        document.getElementById("editor").contentWindow.location.reload();
    """
    driver.execute_script(again)
    assert run_async(driver, WAIT_FOR_TEXT, "Hello, pyodide 314", timeout=60)


def test_calls_of_the_readme(driver, pages, pasted):
    pasted("calls-host.html", html_blocks()[3])
    pasted("calls-frame.html", html_blocks()[4])
    driver.get(pages.url("calls-host.html"))
    assert run_async(driver, WAIT_FOR_TEXT, "Mean 2, 3 bars", timeout=60)
    driver.switch_to.frame("frame")
    assert run_async(driver, WAIT_FOR_TEXT, "Squares: 5", timeout=10)

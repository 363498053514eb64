"""The pages in the README can be pasted, and work."""

import re
from types import SimpleNamespace

import pytest
from tools.common import ROOT, SITE
from tools.pages import run_async
from tools.server import serving

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


@pytest.fixture
def site(tmp_path):
    """Its own copy, to paste pages into as a reader would: `site.paste` and `site.url`."""
    for path in SITE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    with serving({"/": tmp_path}) as origins:
        yield SimpleNamespace(
            url=origins.url, paste=lambda name, block: (tmp_path / name).write_text(block, "utf-8")
        )


def test_the_first_page_of_the_readme(driver, site):
    site.paste("hello.html", html_blocks()[0])
    driver.get(site.url("hello.html"))
    assert run_async(driver, WAIT_FOR_TEXT, "The frame says: 6", timeout=60)


def test_host_and_frame_of_the_readme(driver, site):
    site.paste("editor-host.html", html_blocks()[1])
    site.paste("editor-frame.html", html_blocks()[2])
    driver.get(site.url("editor-host.html"))
    assert run_async(driver, WAIT_FOR_TEXT, "Hello, pyodide 314", timeout=60)
    again = """
        const words = document.getElementById("words");
        words.textContent = "";
        document.getElementById("editor").contentWindow.location.reload();
    """
    driver.execute_script(again)
    assert run_async(driver, WAIT_FOR_TEXT, "Hello, pyodide 314", timeout=60)


def test_calls_of_the_readme(driver, site):
    site.paste("calls-host.html", html_blocks()[3])
    site.paste("calls-frame.html", html_blocks()[4])
    driver.get(site.url("calls-host.html"))
    assert run_async(driver, WAIT_FOR_TEXT, "Mean 2, 3 bars", timeout=60)
    driver.switch_to.frame("frame")
    assert run_async(driver, WAIT_FOR_TEXT, "Squares: 5", timeout=10)

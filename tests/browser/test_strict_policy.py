"""Under a Content-Security-Policy that forbids to evaluate text all works, with one line more."""

import re

import pytest
from selenium.webdriver.common.by import By
from tools.common import ROOT
from tools.pages import wait_state

PAGES = ROOT / "tests" / "pages"
POLICY = {"Content-Security-Policy": "script-src 'self' 'wasm-unsafe-eval'"}


@pytest.mark.slow("several interpreters under a policy")
@pytest.mark.webkit
@pytest.mark.timeout(300)
def test_the_error_names_the_line_and_with_it_all_works(driver, site):
    def address(name, **query):
        return site.url(name, headers=POLICY, **query)

    def story():
        return driver.find_element(By.TAG_NAME, "body").text

    driver.get(address("pages/python.html", run="strict_policy.py"))
    assert wait_state(driver) == "failed"
    assert "RuntimeError: this page's Content-Security-Policy forbids 'unsafe-eval'" in story()
    line = re.search(r"pyodide\.registerJsModule\(.*?\)\)", story())[0]
    assert line in (ROOT / "README.md").read_text("utf-8")

    script = (PAGES / "python.mjs").read_text("utf-8")
    registered = script.replace("// Here a page whose policy is strict", f"{line}; //")
    assert registered != script
    site.paste("python.mjs", registered)
    site.paste("python.html", (PAGES / "python.html").read_text("utf-8"))
    frame = address("python.html", run="/pages/strict_frame.py")
    worker = address("pages/strict-worker.mjs")
    driver.get(address("python.html", run="/pages/strict_policy.py", frame=frame, worker=worker))
    assert wait_state(driver, timeout=150) == "done", story()

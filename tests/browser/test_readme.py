"""The page in the README can be pasted, and works."""

import re

from tools.common import ROOT
from tools.pages import run_async

SITE = ROOT / "dist" / "site"

WAIT_FOR_TEXT = """
const [wanted] = arguments;
if (document.body.innerText.includes(wanted)) return true;
return new Promise((resolve) => {
  new MutationObserver(() => {
    if (document.body.innerText.includes(wanted)) resolve(true);
  }).observe(document.body, { childList: true, subtree: true, characterData: true });
});
"""


def test_the_page_of_the_readme(driver, pages):
    text = (ROOT / "README.md").read_text("utf-8")
    [block] = re.findall(r"```html\n(.*?)```", text, re.DOTALL)
    page = SITE / "hello.html"
    page.write_text(block, encoding="utf-8")
    try:
        driver.get(pages.url("hello.html"))
        assert run_async(driver, WAIT_FOR_TEXT, "The frame says: 6", timeout=60)
    finally:
        page.unlink(missing_ok=True)

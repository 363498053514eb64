"""The pages in the README can be pasted, and work."""

from tools.pages import wait_text
from tools.readme import blocks


def test_the_first_page_of_the_readme(driver, site):
    site.paste("hello.html", blocks("A page that works", "html")[0])
    driver.get(site.url("hello.html"))
    wait_text(driver, "The frame says: 6", timeout=60)


def test_host_and_frame_of_the_readme(driver, site):
    site.paste("editor-host.html", blocks("Connect two windows", "html")[0])
    site.paste("editor-frame.html", blocks("Connect two windows", "html")[1])
    driver.get(site.url("editor-host.html"))
    wait_text(driver, "Hello, pyodide 314", timeout=60)
    again = """
        const words = document.getElementById("words");
        words.textContent = "";
        document.getElementById("editor").contentWindow.location.reload();
    """
    driver.execute_script(again)
    wait_text(driver, "Hello, pyodide 314", timeout=60)


def test_calls_of_the_readme(driver, site):
    site.paste("calls-host.html", blocks("Call functions across frames", "html")[0])
    site.paste("calls-frame.html", blocks("Call functions across frames", "html")[1])
    driver.get(site.url("calls-host.html"))
    wait_text(driver, "Mean 2, 3 bars", timeout=60)
    driver.switch_to.frame("frame")
    wait_text(driver, "Squares: 5", timeout=10)

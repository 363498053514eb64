"""Pages in Python that come out of the back/forward cache, and workers in Python."""

from tools.pages import run_async, wait_state

_TURN = """
const [turns] = arguments;
while (document.body.dataset.turns !== turns) {
    await new Promise((resolve) => new MutationObserver((_, observer) => {
        observer.disconnect();
        resolve();
    }).observe(document.body, { attributes: true }));
}
return [window.persisted, document.body.dataset.end ?? ""];
"""


def test_a_restored_page_connects_again(driver, pages, browser):
    for _ in range(3):  # whether it keeps a page is the browser's choice, which pressure can sway
        persisted = go_and_come_back(driver, pages)
        if browser == "firefox":
            # It keeps no page that holds a Web Lock, as this one does: it is loaded anew.
            assert run_async(driver, _TURN, "1", timeout=60) == [None, ""]
            return
        if persisted:
            break
    assert persisted is True
    _, end = run_async(driver, _TURN, "2", timeout=60)
    assert "back/forward cache" in end or "vanished" in end  # whichever was said first


def go_and_come_back(driver, pages):
    # How it was made to happen: away by an address, and back by the browser's own button.
    driver.get(pages.url("pages/python.html", run="keep_connected.py"))
    assert wait_state(driver, timeout=60) == "done"
    driver.execute_script(
        "window.addEventListener('pageshow', ({ persisted }) => { window.persisted = persisted; });"
    )
    driver.get(pages.url("pages/echo-origin.html"))
    driver.back()
    assert wait_state(driver, timeout=60) == "done"
    return driver.execute_script("return window.persisted")


def test_a_worker_in_python_accepts(driver, pages):
    driver.get(pages.url("pages/msgchan-host.html"))
    assert wait_state(driver) == "done"
    answers = run_async(
        driver,
        """
        const answers = [];
        for (const early of [true, false]) {
            const worker = new Worker("/pages/python-worker.mjs", { type: "module" });
            const booted = new Promise((resolve) => {
                worker.addEventListener("message", ({ data }) => data === "booted" && resolve());
            });
            if (!early) await booted;
            const { port, peer, closed, close } = await connect(worker, { timeout: 60 });
            const got = collect(port, 1);
            port.postMessage({ question: 20 });
            answers.push([await got, peer.origin, peer.runtime.split(" ")[0]]);
            close();
            worker.terminate();
        }
        return answers;
        """,
        timeout=120,
    )
    assert answers == [[[21], None, "pyodide"]] * 2

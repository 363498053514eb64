"""The same wheel in other homes: PyScript's pages and workers, JupyterLite's kernel."""

import html
import json
from importlib.metadata import version

import pytest
from tools.common import NODE_MODULES
from tools.jupyterlite import jupyterlite
from tools.pages import wait_text
from tools.readme import blocks, section

ISOLATED = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# A worker that the kernel starts and connects to; it lies at the address `worker`.
NESTED = """
from js import Worker
from pyodide_msgchan import connect

nested = await connect(Worker.new(worker, type="module"))
print("The worker says", await nested.request("who are you?"))
"""
ANSWERING = """
import { accept } from "./msgchan.mjs";
const { port, peer } = await accept();
port.onmessage = ({ ports: [reply] }) => reply.postMessage(`hello, ${peer.runtime}`);
"""


def test_the_readme_names_the_versions():
    pyscript = json.loads((NODE_MODULES / "@pyscript" / "core" / "package.json").read_text())
    assert f"`@pyscript/core` {pyscript['version']}" in section("In PyScript")
    for package in ("jupyterlite-core", "jupyterlite-pyodide-kernel"):
        assert f"{package}=={version(package)}" in section("In JupyterLite")


@pytest.mark.only_in("chrome")
@pytest.mark.parametrize("headers", [{}, ISOLATED], ids=["plain", "isolated"])
def test_pyscript(driver, site, headers):
    (page,) = blocks("In PyScript", "html")
    if headers:  # which a frame of an isolated page has to bring too
        frame = site.url("editor-frame.html", headers=headers)
        page = page.replace("editor-frame.html", html.escape(frame))
    site.paste("pyscript.html", page)
    site.paste("editor-frame.html", blocks("Connect two windows", "html")[1])
    driver.get(site.url("pyscript.html", headers=headers))
    wait_text(driver, "Hello, pyodide 314.0.7: 2", timeout=120)
    assert driver.execute_script("return crossOriginIsolated") == bool(headers)


@pytest.mark.only_in("chrome")
def test_jupyterlite(driver, site):
    jupyterlite()
    site.paste("answering.mjs", ANSWERING)
    cells = blocks("In JupyterLite", "python")
    cells.append(f"worker = {site.url('answering.mjs')!r}{NESTED}")
    driver.get(site.url("jupyterlite/repl/index.html", kernel="connected", code=cells))
    wait_text(driver, "Mean: 2", timeout=120)
    wait_text(driver, "The page is called Hello, page", timeout=60)
    assert driver.title == "Hello, page"
    wait_text(driver, "The worker says hello, pyodide 314.0.7", timeout=60)

"""Browsers get what is built, so it is built before the first test is even collected."""

import json
from types import SimpleNamespace

import pytest
from tools.bundle import build
from tools.common import ROOT, SITE
from tools.pages import run_async
from tools.pytest_runtimes import MOUNTS
from tools.server import serving


def pytest_configure():
    build()


@pytest.fixture
def site(tmp_path):
    """Its own copy, to paste pages into as a reader would: `site.paste` and `site.url`."""
    for path in SITE.iterdir():
        (tmp_path / path.name).symlink_to(path)
    with serving({"/": tmp_path, **MOUNTS}, obeys_query=True) as origins:
        yield SimpleNamespace(
            url=origins.url, paste=lambda name, block: (tmp_path / name).write_text(block, "utf-8")
        )


@pytest.fixture
def host(driver, pages, open_page):
    """A function that runs JavaScript in a page that has msgchan.mjs.

    The page knows `openPeer(kind, address)`, which runs code in a frame, popup or worker; both
    are what the code gets as its first two `arguments` (see pages/msgchan-host.html).
    """
    assert open_page("pages/msgchan-host.html") == "done"

    def host(body, kind=None, *arguments):
        name = "msgchan-peer.mjs" if kind == "worker" else "msgchan-peer.html"
        other = kind in {"cross-site", "popup"}
        return run_async(driver, body, kind, pages.url(f"pages/{name}", other=other), *arguments)

    return host


@pytest.fixture
def peers(request, pages):
    """Addresses of peers by kind, for `open_peer` of the module `peers`, which Pyodide then has."""
    _give_module(request, "peers")
    return {
        "same-origin": "/pages/msgchan-peer.html",
        "cross-site": pages.url("pages/msgchan-peer.html", other=True),
        "sandboxed": pages.url("pages/msgchan-peer.html"),
        "popup": pages.url("pages/msgchan-peer.html", other=True),
        "same-origin popup": "/pages/msgchan-peer.html",
        "worker": "/pages/msgchan-peer.mjs",
    }


@pytest.fixture
def scene(request, peers, pages):
    """The addresses of `peers`, and the module `scene` for tests of attacks; and a port.

    The port is that of a server whose pages have the origin of whatever `*.localhost` they are
    asked for under.
    """
    _give_module(request, "scene")
    return peers | {"port": pages.other_origin.rpartition(":")[2]}


def _give_module(request, name):
    """Put a file of tests/pages where Pyodide's `import` finds it."""
    runner = request.getfixturevalue("selenium")
    source = (ROOT / "tests" / "pages" / f"{name}.py").read_text()
    runner.run_js(f"pyodide.FS.writeFile('{name}.py', {json.dumps(source)})")


@pytest.fixture
def pair(request):
    """Pyodide gets the module `packed_pair`: both ends of a connection in one page."""
    _give_module(request, "packed_pair")


@pytest.fixture
def flooded(request):
    """Pyodide gets the module `flooded`: a port that a worker floods with messages."""
    _give_module(request, "flooded")

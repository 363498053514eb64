"""Imports go one way: each module uses only what stands before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyodide_msgchan

PACKAGE = Path(__file__).parents[2] / "pyodide_msgchan"

ORDER = [
    {"errors", "_version", "_printing"},
    {"_wire", "_comlink", "_credit"},
    {"_types", "_side", "_penpal"},
    {"_handshake"},
    {"_browser"},
    {"_origin", "_waiter", "_clone", "_event", "_registry", "_scan", "_unread"} | {"_key_hashes"},
    {"_inbox", "_stream", "_remote_errors", "_public"},
    {"_sealed"},
    {"_reducers"},
    {"_fitness"},
    {"_packed"},
    {"_lane"},
    {"_endpoint", "_receiver"},
    {"port", "_windows"},
    {"channel", "connection", "_memory", "_round_trips", "_checking"}
    | {"_reach", "_call", "_iteration"},
    {"_attempt", "_contract", "_remote", "_parcel"},
    {"_opening", "_values"},
    {"_exposing", "_feed", "_calling"},
    {"_link"},
    {"dom", "frames", "introduction", "testing", "rpc", "penpal"},
    {"__init__"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
ONLY_IN_BROWSER = {"js", "pyodide", "pyodide_js", "_pyodide", "pyodide_msgchan_bridge"}


def imported(path):
    """Give every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((name.split(".")[0], bool(node.level)) for name in names)


def violations(path):
    name = path.stem
    for module, ours in imported(path):
        if ours and LEVEL[module] >= LEVEL[name]:
            yield f"{name} imports {module}, which does not stand before it"
        if not ours and module in ONLY_IN_BROWSER and name != "_browser":
            yield f"{name} imports {module}; only _browser may"


def test_ports_alone_load_no_connections():
    code = "import sys, pyodide_msgchan; print(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603 - this Python and this package
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pyodide_msgchan.port" in loaded
    assert not {"pyodide_msgchan._wire", "pyodide_msgchan._opening", "dataclasses"} & {*loaded}
    assert all(hasattr(pyodide_msgchan, name) for name in pyodide_msgchan.__all__)


def test_every_module_has_its_place():
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(LEVEL)


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_go_one_way(path):
    assert list(violations(path)) == []


def test_a_violation_is_seen(tmp_path):
    path = tmp_path / "errors.py"
    path.write_text("import js\nfrom .port import MessagePort\n")
    assert len(list(violations(path))) == 2

"""Imports go one way: the order of packages is one list, and all else follows from the folders."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyodide_msgchan

PACKAGE = Path(__file__).parents[2] / "pyodide_msgchan"

# Each imports only from those before it, and from itself.
ORDER = [
    "_version",
    "errors",
    "_printing",
    "_interfaces",
    "_bridge",
    "_origins",
    "_codec",
    "_port",
    "_connection",
    "_rpc",
    "penpal",
    "testing",
    "typing",
    "__init__",
]
ONLY_IN_BROWSER = {"js", "pyodide", "pyodide_js", "_pyodide", "pyodide_msgchan_bridge"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def part_of(path, root=PACKAGE):
    """The package or module at the top to which a file belongs."""
    return path.relative_to(root).with_suffix("").parts[0]


def imports(tree):
    """Every module and name that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((node.module, alias.name) for alias in node.names)


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


def violations(path, root=PACKAGE):
    tree = ast.parse(path.read_text("utf-8"))
    part = part_of(path, root)
    for module, name in imports(tree):
        first, *rest = module.split(".")
        if first in ONLY_IN_BROWSER and part != "_bridge":
            yield f"imports {module}; only _bridge may"
        if first != "pyodide_msgchan":
            continue
        other = rest[0] if rest else name
        if other != part and ORDER.index(other) >= ORDER.index(part):
            yield f"imports {other}, which does not stand before {part}"
        if other != part and len(rest) > 0 and name and is_private(name):
            yield f"imports the private name {module}.{name}"


def test_ports_alone_load_no_connections():
    code = "import sys, pyodide_msgchan; print(*sys.modules)"
    loaded = subprocess.run(  # noqa: S603 - this Python and this package
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "pyodide_msgchan._port.port" in loaded
    late = {"pyodide_msgchan._connection", "pyodide_msgchan._rpc", "dataclasses"}
    assert not late & {*loaded}
    assert all(hasattr(pyodide_msgchan, name) for name in pyodide_msgchan.__all__)


def test_public_names_have_one_address():
    for name in pyodide_msgchan.__all__:
        value = getattr(pyodide_msgchan, name)
        if isinstance(value, type) or callable(value):
            assert value.__module__ == "pyodide_msgchan", name


def test_the_order_names_every_folder():
    assert {part_of(path) for path in MODULES} == set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    assert list(violations(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import js",
        "def f():\n    import pyodide.ffi",
        "from pyodide_msgchan._rpc.api import wrap",
        "from pyodide_msgchan import testing",
        "from pyodide_msgchan._bridge.bridge import _load_script",
    ],
)
def test_a_violation_is_seen(tmp_path, text):
    path = tmp_path / "_port" / "port.py"
    path.parent.mkdir()
    path.write_text(text + "\n")
    assert len(list(violations(path, tmp_path))) == 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_functions_fit_on_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            text = len((ast.get_docstring(node, clean=False) or "").splitlines())
            assert node.end_lineno - node.lineno + 1 - text <= 60, node.name

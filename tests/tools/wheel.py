"""The wheel's build: what only readers of the source need stays out, since browsers fetch a wheel.

Python loses comments and the docstrings that no `help()` shows, each line keeping its number, so
that a traceback fits the repository. JavaScript loses comments and white space, and its sources
stay out: `./build.sh` has bundled them before. The README, which an index shows, is there up to its
third heading. Named in pyproject.toml; it imports nothing of `tools`, since it runs where the
source archive is built too.
"""

import ast
import io
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import rjsmin
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_PACKAGE = "pyodide_msgchan"
_BRIDGE = "pyodide_msgchan/js/bridge.mjs"
type _Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class WheelHook(BuildHookInterface[Any]):
    """Puts smaller files into the wheel in the place of the package's own."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make them, and name them to the builder."""
        if not Path(self.root, _BRIDGE).is_file():
            self.app.abort(f"{_BRIDGE} is missing: run ./build.sh")
        if self.target_name != "wheel" or version == "editable":
            return
        package = Path(self.root, _PACKAGE)
        shown = _shown_classes(self.root)
        self._folder = tempfile.TemporaryDirectory()
        for path in package.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if path.suffix == ".py":
                module = ".".join(path.relative_to(package).with_suffix("").parts)
                text = without_reading_matter(path.read_text("utf-8"), module, shown)
            elif path.name == "msgchan.mjs":
                text = rjsmin.jsmin(path.read_text("utf-8")) + "\n"
            else:
                continue
            smaller = Path(self._folder.name, name)
            smaller.parent.mkdir(parents=True, exist_ok=True)
            smaller.write_text(text, "utf-8")
            build_data["force_include"][str(smaller)] = name

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Clear away."""
        del version, build_data, artifact_path
        if hasattr(self, "_folder"):
            self._folder.cleanup()


class ReadmeHook(MetadataHookInterface):
    """Shortens the description."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Take the introduction and what it takes to see something work."""
        parts = Path(self.root, "README.md").read_text("utf-8").split("\n## ")
        text = "\n## ".join(parts[:3]) + "\n"
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


@cache
def _shown_classes(root: str) -> set[tuple[str, str]]:
    """Module and name of what users see though a private module defines it."""
    sys.path.insert(0, root)
    try:
        package = import_module(_PACKAGE)
        objects = [getattr(package, name) for name in package.__all__]
    finally:
        sys.path.remove(root)
    found: set[tuple[str, str]] = set()
    for one in objects:
        made_of = one if hasattr(one, "__qualname__") else type(one)
        for shown in getattr(made_of, "__mro__", [made_of]):
            name = shown.__qualname__.partition(".")[0]
            found.update((module, name) for module in _homes(shown))
    return found


def _homes(shown: Any) -> Iterator[str]:
    """Modules in which a class or function can be had: the package gives it another address."""
    name = shown.__qualname__.partition(".")[0]
    for module, content in tuple(sys.modules.items()):
        if module.startswith(f"{_PACKAGE}.") and getattr(content, name, None) is shown:
            yield module.removeprefix(f"{_PACKAGE}.")


def without_reading_matter(text: str, module: str, shown: set[tuple[str, str]]) -> str:
    """Give a module without comments and without the docstrings that nobody is shown.

    Args:
        text: of the module.
        module: its name in the package; one with a private part hides its docstrings.
        shown: module and name of classes and functions that are shown nevertheless.
    """
    lines = text.splitlines(keepends=True)
    for string, alone in _hidden_strings(ast.parse(text), module, shown):
        first, last = string.lineno - 1, (string.end_lineno or string.lineno) - 1
        lines[first] = lines[first][: string.col_offset] + ("..." if alone else "")
        lines[first] = lines[first].rstrip() + "\n"
        lines[first + 1 : last + 1] = ["\n"] * (last - first)
    for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip() + "\n"
    return "".join(lines)


def _hidden_strings(
    tree: ast.Module, module: str, shown: set[tuple[str, str]]
) -> Iterator[tuple[ast.Expr, bool]]:
    """Strings that stand for themselves, and whether each is all that its block has."""
    classes = {name for place, name in shown if place == module}

    def visit(node: _Documented, *, hidden: bool) -> Iterator[tuple[ast.Expr, bool]]:
        for place, statement in enumerate(node.body):
            if _is_string(statement) and (place or hidden):
                yield statement, len(node.body) == 1  # type: ignore[misc]
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node) if inside else node.body:
            if child is node or not isinstance(
                child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            private = inside or _is_private(child.name)
            if node is tree and child.name in classes:
                yield from visit(child, hidden=False)
            else:
                yield from visit(child, hidden=hidden or private)

    return visit(tree, hidden=any(map(_is_private, module.split("."))))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _is_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )

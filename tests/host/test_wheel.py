"""What the wheel's build leaves out: nothing that runs, or that `help()` or a traceback shows."""

import ast
import inspect
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import rjsmin
from tools.wheel import _shown_classes, without_reading_matter

import pyodide_msgchan

PACKAGE = Path(pyodide_msgchan.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def smaller(path):
    return without_reading_matter(path.read_text("utf-8"), name_of(path), _shown_classes(str(ROOT)))


def without_strings(text):
    """Each statement that does something, with the line that it stands on."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [
                one
                for one in body
                if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
            ]
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    return ast.dump(tree), lines


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_same_statements_stand_on_the_same_lines(path):
    assert without_strings(smaller(path)) == without_strings(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def docstrings():
    """By module and line, what documents a class or function in the wheel."""
    return {
        name_of(path): {
            node.name: ast.get_docstring(node)
            for node in ast.walk(ast.parse(smaller(path)))
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node)
        }
        for path in MODULES
    }


def defines(path, what):
    """Whether a class is defined in a file; the package shows it under another address."""
    module = sys.modules.get(f"pyodide_msgchan.{name_of(path)}")
    mine = f"class {what.__name__}" in path.read_text("utf-8")
    return mine and getattr(module, what.__name__, None) is what


def defined_in(what):
    if isinstance(what, type):
        return next(path for path in MODULES if defines(path, what))
    return what.__code__.co_filename


@pytest.mark.parametrize("name", pyodide_msgchan.__all__)
def test_help_is_still_there(docstrings, name):
    value = getattr(pyodide_msgchan, name)
    members = inspect.getmembers(value) if isinstance(value, type) else [(name, value)]
    for called, member in members:
        what = inspect.unwrap(member.fget if isinstance(member, property) else member)
        module = getattr(what, "__module__", None) or ""
        if called.startswith("_") or not module.startswith("pyodide_msgchan"):
            continue
        if not (inspect.isroutine(what) or isinstance(what, type)):
            continue
        assert what.__name__ in docstrings[name_of(Path(defined_in(what)))], f"{name}.{called}"


def test_what_only_readers_need_is_gone():
    text = smaller(PACKAGE / "_rpc" / "session.py") + smaller(PACKAGE / "_port" / "waiter.py")
    assert "#" not in text
    assert '"""' not in text
    assert '"""' in smaller(PACKAGE / "errors.py")


@pytest.mark.parametrize(
    "text, expected",
    [
        ('"""Doc."""\nx = "#"  # why\n', '\nx = "#"\n'),
        ('class A:\n    """One\n    two."""\n\n    x = 1\n', "class A:\n\n\n\n    x = 1\n"),
        ('def f():\n    """Only."""\n', "def f():\n    ...\n"),
        ('class Shown:\n    def f():\n        """Kept."""\n', None),
        ('class Shown:\n    def _f():\n        """Gone."""\n        g()\n', "\n        g()\n"),
        ('if x:\n    def f():\n        """Stays where it is not looked for."""\n', None),
    ],
)
def test_one_module(text, expected):
    result = without_reading_matter(text, "_private", {("_private", "Shown")})
    assert result.endswith(text if expected is None else expected)
    assert result.count("\n") == text.count("\n")


def test_a_public_module_keeps_its_docstrings():
    text = '"""Doc."""\n\n\ndef f():\n    """Doc."""\n\n\ndef _g():\n    ...\n'
    assert without_reading_matter(text, "public", set()) == text


def test_smaller_javascript_is_javascript(tmp_path):
    path = PACKAGE / "js" / "msgchan.mjs"
    small = tmp_path / path.name
    small.write_text(rjsmin.jsmin(path.read_text("utf-8")), "utf-8")
    subprocess.run(["node", "--check", small], check=True)  # noqa: S603, S607 - node on PATH
    assert small.stat().st_size < 0.9 * path.stat().st_size


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the archives are made of, without the bundle of the JavaScript part."""
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / PACKAGE.name / "js" / "bridge.mjs").unlink(missing_ok=True)
    for name in ["pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", ".gitignore"]:
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests" / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "tools" / "wheel.py", tmp_path / "tests" / "tools")
    return tmp_path


def build(checkout, *kinds):
    command = [sys.executable, "-P", "-m", "build", "--no-isolation", *kinds, checkout]
    return subprocess.run(  # noqa: S603 - our own words
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


@pytest.mark.parametrize("kind", ["--wheel", "--sdist"])
def test_a_checkout_without_the_bundle_says_what_makes_it(checkout, kind):
    result = build(checkout, kind)
    assert result.returncode
    assert "pyodide_msgchan/js/bridge.mjs is missing: run ./build.sh" in result.stdout.splitlines()
    assert "Traceback" not in result.stdout


def test_a_wheel_is_made_of_the_source_archive_without_node(checkout):
    (checkout / PACKAGE.name / "js" / "bridge.mjs").write_text("made by ./build.sh")
    result = build(checkout)  # the source archive, and the wheel from it
    assert result.returncode == 0, result.stdout
    (wheel,) = (checkout / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        scripts = {name for name in archive.namelist() if "/js/" in name}
        text = archive.read("pyodide_msgchan/js/bridge.mjs").decode()
    assert text == "made by ./build.sh"
    assert {Path(name).name for name in scripts} == {"bridge.mjs", "msgchan.mjs", "msgchan.d.mts"}

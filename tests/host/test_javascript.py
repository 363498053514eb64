"""The module for pages without Python: small, alone, and typed as it behaves."""

import gzip
import re
import subprocess

import pytest
from tools.common import NODE_MODULES, PACKAGE, ROOT
from tools.provision import npm_modules

import pyodide_msgchan
from pyodide_msgchan._bridge import bridge

MODULE = PACKAGE / "js" / "msgchan.mjs"
LIMIT = 5000


@pytest.fixture(scope="module")
def node():
    """A function that runs a program of an npm package and gives back its result."""
    npm_modules()

    def node(program, *words):
        command = ["node", NODE_MODULES / program, *words]
        return subprocess.run(  # noqa: S603 - its arguments are ours
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )

    return node


def test_module_is_small(node):
    result = node("terser/bin/terser", MODULE, "--module", "--compress", "--mangle")
    assert result.returncode == 0, result.stderr
    size = len(gzip.compress(result.stdout.encode(), 9))
    assert 1000 < size < LIMIT, f"{size} bytes minified and gzipped"


def test_module_stands_alone():
    assert not re.search(r"\bimport\b", MODULE.read_text())


def test_module_tells_the_version_of_the_package():
    assert f'const VERSION = "{pyodide_msgchan.__version__}";' in MODULE.read_text()


def test_types(node):
    words = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2024"]
    words += ["--module", "esnext", "--moduleResolution", "bundler"]
    result = node("typescript/bin/tsc", *words, "tests/host/msgchan_surface.ts")
    assert result.returncode == 0, result.stdout


def test_parts_of_the_bridge_make_one_script():
    result = subprocess.run(
        ["node", "--check", "-"],  # noqa: S607 - the one on PATH
        input=bridge.joined_script(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr

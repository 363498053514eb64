"""The module for pages without Python: small, alone, and typed as it behaves."""

import gzip
import json
import re
import subprocess

import pytest
from tools.bundle import BRIDGE, build_bridge
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

    return lambda program, *words: run("node", NODE_MODULES / program, *words)


def run(*command):
    return subprocess.run(  # noqa: S603 - our own words
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_module_is_small(node):
    result = node("terser/bin/terser", MODULE, "--module", "--compress", "--mangle")
    assert result.returncode == 0, result.stderr
    size = len(gzip.compress(result.stdout.encode(), 9))
    assert 1000 < size < LIMIT, f"{size} bytes minified and gzipped"


def test_module_stands_alone():
    assert not re.search(r"\bimport\b", re.sub(r"/\*.*?\*/", "", MODULE.read_text()))


def test_module_tells_the_version_of_the_package():
    assert f'const VERSION = "{pyodide_msgchan.__version__}";' in MODULE.read_text()


def test_the_declarations_are_those_of_the_module(node):
    # That each export has the declared type is checked by tsc, see tests/tools/tsconfig.json.
    declared = MODULE.with_suffix(".d.mts").read_text()
    names = re.findall(r"^export declare (?:const|class|function) (\w+)", declared, re.MULTILINE)
    program = f"console.log(Object.keys(await import({json.dumps(MODULE.as_uri())})).join())"
    result = run("node", "--input-type=module", "--eval", program)
    assert sorted(result.stdout.strip().split(",")) == sorted(names)

    def options(interface):
        body = re.search(rf"interface {interface}\b.*?\n}}", declared, re.DOTALL)[0]
        return set(re.findall(r"^  (\w+)\?:", body, re.MULTILINE))

    text = MODULE.read_text()
    taken = re.search(r'import\("\./msgchan\.mjs"\)\.Options} \*/ \{(.*?)\}', text, re.DOTALL)[1]
    assert set(re.findall(r"^ +(\w+)", taken, re.MULTILINE)) == options("Options")
    assert re.search(r"accept = \(\{ (\w+), \.\.\.options \}", text)[1] in options("AcceptOptions")
    assert len(options("AcceptOptions")) == 1


def test_types(node):
    words = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--target", "es2024"]
    words += ["--module", "esnext", "--moduleResolution", "bundler"]
    result = node("typescript/bin/tsc", *words, "tests/host/msgchan_surface.ts")
    assert result.returncode == 0, result.stdout


def test_the_bundle_is_evaluated_and_registered_from_one_text(node, tmp_path):
    build_bridge()
    evaluated = bridge.script()
    program = tmp_path / "both.mjs"
    program.write_text(
        f"import {{ createBridge }} from {json.dumps(BRIDGE.as_uri())};"
        f"const evaluated = (0, eval)({json.dumps(evaluated)});"
        "if (String(evaluated) !== String(createBridge)) throw Error(evaluated);"
        "if (evaluated === createBridge) throw Error('one evaluation');"
    )
    result = run("node", program)
    assert result.returncode == 0, result.stderr


def test_a_checkout_without_the_bundle_says_what_makes_it(monkeypatch):
    monkeypatch.setattr(bridge, "__file__", "/nowhere/_bridge/bridge.py")
    with pytest.raises(RuntimeError, match=r"^\S*/js/bridge\.mjs is missing: run \./build\.sh$"):
        bridge.script()

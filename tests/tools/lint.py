"""The `check` verb: formatters, linters, types, coverage; `check --fix` repairs what can be.

Coverage is that of the package by the host suite without its slow tests, which runs beside the
other checks, takes almost three minutes of one processor, and is left out by `check --fix`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.common import NODE_MODULES, PACKAGE, ROOT, TOOLS, say
from tools.provision import npm_modules

_PRETTIER_FILES = (
    "web/**/*.{html,css,js,mjs,json}",
    "tests/**/*.{html,css,js,mjs,ts}",
    "pyodide_msgchan/js/**/*.{mjs,mts}",
)
_SCRIPT_FILES = ("pyodide_msgchan/js/**/*.mjs", "web/**/*.{js,mjs}", "tests/javascript/**/*.mjs")

_SOURCES = (str(ROOT), str(ROOT / "tests"))
_COVER = [sys.executable, "-P", "-m", "coverage", "run"]
_COVER += ["-m", "pytest", "--quiet", "--quick", "tests/host"]


def main(words: list[str]) -> int:
    """Run every check, also after one has failed."""
    fix = "--fix" in words
    npm_modules()
    ruff = str(Path(sys.executable).with_name("ruff"))
    prettier = ["node", str(NODE_MODULES / "prettier" / "bin" / "prettier.cjs")]
    prettier += ["--config", str(TOOLS / "prettier.json"), "--no-error-on-unmatched-pattern"]
    prettier += ["--log-level", "warn", "--write" if fix else "--check", *_PRETTIER_FILES]
    typescript = ["node", str(NODE_MODULES / "typescript" / "bin" / "tsc"), "--project"]
    eslint = ["node", str(NODE_MODULES / "eslint" / "bin" / "eslint.js"), *_SCRIPT_FILES]
    eslint += ["--config", str(TOOLS / "eslint.config.mjs"), "--no-error-on-unmatched-pattern"]
    pyright = ["node", str(NODE_MODULES / "pyright" / "index.js"), "--pythonpath", sys.executable]
    checks = {
        "format of Python": [ruff, "format", *([] if fix else ["--check"])],
        "lint": [ruff, "check", "--output-format=concise", *(["--fix"] if fix else [])],
        "format of JavaScript, HTML and CSS": prettier,
        "lint of JavaScript": [*eslint, *(["--fix"] if fix else [])],
        "types of JavaScript": [*typescript, str(TOOLS / "tsconfig.json")],
        "types of the site's JavaScript": [*typescript, str(TOOLS / "tsconfig.web.json")],
        "types": [sys.executable, "-P", "-m", "mypy", "--strict"],
        "types, by pyright": pyright,
        "types that users see": [*pyright, "--ignoreexternal", "--verifytypes", PACKAGE.name],
    }
    failed = 0
    with tempfile.TemporaryFile("w+") as output:
        suite = None if fix else subprocess.Popen(_COVER, cwd=ROOT, stdout=output, text=True)
        for name, check in checks.items():
            say(f"check: {name}")
            failed += (
                subprocess.run(check, cwd=ROOT, env=_environment(), check=False).returncode != 0
            )
        if suite is not None:
            say("check: coverage")
            if suite.wait():
                output.seek(0)
                say(output.read())
                failed += 1
            else:
                report = [sys.executable, "-P", "-m", "coverage", "report"]
                failed += subprocess.run(report, cwd=ROOT, check=False).returncode != 0
    count = len(checks) + (suite is not None)
    say(f"check: {failed} of {count} failed" if failed else "check: all is well")
    return 1 if failed else 0


def _environment() -> dict[str, str]:
    return {**os.environ, "MYPYPATH": "tests", "PYTHONPATH": os.pathsep.join(_SOURCES)}

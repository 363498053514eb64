"""JupyterLite's site, as its own command builds it, with the wheel in the index of its kernel."""

import shutil
import sys
from pathlib import Path

from tools.bundle import distribution, wheel
from tools.common import BUILD, PACKAGE, PYTHON_LOCK, ROOT, once, one_at_a_time, place, run, say
from tools.provision import kernel_wheels
from tools.readme import blocks

JUPYTERLITE = BUILD / "jupyterlite"
_SOURCE = BUILD / "jupyterlite-source"
_PYODIDE = _SOURCE / "static" / "pyodide"
_EXTENSION = "connected-kernel"


def jupyterlite() -> None:
    """Bring the site up to date; quick when it is."""
    with one_at_a_time("jupyterlite"):
        # It does not know our wheel: the kernel is to find that in the index of the site.
        distribution("pyodide", _PYODIDE, kernel_wheels(), [])
        locks = [PYTHON_LOCK, *_PYODIDE.glob("*.json")]
        inputs = [ROOT / "README.md", Path(__file__), wheel(), *locks]
        once("jupyterlite", inputs, [JUPYTERLITE / "repl" / "index.html"], _build)


def _build() -> None:
    say("Making build/jupyterlite")
    # Its command takes what it once built for done, also where that is gone or was of older files.
    for stale in (JUPYTERLITE, *_SOURCE.glob(".*"), _SOURCE / "pypi", _SOURCE / _EXTENSION):
        shutil.rmtree(stale) if stale.is_dir() else stale.unlink(missing_ok=True)
    place(wheel(), _SOURCE / "pypi" / wheel().name)
    _write_extension(_SOURCE / _EXTENSION)
    command: list[str | Path] = [Path(sys.executable).with_name("jupyter-lite"), "build"]
    command += ["--lite-dir", _SOURCE, "--output-dir", JUPYTERLITE, "--apps", "repl"]
    command += ["--no-sourcemaps", "--no-unused-shared-packages"]
    command += [f"--LiteBuildConfig.federated_extensions={_EXTENSION}"]
    run(command, cwd=_SOURCE, quiet=True)


def _write_extension(folder: Path) -> None:
    """The README's extension, by which a page is connected to its kernels."""
    (package,) = blocks("In JupyterLite", "json")
    (kernel,) = blocks("In JupyterLite", "js")
    place(PACKAGE / "js" / "msgchan.mjs", folder / "static" / "msgchan.mjs")
    (folder / "static" / "kernel.js").write_text(kernel, encoding="utf-8")
    (folder / "package.json").write_text(package, encoding="utf-8")

"""What is built: the wheel, the Pyodide distributions that know it, and the site."""

import json
import shutil
import sys
import sysconfig
from pathlib import Path

from tools.common import (
    BUILD,
    DIST,
    NODE_LOCK,
    NODE_MODULES,
    PACKAGE,
    ROOT,
    SITE,
    files_below,
    mirror,
    once,
    one_at_a_time,
    run,
    say,
)
from tools.provision import browser_wheels, npm_modules

WEB = ROOT / "web"
#: Pyodide with this package's wheel, and with the wheels tests need.
TEST_DISTRIBUTION = BUILD / "pyodide-dist"
#: The older Pyodide that is supported too, with this package's wheel.
OLD_DISTRIBUTION = BUILD / "pyodide-0.29-dist"
#: The newest pre-release of Pyodide, for a report of how it would do.
NEXT_DISTRIBUTION = BUILD / "pyodide-next-dist"
#: The JavaScript part in one file; its sources stand in the folder src beside it.
BRIDGE = PACKAGE / "js" / "bridge.mjs"
#: The pages from which pytest-pyodide drives Pyodide; they import it from beside them.
_TEMPLATES = Path(sysconfig.get_path("purelib")) / "pytest_pyodide" / "_templates"
_LOCK = "pyodide-lock.json"
#: What the wheel is made of, beside the package.
_WHEEL_SOURCES = ("pyproject.toml", "README.md", "LICENSE", "tests/tools/wheel.py")
#: What a page fetches; the rest of the npm package is for Node and for type checkers.
_RUNTIME_FILES = {
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.js",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
}
_RESULTS = ("bench.json", "curves.json")


def wheel() -> Path:
    """The one wheel in dist/."""
    return next(DIST.glob("*.whl"))


def build() -> None:
    """Bring wheel, distributions and site up to date; quick when they are."""
    with one_at_a_time("bundle"):
        npm_modules()
        build_bridge()
        _build_wheel()
        wheels = [wheel(), *browser_wheels()]
        distribution("pyodide", TEST_DISTRIBUTION, wheels, list(_TEMPLATES.iterdir()))
        distribution("pyodide-0.29", OLD_DISTRIBUTION, [wheel()], [])
        distribution("pyodide-next", NEXT_DISTRIBUTION, [wheel()], [])
        _site()


def build_bridge() -> None:
    """Bundle the modules of the JavaScript part, whose names stay as they are for stack traces."""
    source = PACKAGE / "js" / "src"

    def work() -> None:
        esbuild: list[str | Path] = [NODE_MODULES / ".bin" / "esbuild", source / "bridge.mjs"]
        options = ["--bundle", "--format=esm", "--minify-whitespace", "--minify-syntax"]
        run([*esbuild, *options, "--log-level=warning", f"--outfile={BRIDGE}"])

    once("bridge", [source, NODE_LOCK, Path(__file__)], [BRIDGE], work)


def _build_wheel() -> None:
    sources = [PACKAGE, *(ROOT / name for name in _WHEEL_SOURCES)]

    def work() -> None:
        fresh = BUILD / "wheel"
        shutil.rmtree(fresh, ignore_errors=True)
        build = [sys.executable, "-P", "-m", "build", "--wheel", "--no-isolation"]
        run([*build, "--outdir", fresh, ROOT], quiet=True)
        DIST.mkdir(exist_ok=True)
        for old in DIST.glob("*.whl"):
            old.unlink()
        for built in fresh.glob("*.whl"):
            shutil.copy2(built, DIST)
        say(f"Built dist/{wheel().name} ({wheel().stat().st_size / 1000:.1f} kB)")

    once("wheel", sources, DIST.glob("*.whl") if any(DIST.glob("*.whl")) else [DIST / "none"], work)


def distribution(npm_name: str, target: Path, wheels: list[Path], more_files: list[Path]) -> None:
    """Npm's core runtime, and a lock file by which `loadPackage` finds the wheels."""
    source = NODE_MODULES / npm_name
    place = target.relative_to(BUILD)
    name = "-".join(place.parts)

    def work() -> None:
        say(f"Making build/{place}")
        lock = BUILD / f"{name}.lock.json"
        pyodide = Path(sys.executable).with_name("pyodide")
        add_wheels: list[str | Path] = [pyodide, "lockfile", "add-wheels", "--base-path", ROOT]
        # The wheels' hashes and dependencies replace those of the packages in Pyodide's own lock.
        run([*add_wheels, "--input", source / _LOCK, "--output", lock, *wheels], quiet=True)
        _relative_addresses(lock)
        files = {
            path.name: path for path in [*source.iterdir(), *wheels, *more_files] if path.is_file()
        }
        mirror({**files, _LOCK: lock}, target)

    once(name, [NODE_LOCK, Path(__file__), *wheels], [target / _LOCK], work)


def _relative_addresses(lock: Path) -> None:
    """Name each wheel by its file name alone: it lies beside the lock."""
    content = json.loads(lock.read_text())
    for entry in content["packages"].values():
        entry["file_name"] = entry["file_name"].rsplit("/", 1)[-1]
    lock.write_text(json.dumps(content, sort_keys=True))


def _site() -> None:
    comlink, uplot = NODE_MODULES / "comlink", NODE_MODULES / "uplot"
    files = {
        **{path.relative_to(WEB).as_posix(): path for path in files_below(WEB)},
        **_runtime("pyodide", TEST_DISTRIBUTION),
        **_runtime("pyodide-0.29", OLD_DISTRIBUTION),
        **{path.name: path for path in (PACKAGE / "js").glob("*.mjs")},
        **{path.name: path for path in (PACKAGE / "js").glob("*.d.mts")},
        "vendor/comlink.mjs": comlink / "dist" / "esm" / "comlink.min.mjs",
        "vendor/comlink.LICENSE": comlink / "LICENSE",
        "vendor/uplot.mjs": uplot / "dist" / "uPlot.esm.js",
        "vendor/uplot.css": uplot / "dist" / "uPlot.min.css",
        "vendor/uplot.LICENSE": uplot / "LICENSE",
        # What the benchmarks wrote, if they ran, for the page that draws it.
        **{name: DIST / name for name in _RESULTS if (DIST / name).is_file()},
    }
    mirror(files, SITE)


def _runtime(folder: str, distribution: Path) -> dict[str, Path]:
    """What pages load from a folder of the site to run Python."""
    lock = BUILD / f"site-{folder}.lock.json"
    content = json.loads((distribution / _LOCK).read_text())
    # Pyodide's other packages are not served here, so the site's lock does not promise them.
    content["packages"] = {"pyodide-msgchan": content["packages"]["pyodide-msgchan"]}
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    if not lock.is_file() or lock.read_text() != text:
        lock.write_text(text)
    return {
        # The older Pyodide calls one of them pyodide.asm.js.
        **{
            f"{folder}/{path.name}": path
            for path in distribution.iterdir()
            if path.name in _RUNTIME_FILES
        },
        f"{folder}/{_LOCK}": lock,
        f"{folder}/{wheel().name}": wheel(),
    }

"""What is downloaded: npm packages, wheels for the browser, a geckodriver of last resort."""

import re
import shutil
import sys
import tarfile
from pathlib import Path

from tools.common import (
    BUILD,
    KERNEL_LOCK,
    NODE_LOCK,
    NODE_MODULES,
    PYTHON_LOCK,
    TOOLS,
    once,
    run,
    say,
)

#: Installed into Pyodide for tests, in the versions of the host's lock: exceptions and syntax
#: trees travel pickled between the two.
BROWSER_PACKAGES = (
    "hypothesis",
    "iniconfig",
    "packaging",
    "pluggy",
    "pygments",
    "pytest",
    "sortedcontainers",
    "tblib",
)
WHEELS = BUILD / "wheels"
KERNEL_WHEELS = BUILD / "kernel-wheels"
FALLBACK_GECKODRIVER = BUILD / "drivers" / "geckodriver"
_HELIUM = (
    "helium==3.2.6 --hash=sha256:46d009a4e5d960ec0064bcfbf41383a3279a129acd7f0f7d57393a497c63406d"
)


def npm_modules() -> None:
    """Install what package-lock.json names, once."""
    folder = NODE_MODULES.parent

    def install() -> None:
        say("Installing npm packages")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOOLS / "package.json", folder)
        shutil.copy(NODE_LOCK, folder)
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder)

    once("npm", [TOOLS / "package.json", NODE_LOCK], [NODE_MODULES / "pyodide"], install)


def browser_wheels() -> list[Path]:
    """The wheels that tests need inside Pyodide, downloaded once."""
    once("wheels", [PYTHON_LOCK], [WHEELS], _download_wheels)
    return sorted(WHEELS.glob("*.whl"))


def _download_wheels() -> None:
    say("Downloading the wheels that tests need in the browser")
    shutil.rmtree(WHEELS, ignore_errors=True)
    WHEELS.mkdir(parents=True)
    wanted = WHEELS / "requirements.txt"
    blocks = re.finditer(r"^(\S+)==.*\n(?:    --hash=.*\n)+", PYTHON_LOCK.read_text(), re.MULTILINE)
    entries = {block[1]: block[0] for block in blocks}
    wanted.write_text("".join(entries[name] for name in BROWSER_PACKAGES))
    _download_pure(wanted, WHEELS)


def kernel_wheels() -> list[Path]:
    """The wheels that JupyterLite's kernel loads, downloaded once."""

    def work() -> None:
        say("Downloading the wheels of JupyterLite's kernel")
        shutil.rmtree(KERNEL_WHEELS, ignore_errors=True)
        _download_pure(KERNEL_LOCK, KERNEL_WHEELS)

    once("kernel-wheels", [KERNEL_LOCK], [KERNEL_WHEELS], work)
    return sorted(KERNEL_WHEELS.glob("*.whl"))


def _download_pure(requirements: Path, folder: Path) -> None:
    _pip_download("--only-binary", ":all:", "--platform", "any", "-r", requirements, "-d", folder)


def fallback_geckodriver() -> Path:
    """An old geckodriver for Linux that a source archive on the Python index happens to carry."""

    def extract() -> None:
        say("Downloading a geckodriver, carried by helium's source archive")
        folder = FALLBACK_GECKODRIVER.parent
        folder.mkdir(parents=True, exist_ok=True)
        wanted = folder / "requirements.txt"
        wanted.write_text(_HELIUM + "\n")
        _pip_download("--no-binary", "helium", "--no-build-isolation", "-r", wanted, "-d", folder)
        with tarfile.open(folder / "helium-3.2.6.tar.gz") as archive:
            member = archive.extractfile("helium-3.2.6/helium/_impl/webdrivers/linux/geckodriver")
            if member is None:
                raise LookupError("no geckodriver in helium's source archive")
            FALLBACK_GECKODRIVER.write_bytes(member.read())
        FALLBACK_GECKODRIVER.chmod(0o755)

    once("geckodriver-of-helium-3.2.6", [], [FALLBACK_GECKODRIVER], extract)
    return FALLBACK_GECKODRIVER


def _pip_download(*words: str | Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    run([*pip, "--no-deps", "--require-hashes", *words])

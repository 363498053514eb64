"""Where things lie, and how the tools run programs, take turns and skip what is already done."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pyodide_msgchan"
TOOLS = ROOT / "tests" / "tools"
BUILD = ROOT / "build"
DIST = ROOT / "dist"
SITE = DIST / "site"
NODE_MODULES = BUILD / "node" / "node_modules"
PYTHON_LOCK = TOOLS / "requirements.txt"
KERNEL_LOCK = TOOLS / "kernel.txt"
NODE_LOCK = TOOLS / "package-lock.json"


class SetupError(Exception):
    """Something that can't be set up here; its text is the one line the user reads."""


def say(text: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    print(text, flush=True)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> None:
    """Run a program that must succeed; a quiet one is heard only when it fails."""
    words = [str(word) for word in command]
    try:
        subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            check=True,
            text=True,
        )
    except FileNotFoundError:
        raise SetupError(f"{words[0]} is missing") from None
    except subprocess.CalledProcessError as error:
        if error.stdout:
            sys.stdout.write(error.stdout)
        raise SetupError(f"failed: {' '.join(words)}") from None


def files_below(*places: Path) -> list[Path]:
    """Every file at or under the places, in a fixed order, without caches."""
    found: list[Path] = []
    for place in places:
        candidates = sorted(place.rglob("*")) if place.is_dir() else [place]
        found += [path for path in candidates if path.is_file() and "__pycache__" not in path.parts]
    return found


def digest(*places: Path) -> str:
    """One hash over the names and contents of every file at or under the places."""
    total = hashlib.sha256()
    for path in files_below(*places):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path}\0{content}\n".encode())
    return total.hexdigest()


def once(
    name: str, inputs: Iterable[Path], outputs: Iterable[Path], work: Callable[[], None]
) -> bool:
    """Do the work unless it was done before with the same inputs and its outputs still stand.

    Returns:
        Whether the work was done now.
    """
    stamp = BUILD / "stamps" / name
    key = digest(*inputs)
    if stamp.is_file() and stamp.read_text() == key and all(path.exists() for path in outputs):
        return False
    work()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    return True


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Keep a second process of this checkout out while this one builds."""
    locks = BUILD / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def place(source: Path, target: Path) -> None:
    """Copy a file so that a reader sees the old one or the new one, never half of it."""
    if target.is_file():
        old, new = target.stat(), source.stat()
        if (old.st_size, old.st_mtime_ns) == (new.st_size, new.st_mtime_ns):
            return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copy2(source, partial)
    partial.replace(target)


def mirror(files: Mapping[str, Path], target: Path) -> None:
    """Make the target folder hold exactly these files, by relative name."""
    for name, source in files.items():
        place(source, target / name)
    for path in files_below(target):
        if path.relative_to(target).as_posix() not in files:
            path.unlink()

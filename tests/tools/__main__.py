"""The commands behind build.sh."""

import importlib
import sys

from tools.bundle import build
from tools.common import ROOT, SetupError, run

_VERBS = {
    "serve": "tools.serve",
    "test": "tools.suites",
    "check": "tools.lint",
    "table": "tools.compat",
}


def main(words: list[str]) -> int:
    """Carry out a verb with the words after it."""
    verb, *rest = words or ["build"]
    if verb == "build":
        build()
        return 0
    if verb == "bench":
        build()
        run([sys.executable, "-P", "-m", "bench", *rest], cwd=ROOT)
        return 0
    if verb in _VERBS:
        status: int = importlib.import_module(_VERBS[verb]).main(rest)
        return status
    print("usage: ./build.sh [serve | test | bench | check | table] [more words]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except SetupError as error:
        print(f"build.sh: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

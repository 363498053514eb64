#!/usr/bin/env bash
# Wheel and site into dist/; with a verb: serve, test, bench, check, table. More words pass through.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

lock=tests/tools/requirements.txt
venv=build/venv

find_python() {
  local version candidate
  for version in 3.14 3.13 3.12; do
    for candidate in "python$version" "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/"$version".*/bin/python python3; do
      # Asked, not believed: a shim on PATH may answer for a version that is not there.
      if "$candidate" -c "import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" \
        >/dev/null 2>&1; then
        command -v "$candidate"
        return
      fi
    done
  done
  echo "build.sh: no Python 3.12 to 3.14 with venv, neither on PATH nor under pyenv" >&2
  return 1
}

if ! cmp -s "$lock" "$venv/requirements.txt"; then
  if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making $venv with $python"
    mkdir -p build
    "$python" -m venv --clear "$venv"
  fi
  "$venv/bin/python" -m pip install --disable-pip-version-check --require-hashes --requirement "$lock"
  cp "$lock" "$venv/requirements.txt"
fi

export PYTHONPATH="$PWD/tests"
exec "$venv/bin/python" -P -m tools "$@"

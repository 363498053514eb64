"""The public surface is typed: mypy agrees with what `typing_surface.py` asserts."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow("mypy reads the whole package")
def test_surface():
    command = [sys.executable, "-m", "mypy", "--strict", str(HERE / "typing_surface.py")]
    result = subprocess.run(  # noqa: S603 - its arguments are ours
        command, cwd=HERE.parents[1], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout

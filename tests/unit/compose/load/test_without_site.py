"""The client starts without site-packages: the loader finds its libraries by itself, whoever imports it first."""

import subprocess
import sys
from pathlib import Path

import pytest

SRC = str(Path(__file__).parents[4] / "src")


@pytest.mark.parametrize("module", ["scow.compose.commands.config", "scow.compose.commands.up", "scow.compose.stack.deploy"])
def test_a_command_is_loaded(module: str) -> None:
    code = f"import sys; sys.path.insert(0, {SRC!r}); __import__({module!r})"
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr

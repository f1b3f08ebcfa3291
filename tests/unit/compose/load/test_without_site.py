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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"services:\n  a: {b: \x01}\n", "2:10: yaml: control characters are not allowed"),
        (b"services: [\n", "2:1: yaml: line 2: did not find"),
    ],
)
def test_broken_yaml_is_told_of(text: bytes, says: str, tmp_path: Path) -> None:
    """The parser raises its errors without the rest of PyYAML, too."""
    file = tmp_path / "compose.yaml"
    file.write_bytes(text)
    code = f"""
import sys
sys.path.insert(0, {SRC!r})
from scow.compose.load.loader import LoadError, load
from scow.compose.load.options import LoadOptions
try:
    load(LoadOptions(files=({str(file)!r},)))
except LoadError as exc:
    print(exc.message)
import yaml
print(yaml.safe_load("[1]"), yaml.load("[2]", yaml.CSafeLoader))
"""
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert says in done.stdout, done.stderr
    assert "[1] [2]" in done.stdout

"""Scenarios: programs that work on the real kernel in namespaces of their own and print what they saw as a JSON object, by topic. A test
file has one run once and reads it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes namespaces")


def seen(program: Path, *args: object, seconds: float = 400, skip_on: str = "") -> dict[str, Any]:
    """What a scenario saw. `skip_on`: where this stands in what it says of its failure, this kernel cannot run it."""
    done = subprocess.run(
        ["unshare", "-n", "-m", sys.executable, str(program), *(str(one) for one in args)],
        env={**os.environ, "PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}"},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode and skip_on and skip_on in done.stderr:
        pytest.skip(f"this kernel: {skip_on}")
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-4000:]}"
    return dict(json.loads(done.stdout))

"""Three daemons in namespaces of their own: they join, a service grows by its load, the leader's host dies, its tasks run elsewhere.

The steps are those of `tools/swarm-demo`, which waits for each and fails where one doesn't come.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "tools" / "swarm-demo"
missing = [name for name in ("busybox", "etcd", "ip", "nsenter", "curl") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]


def test_a_dead_nodes_tasks_run_elsewhere_and_nothing_is_left(tmp_path: Path) -> None:
    base = tmp_path / "demo"
    name = f"scowt-demo-{os.getpid()}"  # somebody else's demo may be under way
    env = {**os.environ, "SWARM_DEMO": str(base), "SWARM_DEMO_NAME": name}
    done = subprocess.run([DEMO], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "6/6" in done.stdout
    assert re.search(r"noticed after \d+ ms, six tasks run again \d+ ms later", done.stdout), done.stdout[-3000:]
    assert not base.exists()
    assert name not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout

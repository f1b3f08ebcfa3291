"""scowd killed in the middle of a build: the step ends, nothing is left of it, and the cache is as good as before."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.engine import Engine, until

FILE = """FROM busybox
COPY f /f
RUN cat /proc/sys/kernel/random/uuid >/u
RUN --mount=type=cache,target=/c --mount=type=secret,id=s sleep 7531
"""
CLASSIC = "FROM busybox\nRUN sleep 7531\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    if shutil.which("docker") is None or subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode:
        pytest.skip("needs docker with its buildx plugin")
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "f").write_text("1")
    (folder / "Dockerfile").write_text(FILE)
    return folder


def sleeping() -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if b"sleep\x007531" in (entry / "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


def leftovers(engine: Engine) -> list[str]:
    snapshots = {path.name for path in (engine.data / "snapshots").iterdir()}
    places = [f"run/build/{path.name}" for path in (engine.run / "build").iterdir() if path.name != "empty"]
    bundles = [path.name for path in (engine.run / "bundles").iterdir()]
    mounts = [line for line in engine.mounts() if "/build/" in line]
    return [*places, *bundles, *mounts, *(["no snapshots"] if not snapshots else [])]


def test_a_build_that_was_killed_leaves_nothing_and_goes_on_from_its_last_step(engine: Engine, context: Path, tmp_path: Path) -> None:
    engine.busybox()
    socket = {"DOCKER_HOST": f"unix://{engine.socket}", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "S": "x"}
    command = ["docker", "buildx", "build", "--secret", "id=s,env=S", "-t", "killed", str(context)]
    with (tmp_path / "out").open("wb") as out, subprocess.Popen(command, env=socket, stdout=out, stderr=out) as client:
        until(sleeping, what="the step of the build")
        engine.restart(9)
        client.wait(60)
    until(lambda: not sleeping(), what="the end of the step")
    until(lambda: not leftovers(engine), what="nothing left of the build")
    (context / "Dockerfile").write_text(FILE.replace("sleep 7531", "cat /u"))
    done = engine.docker("buildx", "build", "--progress=plain", "--secret", "id=s,env=S", "-t", "killed", str(context), env={"S": "x"})
    assert done.stderr.decode().count("CACHED") >= 2
    engine.docker("builder", "prune", "-af")
    assert engine.api("GET", "/system/df?type=build-cache").json["BuildCache"] == []


def test_the_step_of_a_classic_build_that_was_killed_is_removed_by_the_next_start(engine: Engine, context: Path, tmp_path: Path) -> None:
    engine.busybox()
    (context / "Dockerfile").write_text(CLASSIC)
    env = {"DOCKER_HOST": f"unix://{engine.socket}", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    command = ["docker", "build", "--no-cache", str(context)]
    with (
        (tmp_path / "out").open("wb") as out,
        subprocess.Popen(command, env={**env, "DOCKER_BUILDKIT": "0"}, stdout=out, stderr=out) as client,
    ):
        until(sleeping, what="the step of the build")
        engine.restart(9)
        client.wait(60)
    until(lambda: not sleeping(), what="the end of the step")
    until(lambda: engine.api("GET", "/containers/json?all=1").json == [], what="no container of the build")
    until(lambda: not leftovers(engine), what="nothing left of the build")
    (context / "Dockerfile").write_text("FROM busybox\nRUN exit 3\n")
    engine.docker("build", "--no-cache", str(context), check=False, env={"DOCKER_BUILDKIT": "0"})
    kept = [row["Id"] for row in engine.api("GET", "/containers/json?all=1").json]
    engine.restart(9)
    assert kept and [row["Id"] for row in engine.api("GET", "/containers/json?all=1").json] == kept  # Docker keeps a step that failed

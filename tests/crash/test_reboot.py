"""The host dies: /run is empty, the kernel knows nothing. And an engine without live restore."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.helpers import SERVER, SLEEPER, gone, output, ready, state
from tests.support.engine import Engine, can_run, until
from tests.support.storm import leaks, served

pytestmark = pytest.mark.skipif(can_run() != "", reason=can_run())


def reboot(engine: Engine, *flags: str) -> None:
    """Everything dies at once; what a host's boot would empty is empty; scowd starts."""
    pids = [row["State"]["Pid"] for row in map(engine.inspect, [c["Id"] for c in engine.api("GET", "/containers/json").json])]
    keeper = engine.keeper_pid
    engine.kill()
    for pid in [keeper, *pids]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: all(gone(pid) for pid in [keeper, *pids] if pid), 60, "the end of all")
    holder, engine._holder = engine._holder, None
    assert holder is not None
    holder.kill()
    holder.communicate()
    env = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    subprocess.run(["ip", "netns", "del", engine.name], check=True, env=env, capture_output=True)
    until(lambda: not _unmountable(engine.run), 60, "an empty run directory")
    for folder in engine.cgroups():
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    # `_prepare` makes the state directory: keep the state aside meanwhile
    aside = engine.dir.with_name(engine.dir.name + ".aside")
    engine.dir.rename(aside)
    engine._prepare()
    for entry in aside.iterdir():
        entry.rename(engine.dir / entry.name)
    aside.rmdir()
    engine.start(*flags)


def _unmountable(path: Path) -> list[str]:
    shutil.rmtree(path, ignore_errors=True)
    return [str(entry) for entry in path.iterdir()] if path.exists() else []


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine of the test's own."""
    found = Engine()
    try:
        found.start()
        found.busybox()
        yield found
        found.clean()
        assert leaks(found) == []
    except BaseException:
        found.close()
        raise
    assert found.close() == []


def test_a_reboot_starts_what_policies_want(engine: Engine) -> None:
    assert engine.api("POST", "/networks/create", {"Name": "crash-net"}).status == 201
    policies = {"always": {"Name": "always"}, "unless": {"Name": "unless-stopped"}, "no": {"Name": "no"}}
    refs = {name: engine.container("sh", "-c", SLEEPER, name=name, HostConfig={"RestartPolicy": p}) for name, p in policies.items()}
    always = {"Name": "always"}
    refs["stopped"] = engine.container("sh", "-c", SLEEPER, name="stopped", HostConfig={"RestartPolicy": {"Name": "unless-stopped"}})
    refs["once"] = engine.container("sh", "-c", SLEEPER, name="once", HostConfig={"AutoRemove": True})
    hosted = {
        "RestartPolicy": always,
        "NetworkMode": "crash-net",
        "PortBindings": {"80/tcp": [{"HostPort": "18081"}]},
        "Binds": ["crash-vol:/data"],
    }
    script = f"echo kept >> /data/file; {SERVER}"
    server = engine.container("sh", "-c", script, name="server", ExposedPorts={"80/tcp": {}}, HostConfig=hosted)
    created = engine.create("sh", "-c", SLEEPER, name="created")
    for ref in (*refs.values(), server):
        ready(engine, ref)
    until(lambda: served(engine, 18081), 60, "an answer")
    assert engine.api("POST", f"/containers/{refs['stopped']}/stop?t=60").status == 204
    pids = {name: state(engine, ref)["Pid"] for name, ref in refs.items()}

    reboot(engine)

    for name in ("always", "unless"):
        until(lambda name=name: state(engine, refs[name])["Running"], 60, f"the start of {name}")
        assert state(engine, refs[name])["Pid"] != pids[name]
        ready(engine, refs[name])
    until(lambda: served(engine, 18081), 60, "an answer after the reboot")
    assert state(engine, refs["no"])["Status"] == "exited"
    assert state(engine, refs["no"])["Pid"] == 0
    now = state(engine, refs["stopped"])
    assert (now["Status"], now["ExitCode"]) == ("exited", 3)
    assert state(engine, created)["Status"] == "created"
    until(lambda: engine.api("GET", f"/containers/{refs['once']}/json").status == 404, 60, "the removal of --rm")
    assert output(engine, refs["no"]) == b"ready\n"
    assert output(engine, refs["always"]) == b"ready\nready\n"
    for ref in (refs["no"], refs["stopped"], created):
        assert engine.api("POST", f"/containers/{ref}/start").status == 204
    key = engine.api("POST", f"/containers/{server}/exec", {"AttachStdout": True, "Cmd": ["cat", "/data/file"]}).json["Id"]
    assert engine.api("POST", f"/exec/{key}/start", {"Detach": False}).body.count(b"kept") == 2


def test_without_live_restore_containers_end_with_the_daemon(engine: Engine) -> None:
    always = engine.container("sh", "-c", SLEEPER, HostConfig={"RestartPolicy": {"Name": "always"}})
    plain = engine.container("sh", "-c", SLEEPER)
    pids = [ready(engine, ref) for ref in (always, plain)]
    engine.kill()
    engine.start("--live-restore=false")
    # started over ones that live: they are ended, policies act
    until(lambda: gone(pids[1]), 60, "the end of the plain one")
    assert state(engine, plain)["Status"] == "exited"
    until(lambda: state(engine, always)["Pid"] not in (0, pids[0]), 60, "a start by policy")
    assert engine.api("POST", f"/containers/{plain}/start").status == 204
    ready(engine, plain)
    until(lambda: output(engine, always).count(b"ready") == 2, 60, "a trap")
    until(lambda: output(engine, plain).count(b"ready") == 2, 60, "a trap")
    pids = [int(state(engine, ref)["Pid"]) for ref in (always, plain)]
    keeper = engine.keeper_pid
    engine.stop()
    assert all(gone(pid) for pid in pids)
    until(lambda: gone(keeper), 60, "the keeper's end")
    engine.start("--live-restore=false")
    now = state(engine, plain)
    assert (now["Status"], now["ExitCode"]) == ("exited", 3)
    until(lambda: state(engine, always)["Running"], 60, "a start by policy")

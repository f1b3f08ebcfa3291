"""The docker CLI as its users use it: intent, steps, what they see."""

import io
import json
import re
import tarfile
import time
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.engine import until
from tests.support.http import Client

SLEEP = ("busybox", "sleep", "1000")


def test_a_service_is_run_watched_and_ended(docker: Cli) -> None:
    script = "trap 'exit 4' TERM; echo out; echo err >&2; while :; do sleep 0.05; done"
    made = docker("run", "-d", "--name", "svc", "-l", "tier=web", "-e", "COLOUR=red", "busybox", "sh", "-c", script).out
    assert re.fullmatch(r"[0-9a-f]{64}", made)
    assert docker("ps", "--filter", "label=tier=web", "--format", "{{.Names}} {{.Image}} {{.State}}").out == "svc busybox running"
    until(lambda: (docker("logs", "svc").out, docker("logs", "svc").err) == ("out", "err"), what="the output")
    assert docker("logs", "-t", "--tail", "1", "svc").code == 0
    assert docker("exec", "svc", "sh", "-c", "echo $COLOUR; exit 7", code=7).out == "red"
    assert docker("exec", "-i", "-w", "/tmp", "svc", "sh", "-c", "pwd; cat", stdin=b"through").out == "/tmp\nthrough"
    assert docker("top", "svc").lines[0].split()[0] == "UID"
    assert docker("inspect", "-f", '{{.State.Running}} {{index .Config.Labels "tier"}}', "svc").out == "true web"
    refused = docker("rm", "svc", code=1).err
    assert "container is running: stop the container before removing or force remove" in refused
    docker("pause", "svc")
    assert docker("ps", "--filter", "name=svc", "--format", "{{.Status}}").out.endswith("(Paused)")
    docker("unpause", "svc")
    docker("rename", "svc", "svc2")
    docker("stop", "svc2")
    assert docker("wait", "svc2").out == "4"
    assert docker("ps", "-a", "--filter", "name=svc2", "--format", "{{.Status}}").out.startswith("Exited (4) ")
    docker("restart", "svc2")
    assert docker("inspect", "-f", "{{.State.Status}}", "svc2").out == "running"
    assert docker("rm", "-f", "svc2").out == "svc2"
    assert docker("ps", "-aq", "--filter", "name=svc2").out == ""


@pytest.mark.parametrize(
    ("args", "code", "gist"),
    [
        (["run", "--rm", "busybox", "sh", "-c", "exit 3"], 3, ""),
        (["run", "--rm", "busybox", "nosuch"], 127, "executable file not found"),
        (["run", "--rm", "busybox", "/etc"], 126, "permission denied|is a directory"),
        (["run", "--rm", "--no-such-flag", "busybox"], 125, "unknown flag: --no-such-flag"),
        (["run", "--rm", "--pull", "never", "nosuch:1"], 125, "No such image: nosuch:1"),
        (["run", "--rm", "-m", "1k", "busybox"], 125, "Minimum memory limit allowed is 6MB"),
        (["run", "--rm", "--cap-add", "NOSUCH", "busybox"], 125, 'invalid CapAdd: unknown capability: "CAP_NOSUCH"'),
        (["run", "--rm", "--log-driver", "nosuch", "busybox"], 125, 'error looking up logging plugin nosuch: plugin "nosuch" not found'),
        (["save", "nosuch"], 1, "No such image: nosuch$"),
        (["start", "nosuch"], 1, "No such container: nosuch"),
        (["exec", "nosuch", "true"], 1, "No such container: nosuch"),
        (["inspect", "nosuch"], 1, "No such object: nosuch"),
        (["network", "rm", "bridge"], 1, "pre-defined network"),
        (["volume", "inspect", "nosuch"], 1, "no such volume"),
    ],
)
def test_exit_codes_and_sentences(docker: Cli, args: list[str], code: int, gist: str) -> None:
    assert re.search(gist, docker(*args, code=code).err)


def test_files_go_in_and_out_and_show_as_changes(docker: Cli, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello")
    docker("create", "--name", "files", "busybox", "sh", "-c", "cat /srv/note; echo more >> /srv/note; rm /etc/group")
    docker("cp", str(tmp_path), "files:/srv")
    assert docker("start", "-a", "files").out == "hello"
    docker("cp", "files:/srv/note", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "hellomore\n"
    with tarfile.open(fileobj=io.BytesIO(docker("cp", "files:/srv/.", "-").raw)) as tar:
        assert "./note" in tar.getnames() or "note" in tar.getnames()
    assert {"A /srv", "A /srv/note", "C /etc", "D /etc/group"} <= set(docker("diff", "files").lines)
    docker("rm", "files")


def test_images_are_made_moved_and_removed(docker: Cli, tmp_path: Path) -> None:
    docker("run", "--name", "maker", "busybox", "sh", "-c", "echo made > /made")
    image = docker("commit", "-m", "a file", "-c", 'CMD ["cat","/made"]', "maker", "made:1").out
    assert docker("run", "--rm", "made:1").out == "made"
    assert docker("history", "--format", "{{.Comment}}", "made:1").lines[0] == "a file"
    docker("tag", "made:1", "made:2")
    docker("save", "-o", str(tmp_path / "made.tar"), "made:1", "made:2")
    assert docker("rmi", "made:1", "made:2").lines[:3] == ["Untagged: made:1", "Untagged: made:2", f"Deleted: {image}"]
    assert set(docker("load", "-i", str(tmp_path / "made.tar")).lines) == {"Loaded image: made:1", "Loaded image: made:2"}
    assert docker("inspect", "-f", "{{.Id}}", "made:2").out == image
    assert docker("image", "inspect", "-f", "{{.Metadata.LastTagTime}}", "made:2").out.startswith("0001-01-01")
    flat = docker("import", "-c", "ENV A=b", "-", "flat", stdin=docker("export", "maker").raw).out
    assert docker("run", "--rm", "flat", "sh", "-c", "cat /made; echo $A").out == "made\nb"
    assert docker("images", "-q", "--no-trunc", "flat").out == flat
    docker("rm", "maker")
    docker("rmi", "made:1", "made:2", "flat")
    assert docker("images", "--format", "{{.Repository}}").out == "busybox"


def test_a_forced_rmi_leaves_a_stopped_container_its_files(docker: Cli) -> None:
    docker("run", "--name", "seed", "busybox", "sh", "-c", "echo kept > /kept")
    image = docker("commit", "seed", "gone:1").out
    docker("create", "--name", "left", "gone:1", "cat", "/kept")
    assert "container" in docker("rmi", "gone:1", code=1).err
    assert docker("rmi", "-f", "gone:1").lines == ["Untagged: gone:1", f"Deleted: {image}"]
    assert docker("ps", "-a", "--no-trunc", "--filter", "name=left", "--format", "{{.Image}}").out == image
    assert docker("start", "-a", "left").out == "kept"
    docker("rm", "seed", "left")


def test_a_terminal_is_left_and_taken_up_again(docker: Cli) -> None:
    with docker.terminal("run", "-it", "--name", "tty", "busybox", "sh") as screen:
        screen.expect(b"# ")
        screen.type(b"echo $((40 + 2))\n")
        screen.expect(b"\r\n42\r\n")
        screen.type(b"\x10\x11")
        assert screen.wait() == 0
    assert docker("inspect", "-f", "{{.State.Running}}", "tty").out == "true"
    with docker.terminal("attach", "tty") as screen:
        screen.type(b"tty && exit 3\n")
        screen.expect(b"/dev/")
        assert screen.wait() == 3
    with docker.terminal("run", "--rm", "-it", "busybox", "sh", "-c", "stty size; read x; echo got $x") as screen:
        screen.type(b"word\n")
        screen.expect(b"got word")
        assert screen.wait() == 0
    docker("rm", "tty")


def test_containers_find_each_other_on_a_network(docker: Cli) -> None:
    docker("network", "create", "--label", "a=b", "--subnet", "10.77.0.0/24", "net")
    docker("run", "-d", "--name", "web", "--network", "net", "--network-alias", "www", "busybox", "httpd", "-f", "-h", "/etc")
    fetch = ["run", "--rm", "--network", "net", "busybox", "sh", "-c"]
    wget = "for i in $(seq 100); do wget -q -O - http://{}/passwd && exit 0; sleep 0.1; done; exit 1"
    for name in ("web", "www"):
        assert docker(*fetch, wget.format(name)).out.startswith("root:")
    assert docker("inspect", "-f", "{{.NetworkSettings.Networks.net.IPAddress}}", "web").out.startswith("10.77.0.")
    assert "has active endpoints" in docker("network", "rm", "net", code=1).err
    docker("network", "connect", "bridge", "web")
    assert docker("exec", "web", "ls", "/sys/class/net").out.split() == ["eth0", "eth1", "lo"]
    docker("network", "disconnect", "bridge", "web")
    docker("stop", "-t", "0", "web")
    docker("network", "rm", "net")  # at once: a stopped container doesn't hold it
    assert docker("network", "ls", "--filter", "label=a=b", "-q").out == ""
    docker("rm", "web")


def test_a_published_port_answers(docker: Cli) -> None:
    docker("run", "-d", "--name", "pub", "-p", "127.0.0.1:18080:80", "busybox", "httpd", "-f", "-h", "/etc")
    assert docker("port", "pub", "80").out == "127.0.0.1:18080"
    url = "http://127.0.0.1:18080/passwd"
    got = until(lambda: docker.engine.inside("busybox", "wget", "-q", "-O", "-", url).stdout, what="the port")
    assert got.startswith(b"root:")
    assert "port is already allocated" in docker("run", "--rm", "-p", "127.0.0.1:18080:80", "busybox", code=125).err
    docker("rm", "-f", "pub")


def test_data_outlives_its_container_in_a_volume(docker: Cli, tmp_path: Path) -> None:
    docker("volume", "create", "--label", "keep=yes", "data")
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo saved > /d/file")
    docker("run", "-d", "--name", "reader", "-v", "data:/d:ro", "-v", f"{tmp_path}:/host", *SLEEP)
    assert docker("exec", "reader", "cat", "/d/file").out == "saved"
    assert "Read-only file system" in docker("exec", "reader", "touch", "/d/x", code=1).err
    docker("exec", "reader", "sh", "-c", "echo hi > /host/f")
    assert (tmp_path / "f").read_text() == "hi\n"
    assert "volume is in use" in docker("volume", "rm", "data", code=1).err
    docker("rm", "-f", "reader")
    assert docker("volume", "ls", "-q", "--filter", "label=keep=yes").out == "data"
    assert docker("volume", "rm", "data").out == "data"
    docker("run", "--name", "anon", "-v", "/scratch", "busybox", "true")
    assert len(docker("volume", "ls", "-q").lines) == 1
    docker("rm", "-v", "anon")
    assert docker("volume", "ls", "-q").out == ""


def test_output_is_followed_to_the_end(docker: Cli) -> None:
    docker("run", "-d", "--name", "talk", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done")
    assert docker("logs", "-f", "talk").lines == [f"line {number}" for number in range(1, 6)]
    assert docker("logs", "--tail", "2", "talk").lines == ["line 4", "line 5"]
    docker("rm", "-f", "talk")


def test_events_of_a_short_life(docker: Cli) -> None:
    began = time.time()
    docker("run", "--rm", "--name", "brief", "-v", "briefly:/v", "busybox", "true")
    until(lambda: b'"destroy"' in Client(docker.engine.socket).get(f"/events?since={began:.9f}&until={time.time():.9f}").body)
    span = ["--since", f"{began:.9f}", "--until", f"{time.time():.9f}"]
    kinds = ["--filter", "type=container", "--filter", "type=network"]
    seen = docker("events", *span, *kinds, "--format", "{{.Type}} {{.Action}}").lines
    assert seen == [
        "container create",
        "container attach",
        "network connect",
        "container start",
        "network disconnect",
        "container die",
        "container destroy",
    ]
    full = docker("events", *span, "--filter", "event=die", "--format", "json").lines
    assert json.loads(full[0])["Actor"]["Attributes"]["exitCode"] == "0"
    docker("volume", "rm", "briefly")


def test_live_events_reach_a_listener(docker: Cli) -> None:
    with docker.background(
        "events", "--filter", "container=heard", "--filter", "event=die", "--format", "{{.Action}} {{.Actor.ID}}"
    ) as heard:
        until(lambda: json.loads(Client(docker.engine.socket).get("/info").body)["NEventsListener"] >= 1, what="the listener")
        made = docker("run", "-d", "--name", "heard", "busybox", "true").out
        assert heard.stdout is not None
        assert heard.stdout.readline().decode().split() == ["die", made]
    docker("rm", "heard")


def test_figures(docker: Cli) -> None:
    docker("run", "-d", "--name", "busy", "-m", "64m", "--cpus", "0.5", *SLEEP)
    row = json.loads(docker("stats", "--no-stream", "--format", "json", "busy").out)
    assert row["Name"] == "busy" and row["MemUsage"].endswith(" / 64MiB") and row["CPUPerc"].endswith("%")
    rows = [json.loads(line) for line in docker("system", "df", "--format", "json").lines]
    assert [row["Type"] for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert rows[1]["TotalCount"] == "1" and rows[1]["Active"] == "1"
    docker("update", "-m", "96m", "--memory-swap", "96m", "busy")
    assert docker("inspect", "-f", "{{.HostConfig.Memory}}", "busy").out == str(96 << 20)
    docker("rm", "-f", "busy")
    text = docker("info").out
    assert "runc version: crun" in text or "runc version: runc" in text
    assert "json-file" in text and "Storage Driver: overlay2" in text
    assert re.search(r"Server:.*Engine:", docker("version").out, re.DOTALL)


def test_health_and_restart(docker: Cli) -> None:
    check = ["--health-cmd", "test -e /ok", "--health-interval", "100ms", "--health-retries", "3"]
    docker("run", "-d", "--name", "sick", *check, "busybox", "sh", "-c", "touch /ok; sleep 1000")
    until(lambda: docker("inspect", "-f", "{{.State.Health.Status}}", "sick").out == "healthy", what="health", every=0.2)
    docker("rm", "-f", "sick")
    docker("run", "-d", "--name", "again", "--restart", "on-failure:2", "busybox", "false")
    until(lambda: docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "again").out == "exited 2", what="restarts", every=0.2)
    docker("rm", "again")


def test_prune_takes_what_nobody_uses(docker: Cli) -> None:
    stopped = docker("create", "busybox").out
    docker("network", "create", "unused")
    docker("volume", "create", "unused")
    docker("run", "-d", "--name", "stays", *SLEEP)
    out = docker("system", "prune", "-f").out
    assert stopped in out and "unused" in out and "Total reclaimed space" in out
    assert "unused" in docker("volume", "prune", "-f", "-a").out
    assert docker("ps", "-a", "--format", "{{.Names}}").out == "stays"
    docker("rm", "-f", "stays")


def test_the_classic_builder(docker: Cli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG V=1\nCOPY f /f\nRUN cat /f && echo to-stderr >&2\nRUN exit $V\n")
    (tmp_path / "f").write_text("from the context")
    env = {"DOCKER_BUILDKIT": "0"}
    failed = docker("build", "--build-arg", "V=42", "-t", "made", ".", cwd=tmp_path, code=42, env=env)
    assert "from the context" in failed.out
    assert "returned a non-zero code: 42" in failed.err
    done = docker("build", "--build-arg", "V=0", "-t", "made", ".", cwd=tmp_path, env=env)
    assert "Successfully tagged made:latest" in done.out
    assert docker("run", "--rm", "made", "cat", "/f").out == "from the context"
    docker("container", "prune", "-f")
    docker("rmi", "made")


@pytest.mark.parametrize("version", ["1.24", "1.40", "1.44"])
def test_older_clients(docker: Cli, version: str) -> None:
    env = {"DOCKER_API_VERSION": version}
    assert docker("version", "-f", "{{.Client.APIVersion}}", env=env).out == version
    assert docker("run", "--rm", "-i", "-v", "/old", "busybox", "cat", stdin=b"through", env=env).out == "through"
    docker("run", "-d", "--name", "old", "-p", "18083:80", "busybox", "sh", "-c", "echo out; sleep 1000", env=env)
    assert docker("ps", "--format", "{{.Names}} {{.Ports}}", env=env).out.startswith("old 0.0.0.0:18083->80/tcp")
    until(lambda: docker("logs", "old", env=env).out == "out", what="the output")
    assert docker("exec", "old", "sh", "-c", "exit 6", code=6, env=env).out == ""
    assert docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "old", env=env).out.startswith("172.")
    assert "busybox" in docker("images", "--format", "{{.Repository}}", env=env).lines
    assert "bridge" in docker("network", "ls", "--format", "{{.Name}}", env=env).lines
    assert docker("events", "--since", "1h", "--until", "0s", "--filter", "event=die", env=env).code == 0
    docker("rm", "-f", "-v", "old", env=env)
    assert docker("volume", "ls", "-q", env=env).out == ""
    assert docker("ps", "-aq", env=env).out == ""

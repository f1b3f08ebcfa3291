"""Scow beside a real dockerd (unpacked under /opt/trixie): the same calls, the same shapes, events, errors and exit codes."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli, docker_program
from tests.support.engine import BASE, Engine, busybox_tar, can_run, until
from tests.support.http import Client

DOCKERD = Path("/opt/trixie/root/usr/sbin/dockerd")
pytestmark = pytest.mark.slow


class Dockerd(Engine):
    """dockerd in place of scowd: what of Engine's use goes through the API works on it, too."""

    def start(self, *flags: str) -> "Dockerd":
        self._prepare()
        root = DOCKERD.parents[2]
        env = {**os.environ, "PATH": f"{root}/usr/bin:{root}/usr/sbin:{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
        script = 'for d in /run/docker /run/containerd; do mkdir -p $d; mount -t tmpfs tmpfs $d; done; exec "$@"'
        argv = [str(DOCKERD), "--data-root", str(self.data), "--exec-root", str(self.run), "--pidfile", str(self.dir / "pid")]
        argv += ["-H", f"unix://{self.socket}", "--cgroup-parent", f"/{self.name}", *flags]
        assert self._holder is not None
        inside = ["nsenter", "-t", str(self._holder.pid), "--net", "unshare", "-m", "sh", "-c", script, "sh", *argv]
        with (self.dir / "log").open("ab") as log:
            self._daemon = subprocess.Popen(inside, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)
        until(self._answers, 60, "an answer of dockerd")
        return self


@contextlib.contextmanager
def side_by_side() -> Iterator[tuple[Cli, Cli]]:
    """The docker CLI on dockerd and on scowd; skips where there is none."""
    if why := can_run():
        pytest.skip(why)
    program = docker_program()
    if program is None or not DOCKERD.exists():
        pytest.skip("needs the docker CLI and a dockerd under /opt/trixie")
    theirs, ours = Dockerd(), Engine()
    try:
        yield Cli(theirs.start(), program), Cli(ours.start(), program)
    finally:
        for engine in (theirs, ours):
            engine.close()
        for group in Path("/sys/fs/cgroup").glob(f"*/{theirs.name}"):
            with contextlib.suppress(OSError):
                group.rmdir()
        shutil.rmtree(BASE / theirs.name, ignore_errors=True)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cli, Cli]]:
    """Each with busybox and the same containers."""
    with side_by_side() as clis:
        for cli in clis:
            cli("import", "-c", 'CMD ["sh"]', "-", "busybox", stdin=busybox_tar())
            cli("network", "create", "--label", "a=b", "net")
            cli("volume", "create", "--label", "a=b", "data")
            cli("run", "-d", "--name", "one", "--network", "net", "-p", "18082:80", "-v", "data:/d", "-v", "/y", "busybox", "sleep", "1000")
            cli("run", "--name", "two", "busybox", "sh", "-c", "exit 3", code=3)
        yield clis


NEWER = {  # fields since API 1.46, which dockerd 26 doesn't have; SizeRw, which it leaves out when 0
    "ImageManifestDescriptor", "GwPriority", "Annotations", "FirewallBackend", "DefaultAddressPools", "DiscoveredDevices", "ProductLicense",
    "EnableIPv4", "Identity", "SizeRw",
}  # fmt: skip
OLDER = {  # gone from the newest API, or an accident of dockerd's
    "BridgeNfIptables", "BridgeNfIp6tables", "KernelMemoryTCP", "Expected", "AllowNondistributableArtifactsCIDRs", "Container",
    "AllowNondistributableArtifactsHostnames", "ContainerConfig",
}  # fmt: skip
FREE = {"stats", "pids_stats", "Runtimes", "Labels", "Mirrors", "IndexConfigs", "GraphDriver", "Components", "Platform"}


def shape(value: Any) -> Any:
    """The keys of a document and the kinds of its values; null is any kind."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items() if key not in NEWER | OLDER | FREE}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return None if value is None else type(value).__name__


def differences(theirs: Any, ours: Any, at: str = "") -> list[str]:
    if theirs in (None, [], {}) or ours in (None, [], {}):
        return []
    if isinstance(theirs, dict) and isinstance(ours, dict):
        missing = [f"{at}.{key} is {'missing' if key in theirs else 'new'}" for key in theirs.keys() ^ ours.keys()]
        return missing + [line for key in theirs.keys() & ours.keys() for line in differences(theirs[key], ours[key], f"{at}.{key}")]
    if isinstance(theirs, list) and isinstance(ours, list):
        return differences(theirs[0], ours[0], f"{at}[]")
    return [] if theirs == ours else [f"{at}: {theirs} != {ours}"]


@pytest.mark.parametrize(
    "path",
    [
        "/containers/one/json", "/containers/two/json", "/containers/json?all=1&size=1", "/images/busybox/json", "/images/json",
        "/images/busybox/history", "/volumes", "/volumes/data", "/networks/bridge", "/info", "/version", "/system/df",
        "/containers/one/stats?stream=0", "/containers/one/top", "/containers/one/changes",
    ],
)  # fmt: skip
def test_documents_have_the_same_shape(pair: tuple[Cli, Cli], path: str) -> None:
    theirs, ours = (cli.engine.api("GET", f"/v1.45{path}") for cli in pair)
    assert ours.status == theirs.status
    assert differences(shape(theirs.json), shape(ours.json)) == []


REFUSED = [
    "run --rm busybox nosuch", "run --rm busybox /etc", "run --rm -m 1k busybox", "run --rm --name one busybox", "run -p 18082:1 busybox",
    "run --rm -v nosuch/x:/y busybox", "run --rm --network nosuch busybox", "run --rm --user nosuch busybox", 
    "run --cap-add NOSUCH busybox",
    "run --sysctl bad=1 busybox", "run --memory-swappiness 101 busybox", "run --rm --restart always busybox", "run --ipc bad busybox",
    "run --pid container:nosuch busybox", "run --device /nosuch busybox", "run --mount type=bind,src=/nosuch,dst=/x busybox",
    "run --log-driver nosuch busybox", "run --log-opt bad=1 busybox", "run --ulimit nofile=5:1 busybox", "run --security-opt bad busybox",
    "exec two true", "exec nosuch true", "start nosuch", "kill two", "kill -s BAD one", "rm one", "rm nosuch",
    "rmi busybox", "rmi nosuch", "rename one two", "pause two", "unpause one", "cp one:/nosuch /tmp", "volume rm data", "volume rm nosuch",
    "volume create -d nosuch x", "network rm bridge", "network create bridge", "network create --subnet bad x",
    "network connect nosuch one", "network disconnect net two", "tag nosuch x", "save nosuch", "commit nosuch", "update -m 1k one",
    "top two", "port two 80", "inspect nosuch", "stats --no-stream nosuch", "container prune -f --filter bad=1",
]  # fmt: skip


def said(text: str) -> list[str]:
    """Error lines without ids and random names."""
    text = re.sub(r"[0-9a-f]{64}|[0-9a-f]{12}", "ID", text)
    text = re.sub(r"endpoint \w+ \(", "endpoint NAME (", text)
    return [line for line in text.splitlines() if "rror" in line]


@pytest.mark.parametrize("words", REFUSED)
def test_refusals_are_the_same(pair: tuple[Cli, Cli], words: str) -> None:
    theirs, ours = (cli(*words.split(), code=None) for cli in pair)
    assert ours.code == theirs.code, (ours.err, theirs.err)
    # the runtime below words its own errors: the beginning is the engine's
    mine, other = said(ours.err), said(theirs.err)
    assert len(mine) == len(other), (mine, other)
    for one, two in zip(mine, other, strict=True):
        head = two.partition(": failed to create task for container")[0]
        assert one.startswith(head) if head != two else one == two


def test_events_come_in_the_same_order(pair: tuple[Cli, Cli]) -> None:
    seen = []
    for cli in pair:
        began = time.time()
        cli("run", "--rm", "--name", "brief", "busybox", "true")
        cli("run", "-d", "--name", "held", "-v", "data:/d", "busybox", "sleep", "1000")
        cli("kill", "held")
        cli("start", "held")
        cli("rm", "-f", "held")
        query = f"/events?since={began:.9f}&until={{:.9f}}"
        client = Client(cli.engine.socket)
        until(lambda client=client, query=query: client.get(query.format(time.time())).body.count(b'"destroy"') >= 4, what="the events")
        kinds = ["--filter", "type=container", "--filter", "type=network"]
        lines = cli("events", "--since", f"{began:.9f}", "--until", f"{time.time():.9f}", *kinds, "--format", "{{.Type}} {{.Action}}").lines
        seen.append(lines)
    assert seen[1] == seen[0]

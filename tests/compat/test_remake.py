"""`scow inspect --format run`: the line makes the same container again, on a real engine."""

import json
import shlex
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.engine import Engine

LINES = [
    "busybox sleep 1000",
    "-i -t -h inside --init -e PASSWORD=geheim -e 'A=b c' -l x=y -u 1000:1000 -w /tmp busybox cat",
    "-p 18095:80 -p 127.0.0.1::90/udp --expose 9 -v remade:/v:ro -v /anon --tmpfs /u:size=1m busybox sleep 1000",
    "--mount type=bind,source=/tmp,target=/b,readonly --mount type=tmpfs,target=/t,tmpfs-size=1048576 busybox sleep 1000",
    "--network remade --network-alias q --ip 10.66.0.9 --dns 1.1.1.1 --add-host a:1.2.3.4 busybox sleep 1000",
    "-m 64m --memory-swap 128m --cpus 0.5 --pids-limit 50 --shm-size 1m --ulimit nofile=100:200 busybox sleep 1000",
    "--restart on-failure:3 --oom-score-adj 5 --cap-add NET_ADMIN --cap-drop CHOWN --read-only busybox sleep 1000",
    "--security-opt no-new-privileges --sysctl net.ipv4.ip_forward=1 --device /dev/null busybox sleep 1000",
    "--log-driver local --log-opt max-size=1m --annotation a=b --stop-signal INT --stop-timeout 3 --group-add 5 busybox sleep 1000",
    "--entrypoint /bin/sleep busybox 1000",
    "--health-cmd 'test -e \"/x y\"' --health-interval 30s --health-retries 2 --ipc host --uts host busybox sh -c 'sleep 1000 # it'\\''s'",
    "--no-healthcheck -P --network none --pid host --privileged busybox sleep 1000",
]
# what no command line decides
_CHANGING = {
    *(
        "Id",
        "Created",
        "State",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "GraphDriver",
        "Storage",
        "ImageManifestDescriptor",
    ),
    *("EndpointID", "SandboxID", "SandboxKey", "MacAddress", "DNSNames", "IPAddress", "IPPrefixLen", "GlobalIPv6Address", "Gateway"),
}


def _plain(value: Any, short: str) -> Any:
    """The document without what changes from one container to the next: ids, times, addresses and names given by the engine."""
    if isinstance(value, dict):
        return {key: _plain(one, short) for key, one in value.items() if key not in _CHANGING}
    if isinstance(value, list):
        return [_plain(one, short) for one in value]
    return "SELF" if value == short else value


def _document(scow: Cli) -> Any:
    found = json.loads(scow("inspect", "remade").out)[0]
    plain = _plain(found, found["Id"][:12])
    for mount in plain["Mounts"]:
        if len(mount.get("Name") or "") == 64:  # anonymous
            mount["Name"] = mount["Source"] = "ANONYMOUS"
    plain["NetworkSettings"]["Ports"] = sorted(plain["NetworkSettings"]["Ports"] or {})  # some are the engine's choice
    return plain


@pytest.mark.parametrize("line", LINES)
def test_the_line_makes_the_same_container(scow: Cli, engine: Engine, line: str) -> None:
    if "--network remade" in line and engine.api("GET", "/networks/remade").status != 200:
        scow("network", "create", "--subnet", "10.66.0.0/24", "remade")
    scow("run", "-d", "--name", "remade", *shlex.split(line))
    try:
        before = _document(scow)
        made = scow("inspect", "--format", "run", "--show-secrets", "remade").out
        scow("rm", "-f", "-v", "remade")
        words = shlex.split(made)
        assert words[:2] == ["scow", "run"], made
        scow(*words[1:])
        assert _document(scow) == before, made
    finally:
        scow("rm", "-f", "-v", "remade", code=None)


def test_secrets_are_shown_to_who_asks(scow: Cli, engine: Engine) -> None:
    scow("create", "--name", "remade", "-e", "DB_PASSWORD=geheim", "-e", "COLOR=red", "busybox")
    try:
        assert "geheim" not in scow("inspect", "--format", "run", "remade").out
        assert "COLOR=red" in scow("inspect", "--format", "run", "remade").out
        assert "DB_PASSWORD=geheim" in scow("inspect", "--format", "run", "--show-secrets", "remade").out
    finally:
        scow("rm", "remade")

"""The request that run's flags make."""

import pytest

from scow.cli.commands.container import request
from scow.cli.flags import UsageError, parse
from scow.errors import ScowError


def build(*argv, env=None):
    options, args = parse(request.FLAGS, list(argv), interspersed=False)
    return request.build(options, args, (env or {}).get)


def test_plain():
    body = build("busybox", "ls", "-l")
    assert body["Image"] == "busybox" and body["Cmd"] == ["ls", "-l"]
    assert body["AttachStdout"] and body["AttachStderr"] and not body["AttachStdin"]
    assert body["HostConfig"] == {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "NetworkMode": "default"}


def test_many_flags(tmp_path):
    (tmp_path / "env").write_text("# c\nA=1\nHOME\nB= x \n")
    body = build(
        "-it",
        "--env-file",
        str(tmp_path / "env"),
        "-e",
        "C",
        "-p",
        "127.0.0.1:80-81:8080-8081/udp",
        "--expose",
        "9",
        "-v",
        "/a:/b:ro",
        "-v",
        "/anon",
        "--tmpfs",
        "/t:size=1m",
        "-m",
        "10m",
        "--memory-swap",
        "-1",
        "--cpus",
        "1.5",
        "--network",
        "name=n,alias=x,ip=1.2.3.4",
        "--network",
        "m",
        "--rm",
        "--entrypoint",
        "",
        "--health-cmd",
        "true",
        "--health-interval",
        "5s",
        "--ulimit",
        "nofile=1:2",
        "--device",
        "/dev/null:/dev/x:r",
        "--init",
        "--add-host",
        "a:1.2.3.4",
        "--label",
        "l=1",
        "--sysctl",
        "net.b=1",
        "--mount",
        "type=bind,src=/s,dst=/d,ro,bind-propagation=rshared",
        "--gpus",
        "all",
        "--stop-timeout",
        "3",
        "--log-driver",
        "json-file",
        "--log-opt",
        "max-size=1m",
        "--cap-add",
        "NET_ADMIN",
        "i",
        env={"HOME": "/h", "C": "3"},
    )
    host = body["HostConfig"]
    assert body["Env"] == ["A=1", "HOME=/h", "B= x ", "C=3"]
    assert host["PortBindings"] == {
        "8080/udp": [{"HostIp": "127.0.0.1", "HostPort": "80"}],
        "8081/udp": [{"HostIp": "127.0.0.1", "HostPort": "81"}],
    }
    assert set(body["ExposedPorts"]) == {"8080/udp", "8081/udp", "9/tcp"}
    assert host["Binds"] == ["/a:/b:ro"] and body["Volumes"] == {"/anon": {}} and host["Tmpfs"] == {"/t": "size=1m"}
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["AutoRemove"], host["Init"]) == (
        10 << 20,
        -1,
        1_500_000_000,
        True,
        True,
    )
    assert host["NetworkMode"] == "n"
    assert body["NetworkingConfig"]["EndpointsConfig"] == {"n": {"Aliases": ["x"], "IPAMConfig": {"IPv4Address": "1.2.3.4"}}, "m": {}}
    assert body["Entrypoint"] == [""] and body["StdinOnce"] and body["StopTimeout"] == 3
    assert body["Healthcheck"]["Test"] == ["CMD-SHELL", "true"] and body["Healthcheck"]["Interval"] == 5 * 10**9
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1, "Hard": 2}]
    assert host["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}]
    assert host["Mounts"] == [{"Type": "bind", "Source": "/s", "Target": "/d", "ReadOnly": True, "BindOptions": {"Propagation": "rshared"}}]
    assert host["DeviceRequests"][0]["Count"] == -1 and host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (
            (
                "-p",
                "x:80",
            ),
            "invalid hostPort: x",
        ),
        (
            (
                "-p",
                "99999",
            ),
            "invalid containerPort: 99999",
        ),
        (
            (
                "-a",
                "foo",
            ),
            "valid streams",
        ),
        (("--mount", "dst"), "invalid field 'dst' must be a key=value pair"),
        (("--mount", "type=bind"), "target is required"),
        (("--restart", "always", "--rm"), "conflicting options"),
        (("--restart", "on-failure:x"), "maximum retry count must be an integer"),
        (("--no-healthcheck", "--health-cmd", "x"), "--no-healthcheck conflicts"),
        (("--env-file", "/nonexistent"), "no such file or directory"),
        (("--network", "a", "--network", "a"), "specified multiple times"),
        (("--gpus", "x=1"), "unexpected key"),
        (("--device", "a:b:c:d"), "invalid device"),
        (("--memory-swappiness", "101"), "range is 0-100"),
        (("--sysctl", "a"), "is not allowed"),
        (("--security-opt", "seccomp=/nonexistent"), "seccomp profile"),
        (("--add-host", "a:b"), "invalid IP"),
        (("--device-read-bps", "/dev/x:y"), "invalid rate"),
        (("-e", "=x"), "invalid environment variable"),
    ],
)
def test_refused(argv, error):
    with pytest.raises((UsageError, ScowError), match=error):
        build(*argv, "busybox")

"""The run command of a container: built from its document, parsed again, the same request."""

import shlex

import pytest

from scow.cli import flags
from scow.cli.commands.container import request
from scow.cli.commands.container.run import RUN
from scow.cli.runline import quoted, secret, text, words

IMAGE = {"Env": ["A=b"], "Cmd": ["sh"], "Entrypoint": None, "Labels": {"l": "m"}, "ExposedPorts": {"81/tcp": {}}}
INFO = {"CgroupVersion": "2", "DefaultRuntime": "runc", "LoggingDriver": "json-file"}


def _request(line):
    options, args = flags.parse(RUN.flags, line, interspersed=False)
    return request.build(options, args, lambda name: None)


def _container(line):
    """What inspect would say of a container made by that line."""
    body = _request(line)
    host = body.pop("HostConfig")
    ends = (body.pop("NetworkingConfig", None) or {}).get("EndpointsConfig") or {"bridge": {}}
    body.update({"AttachStdout": False, "AttachStderr": False})
    body["Env"] = [*IMAGE["Env"], *body.get("Env", [])]
    body["Labels"] = {**IMAGE["Labels"], **body.get("Labels", {})}
    body.setdefault("Cmd", IMAGE["Cmd"])
    return {"Id": "1" * 64, "Name": "/one", "Config": body, "HostConfig": host, "NetworkSettings": {"Networks": ends}}


@pytest.mark.parametrize(
    "line",
    [
        "busybox sleep 9",
        "-i -t --rm busybox",
        "-h host --init -e C=d -l x=y -u 1000 -w /tmp --domainname d busybox sleep 9",
        "-p 8080:80 -p 127.0.0.1::90/udp -p '[::1]:5:5' --expose 9 -v vol:/v:ro -v /anon --tmpfs /u:size=1m busybox true",
        "--mount type=bind,source=/a,target=/b,readonly,bind-propagation=rslave --mount type=tmpfs,target=/t,tmpfs-size=1m busybox true",
        "--mount type=volume,source=v,target=/v,volume-nocopy,volume-label=a=b,volume-driver=x,volume-opt=o=p busybox true",
        "--network name=back,alias=q,ip=10.7.0.9 --network other busybox true",
        "-m 64m --memory-swap -1 --cpus 0.75 --pids-limit 5 --shm-size 1m --ulimit nofile=1:2 --memory-swappiness 3 busybox true",
        "--restart on-failure:3 --oom-score-adj 5 --cap-add NET_ADMIN --cap-drop ALL --dns 1.1.1.1 --add-host a:1.2.3.4 busybox true",
        "--security-opt no-new-privileges --read-only --sysctl net.b=1 --log-driver local --log-opt max-size=1m --annotation a=b bb true",
        "--device /dev/null --device-read-bps /dev/a:1mb --blkio-weight-device /dev/a:100 --gpus all busybox true",
        "--pid host --ipc host --uts host --privileged --cgroupns host --userns host --runtime crun busybox true",
        "--entrypoint /bin/sleep busybox 9",
        "--entrypoint '' busybox sleep 9",
        "--health-cmd 'echo \"hi\"' --health-interval 3s --health-retries 2 --stop-signal INT --stop-timeout 3 busybox sh -c 'it'\\''s'",
        "--no-healthcheck -P --network none busybox true",
        "--network host busybox true",
    ],
)
def test_there_and_back(line):
    before = _container(shlex.split(line))
    made = shlex.split(text(words(before, IMAGE, INFO, True)))
    assert made[:2] == ["scow", "run"]
    after = _container(made[2:])
    assert after == {
        **before,
        "Config": {**before["Config"], **{key: after["Config"][key] for key in ("AttachStdin",) if key in after["Config"]}},
    }


def test_defaults_are_not_said():
    container = _container(["busybox"])
    container["HostConfig"].update({"IpcMode": "private", "CgroupnsMode": "private", "Runtime": "runc", "ShmSize": 64 * 1024 * 1024})
    container["HostConfig"]["LogConfig"] = {"Type": "json-file", "Config": {}}
    container["Config"]["Hostname"] = "1" * 12
    assert text(words(container, IMAGE, INFO)) == "scow run -d --name one busybox"


def test_secrets_are_masked():
    container = _container(["-e", "DB_PASSWORD=x y", "-e", "COLOUR=red", "busybox"])
    assert "-e 'DB_PASSWORD=***' -e COLOUR=red" in text(words(container, IMAGE, INFO))
    assert "-e 'DB_PASSWORD=x y'" in text(words(container, IMAGE, INFO, True))
    assert secret("api_key") and not secret("HOME")


def test_quoting():
    assert quoted("") == "''" and quoted("a b") == "'a b'" and quoted("it's") == "'it'\\''s'" and quoted("a=b:/c") == "a=b:/c"

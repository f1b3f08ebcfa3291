"""The OCI specification of a container."""

import os
from dataclasses import replace

import pytest

from scow.errors import InvalidArgument
from scow.kernel import caps
from scow.model.container import ContainerConfig, DeviceMapping, HostConfig, Ulimit
from scow.model.oci import SpecMount
from scow.runtime import spec
from scow.runtime.users import ResolvedUser

ALL = frozenset(caps.NAMES)
HOST = HostConfig(network_mode="bridge", ipc_mode="private", cgroupns_mode="private", shm_size=64 << 20)


def build(host=HOST, config=None, **kw):
    return spec.build(spec.SpecInput("c" * 64, config or ContainerConfig(), host, ["sh"], hostname="hh", bounding=ALL, **kw))


def mounts(doc):
    return {m["destination"]: m for m in doc["mounts"]}


def test_default_container_is_dockers():
    doc = build(netns="/run/netns/x")
    process, linux = doc["process"], doc["linux"]
    assert set(process["capabilities"]["effective"]) == set(caps.DEFAULT) and "ambient" not in process["capabilities"]
    assert process["env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=hh", "HOME=/"]
    assert {n["type"]: n.get("path") for n in linux["namespaces"]} == {
        "mount": None,
        "network": "/run/netns/x",
        "uts": None,
        "ipc": None,
        "pid": None,
        "cgroup": None,
    }
    assert (
        "/proc/kcore" in linux["maskedPaths"]
        and "/proc/sys" in linux["readonlyPaths"]
        and linux["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    )
    assert list(mounts(doc)) == ["/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"]
    assert "ro" in mounts(doc)["/sys"]["options"] and "size=67108864" in mounts(doc)["/dev/shm"]["options"]
    assert linux["cgroupsPath"] == "/docker/" + "c" * 64 and linux["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert linux["resources"]["devices"][0] == {"allow": False, "access": "rwm"} and not process["noNewPrivileges"]


def test_privileged():
    doc = build(replace(HOST, privileged=True))
    assert set(doc["process"]["capabilities"]["bounding"]) == ALL
    assert not {"seccomp", "maskedPaths", "readonlyPaths"} & set(doc["linux"])
    assert "rw" in mounts(doc)["/sys"]["options"] and doc["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


def test_another_user_has_only_the_bounding_set():
    process = build(user=ResolvedUser(1000, 1001, (1001, 5), "/home/u"))["process"]
    assert set(process["capabilities"]) == {"bounding"} and "HOME=/home/u" in process["env"]
    assert process["user"] == {"uid": 1000, "gid": 1001, "umask": 0o022, "additionalGids": [1001, 5]}


def test_namespaces_of_host_and_of_others():
    host = replace(HOST, network_mode="host", pid_mode="host", uts_mode="host", ipc_mode="container:x", cgroupns_mode="host")
    doc = build(host, joined={"ipc": "/proc/7/ns/ipc"}, shm="/some/shm")
    assert {n["type"]: n.get("path") for n in doc["linux"]["namespaces"]} == {"mount": None, "ipc": "/proc/7/ns/ipc"}
    assert "hostname" not in doc and not doc["linux"]["sysctl"] and mounts(doc)["/dev/shm"]["source"] == "/some/shm"
    assert "/dev/shm" not in mounts(build(replace(HOST, ipc_mode="none")))
    assert mounts(build(replace(HOST, ipc_mode="host")))["/dev/mqueue"]["type"] == "mqueue"  # also on hosts that mount none


def test_mounts_of_the_user_replace_the_engines_and_are_ordered_by_depth():
    own = [SpecMount("/a/b/c", "/1", "bind"), SpecMount("/a", "/2", "bind", ("rbind", "rslave")), SpecMount("/dev/shm", "/3", "bind")]
    doc = build(mounts=own)
    assert [m["source"] for m in doc["mounts"][-3:]] == ["/2", "/3", "/1"]
    assert [m["destination"] for m in doc["mounts"]].count("/dev/shm") == 1 and doc["linux"]["rootfsPropagation"] == "rslave"
    below = build(mounts=[SpecMount("/dev", "/dev", "bind")])
    assert "/dev/pts" not in mounts(below)


def test_environment_rules():
    assert spec.environment(["A=1", "HOSTNAME=me", "A=2", "PATH"], "h", True, "/root") == ["HOSTNAME=me", "TERM=xterm", "A=2", "HOME=/root"]
    assert "HOME=/x" in spec.environment(["HOME=/x"], "h", False, "/root")


def test_limits():
    host = replace(
        HOST,
        memory=64 << 20,
        memory_swap=128 << 20,
        nano_cpus=500_000_000,
        cpuset_cpus="0",
        pids_limit=20,
        cpu_shares=512,
        blkio_weight=300,
        ulimits=[Ulimit("nofile", 10, 20)],
        oom_score_adj=500,
    )
    doc = build(host)
    limits = doc["linux"]["resources"]
    assert (
        limits["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
        and limits["pids"] == {"limit": 20}
        and limits["blockIO"] == {"weight": 300}
    )
    assert limits["cpu"] == {"period": 100000, "quota": 50000, "shares": 512, "cpus": "0"}
    assert doc["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20}] and doc["process"]["oomScoreAdj"] == 500


def test_what_this_process_may_not_do_is_said_clearly(monkeypatch):
    monkeypatch.setattr(caps, "effective", frozenset)
    with pytest.raises(InvalidArgument, match="oom-score-adj"):
        build(replace(HOST, oom_score_adj=-1000))
    monkeypatch.setattr(spec.resource, "getrlimit", lambda number: (10, 10))
    with pytest.raises(InvalidArgument, match="hard limit of 10"):
        build(replace(HOST, ulimits=[Ulimit("nofile", 20, 20)]))


def test_devices():
    doc = build(replace(HOST, devices=[DeviceMapping("/dev/zero", "/dev/mine", "r")], device_cgroup_rules=["c 10:* rw"]))
    assert doc["linux"]["devices"][0] | {"fileMode": 0} == {
        "path": "/dev/mine",
        "type": "c",
        "major": 1,
        "minor": 5,
        "fileMode": 0,
        "uid": os.stat("/dev/zero").st_uid,
        "gid": os.stat("/dev/zero").st_gid,
    }
    assert doc["linux"]["resources"]["devices"][-2:] == [
        {"allow": True, "type": "c", "access": "r", "major": 1, "minor": 5},
        {"allow": True, "type": "c", "access": "rw", "major": 10},
    ]
    for bad in (DeviceMapping("/dev/none-such"), DeviceMapping("/dev/zero", "/dev/z", "q"), DeviceMapping("/etc/passwd")):
        with pytest.raises(InvalidArgument):
            build(replace(HOST, devices=[bad]))


def test_init_goes_in_front():
    doc = build(init=True, init_program="/usr/bin/true")
    assert doc["process"]["args"] == ["/sbin/docker-init", "--", "sh"] and mounts(doc)["/sbin/docker-init"]["source"] == "/usr/bin/true"


def test_terminal_size_and_security_options():
    doc = build(replace(HOST, console_size=[33, 101], security_opt=["no-new-privileges", "seccomp=unconfined"]), ContainerConfig(tty=True))
    assert (
        doc["process"]["consoleSize"] == {"height": 33, "width": 101}
        and doc["process"]["noNewPrivileges"]
        and "seccomp" not in doc["linux"]
    )
    assert "TERM=xterm" in doc["process"]["env"]


def test_cgroup_parent():
    assert spec.cgroup_path("x", replace(HOST, cgroup_parent="../up")) == "/up/x"
    assert build(replace(HOST, cgroup_parent="/mine"))["linux"]["cgroupsPath"] == "/mine/" + "c" * 64

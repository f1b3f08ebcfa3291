"""What is refused before a container is made."""

import pytest

from scow.errors import InvalidArgument
from scow.model.container import (
    ContainerConfig,
    DeviceMapping,
    DeviceRequest,
    HealthConfig,
    HostConfig,
    PortBinding,
    RestartPolicy,
    ThrottleDevice,
    Ulimit,
)
from scow.runtime import checks, resources

MB = 1 << 20


@pytest.mark.parametrize(
    ("host", "gist"),
    [
        ({"memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"memory": 64 * MB, "memory_swap": 32 * MB}, "memoryswap"),
        ({"memory_swap": 64 * MB}, "You should always set the Memory limit"),
        ({"memory": 64 * MB, "memory_reservation": 128 * MB}, "reservation"),
        ({"memory_reservation": 1024}, "reservation"),
        ({"memory_swappiness": 101}, "swappiness"),
        ({"nano_cpus": 10**15}, "CPUs"),
        ({"nano_cpus": -1}, "CPUs"),
        ({"nano_cpus": 10**9, "cpu_quota": 50000}, "Conflicting options: Nano CPUs and CPU Quota"),
        ({"nano_cpus": 10**9, "cpu_period": 50000}, "Conflicting options: Nano CPUs and CPU Period"),
        ({"cpu_period": 10}, "period"),
        ({"cpu_quota": 10}, "quota"),
        ({"cpuset_cpus": "9999"}, "cpus"),
        ({"cpuset_cpus": "0,nonsense"}, "Invalid value 0,nonsense for cpuset cpus: invalid format: 0,nonsense"),
        ({"cpu_realtime_period": 1000, "cpu_realtime_runtime": 2000}, "cpu real-time runtime cannot be higher than cpu real-time period"),
        ({"io_maximum_iops": 5}, "linux does not support configuration of maximum IOPs"),
        ({"memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"cpuset_mems": "99"}, "memory nodes"),
        ({"oom_score_adj": 2000}, "oom score adj"),
        ({"shm_size": -1}, "SHM size can not be less than 0"),
        ({"blkio_weight": 5}, "blkio weight"),
        ({"ipc_mode": "nonsense"}, "IPC"),
        ({"pid_mode": "nonsense"}, "PID"),
        ({"uts_mode": "nonsense"}, "UTS"),
        ({"cgroupns_mode": "x"}, "cgroup"),
        ({"userns_mode": "x"}, "userns"),
        ({"pid_mode": "container:"}, "PID"),
        ({"network_mode": "container:"}, "container format"),
        ({"auto_remove": True, "restart_policy": RestartPolicy("always")}, "can't create 'AutoRemove' container with restart policy"),
        ({"restart_policy": RestartPolicy("odd")}, "unknown policy 'odd'"),
        ({"restart_policy": RestartPolicy("always", 3)}, "maximum retry count"),
        ({"restart_policy": RestartPolicy("on-failure", -1)}, "cannot be negative"),
        ({"cap_add": ["NONSENSE"]}, "NONSENSE"),
        ({"security_opt": ["nonsense"]}, "invalid --security-opt 1"),
        ({"security_opt": ["nonsense=1"]}, "invalid --security-opt 2"),
        ({"security_opt": ["seccomp={"]}, "seccomp"),
        ({"security_opt": ["no-new-privileges=maybe"]}, "security-opt"),
        ({"sysctls": {"kernel.panic": "1"}}, "not in a separate kernel namespace"),
        ({"sysctls": {"nonsense.key": "1"}}, "namespace"),
        ({"sysctls": {"net.core.somaxconn": "1"}, "network_mode": "host"}, "host network"),
        ({"sysctls": {"kernel.shm_rmid_forced": "1"}, "ipc_mode": "host"}, "ipc"),
        ({"sysctls": {"net/../kernel/panic": "1"}}, "namespace"),
        ({"ulimits": [Ulimit("nonsense", 1, 1)]}, "ulimit"),
        ({"ulimits": [Ulimit("nofile", 200, 100)]}, "soft limit"),
        ({"device_cgroup_rules": ["nonsense"]}, "device cgroup rule"),
        ({"devices": [DeviceMapping("/dev/zero", "/dev/z", "q")]}, "device mode"),
        ({"devices": [DeviceMapping("/dev/zero", "rel", "r")]}, "absolute"),
        ({"device_requests": [DeviceRequest(capabilities=[["gpu"]])]}, "gpu"),
        ({"port_bindings": {"80/odd": [PortBinding()]}}, "invalid port"),
        ({"port_bindings": {"80": [PortBinding("", "x")]}}, "invalid port"),
        ({"port_bindings": {"99999/tcp": [PortBinding()]}}, "invalid port"),
        ({"cgroup_parent": "/a/../b"}, "cgroup parent"),
        ({"isolation": "hyperv"}, "isolation"),
        ({"extra_hosts": ["nocolon"]}, "add-host"),
        ({"extra_hosts": ["host:notanip"]}, "invalid IP address in add-host"),
        ({"dns": ["not-an-ip"]}, "invalid IP address"),
        ({"storage_opt": {"size": "1g"}}, "storage-opt"),
    ],
)
def test_refused_hosts(host, gist):
    with pytest.raises(InvalidArgument, match=gist):
        checks.validate(HostConfig(**host), ContainerConfig())


@pytest.mark.parametrize(
    ("config", "gist"),
    [
        ({"env": ["=x"]}, "environment"),
        ({"env": [""]}, "environment"),
        ({"env": ["A=\0"]}, "NUL"),
        ({"working_dir": "rel"}, "absolute"),
        ({"hostname": "a b"}, "hostname"),
        ({"hostname": "h" * 65}, "hostname"),
        ({"stop_signal": "NONSENSE"}, "Invalid signal: NONSENSE"),
        ({"healthcheck": HealthConfig(interval=5)}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"healthcheck": HealthConfig(retries=-1)}, "Retries"),
        ({"healthcheck": HealthConfig(test=["ODD"])}, "ODD"),
        ({"exposed_ports": {"x/tcp": {}}}, "port"),
        ({"cmd": ["a\0b"]}, "NUL"),
    ],
)
def test_refused_configurations(config, gist):
    with pytest.raises(InvalidArgument, match=gist):
        checks.validate(HostConfig(), ContainerConfig(**config))


def test_conflicts_of_modes():
    for host, config in (
        (HostConfig(uts_mode="host"), ContainerConfig(hostname="x")),
        (HostConfig(network_mode="container:a"), ContainerConfig(hostname="x")),
        (HostConfig(network_mode="container:a", publish_all_ports=True), ContainerConfig()),
        (HostConfig(network_mode="container:a", dns=["1.1.1.1"]), ContainerConfig()),
        (HostConfig(network_mode="host", links=["a:b"]), ContainerConfig()),
    ):
        with pytest.raises(InvalidArgument, match="conflicting options"):
            checks.validate(host, config)


def test_ordinary_requests_pass():
    host = HostConfig(
        memory=64 * MB,
        memory_swap=-1,
        cpuset_cpus="0",
        restart_policy=RestartPolicy("on-failure", 4),
        ipc_mode="container:x",
        pids_limit=-1,
        security_opt=["label=disable", "apparmor=unconfined", "no-new-privileges:true"],
        cap_add=["net_bind_service"],
        cap_drop=["ALL"],
        sysctls={"net.core.somaxconn": "777", "fs.mqueue.msg_max": "10"},
        port_bindings={"80/tcp": [PortBinding("", "8080-8090")]},
        extra_hosts=["a:1.2.3.4", "six:2001:db8::1", "b:[::1]", "gw:host-gateway"],
        dns=["::1"],
    )
    assert checks.validate(host, ContainerConfig(env=["A"], healthcheck=HealthConfig(["CMD", "x"], 10**6), stop_signal="SIGRTMIN+3")) == []
    assert checks.validate_resources(HostConfig(oom_kill_disable=True))


def test_ulimit_beyond_the_engines_own(monkeypatch):
    monkeypatch.setattr(checks.caps, "effective", frozenset)
    monkeypatch.setattr(checks.resource, "getrlimit", lambda number: (10, 10))
    with pytest.raises(InvalidArgument, match="hard limit of 10"):
        checks.validate(HostConfig(ulimits=[Ulimit("nofile", -1, -1)]), ContainerConfig())


def test_block_devices_must_exist():
    with pytest.raises(InvalidArgument, match="no such file"):
        resources.build(HostConfig(blkio_device_read_bps=[ThrottleDevice("/dev/none-such", 1)]))
    assert resources.build(HostConfig(pids_limit=-1, memory_swap=-1)) == {"pids": {"limit": 0}, "memory": {"swap": -1}}

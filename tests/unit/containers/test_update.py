"""What an update makes of the host configuration."""

from typing import Any

import pytest

from scow.containers.update import merged
from scow.errors import InvalidArgument
from scow.model.codec import decode
from scow.model.container import HostConfig, RestartPolicy, UpdateRequest


def test_what_is_not_asked_stays() -> None:
    host = HostConfig(memory=5, cpu_shares=7, restart_policy=RestartPolicy("always"))
    got = merged(host, decode(UpdateRequest, {"Memory": 9, "PidsLimit": 3}))
    assert (got.memory, got.cpu_shares, got.pids_limit, got.restart_policy.name) == (9, 7, 3, "always")


@pytest.mark.parametrize("unlimited", [-1, 0])
def test_no_limit_of_processes_is_shown_as_dockerd_shows_it(unlimited: int) -> None:
    assert merged(HostConfig(pids_limit=100), decode(UpdateRequest, {"PidsLimit": unlimited})).pids_limit == 0
    assert merged(HostConfig(pids_limit=100), decode(UpdateRequest, {})).pids_limit == 100


@pytest.mark.parametrize(
    ("host", "body", "text"),
    [
        (HostConfig(auto_remove=True), {"RestartPolicy": {"Name": "always"}}, "AutoRemove is enabled"),
        (HostConfig(cpu_quota=5), {"NanoCpus": 1}, "Nano CPUs cannot be updated"),
        (HostConfig(nano_cpus=5), {"CpuPeriod": 1000}, "CPU Period cannot be updated"),
        (HostConfig(memory=5, memory_swap=10), {"Memory": 20}, "memoryswap"),
        (HostConfig(), {"RestartPolicy": {"Name": "nonsense"}}, "policy"),
    ],
)
def test_refused(host: HostConfig, body: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        merged(host, decode(UpdateRequest, body))

"""What a kernel lacks is told, and only then."""

import errno
import socket

import pytest

from scow.kernel import protocols
from scow.model.container import ContainerConfig, HostConfig, PortBinding
from scow.runtime import checks
from scow.swarm import warnings


@pytest.mark.parametrize(("error", "there"), [(errno.EPROTONOSUPPORT, False), (errno.ESOCKTNOSUPPORT, False), (errno.EMFILE, True)])
def test_a_kernel_without_sctp_is_told_from_another_failure(monkeypatch: pytest.MonkeyPatch, error: int, there: bool) -> None:
    def refuse(*_: object) -> None:
        raise OSError(error, "no")

    monkeypatch.setattr(socket, "socket", refuse)
    assert protocols.has_sctp() is there


@pytest.mark.parametrize("there", [True, False])
def test_containers_and_services_with_sctp_ports_get_a_warning_where_the_kernel_has_none(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(protocols, "has_sctp", lambda: there)
    host = HostConfig(port_bindings={"9000/sctp": [PortBinding()]})
    said = checks.validate(host, ContainerConfig(image="x"))
    said += warnings.of_service({"EndpointSpec": {"Ports": [{"Protocol": "sctp", "TargetPort": 9000}]}})
    assert len([one for one in said if "has no SCTP" in one]) == (0 if there else 2)
    assert not warnings.of_service({"EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80}, {"TargetPort": 81}]}})
    assert not any("SCTP" in one for one in checks.validate(HostConfig(port_bindings={"80/tcp": [PortBinding()]}), ContainerConfig()))

"""Docker's JSON forms of a container's parts."""

from pathlib import Path

from scow.containers import shapes
from scow.model import codec
from scow.model.container import ContainerConfig, CreateRequest, HostConfig
from scow.model.network import EndpointIPAMConfig, EndpointSettings


def test_config_leaves_out_what_docker_leaves_out() -> None:
    out = shapes.config(ContainerConfig(stop_timeout=0, shell=["sh"], mac_address=""))
    assert out["StopTimeout"] == 0 and out["Shell"] == ["sh"] and "MacAddress" not in out and "StopSignal" not in out
    assert out["OnBuild"] is None and out["Env"] == [] and out["Labels"] == {}
    assert "HostConfig" not in shapes.config(CreateRequest(host_config=HostConfig()))


def test_host_config_keeps_mounts_as_asked() -> None:
    asked = {
        "Mounts": [
            {"Type": "volume", "Target": "/x", "VolumeOptions": {"NoCopy": True}},
            {"Type": "bind", "Source": "/s", "Target": "/y", "BindOptions": {}},
        ]
    }
    out = shapes.host_config(codec.decode(HostConfig, asked))
    assert out["Mounts"] == [
        {"Type": "volume", "Target": "/x", "VolumeOptions": {"NoCopy": True}},
        {"Type": "bind", "Source": "/s", "Target": "/y", "BindOptions": {}},
    ]
    assert out["RestartPolicy"] == {"Name": "", "MaximumRetryCount": 0} and out["LogConfig"] == {"Type": "", "Config": {}}


def test_endpoint_of_a_stopped_container_has_no_addresses() -> None:
    value = EndpointSettings(
        EndpointIPAMConfig(ipv4_address="10.0.0.5"), ip_address="10.0.0.5", endpoint_id="e", network_id="n", aliases=["a"]
    )
    out = shapes.endpoint(value, live=False)
    assert (
        out["IPAddress"] == "" and out["EndpointID"] == "" and out["NetworkID"] == "n" and out["IPAMConfig"] == {"IPv4Address": "10.0.0.5"}
    )
    assert shapes.endpoint(value, live=True)["Aliases"] == ["a"] and shapes.endpoint(value, live=True, brief=True)["Aliases"] is None


def test_overlay_data() -> None:
    assert shapes.overlay_data([Path("/s/3/fs"), Path("/s/2/fs"), Path("/s/1/fs")], Path("/m")) == {
        "LowerDir": "/s/2/fs:/s/1/fs", "MergedDir": "/m", "UpperDir": "/s/3/fs", "WorkDir": "/s/3/work",
    }  # fmt: skip
    assert shapes.overlay_data([], Path("/m")) == {}

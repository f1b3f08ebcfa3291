"""Ports, volumes, networks: what the run tests leave out."""

import pytest

from scow.errors import InvalidArgument
from scow.opts.hostdevices import is_cdi, parse_device, parse_gpus, parse_weight
from scow.opts.mounts import parse_mount, parse_volume
from scow.opts.networks import parse_host, parse_network
from scow.opts.ports import parse_expose, parse_publish
from scow.opts.shellwords import parse_restart


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("80", {"80/tcp": [{"HostIp": "", "HostPort": ""}]}),
        ("[::1]:90:80", {"80/tcp": [{"HostIp": "::1", "HostPort": "90"}]}),
        ("8000-8002:80", {"80/tcp": [{"HostIp": "", "HostPort": "8000-8002"}]}),
        ("127.0.0.1::80", {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}),
        ("target=80,published=8080,protocol=udp", {"80/udp": [{"HostIp": "", "HostPort": "8080"}]}),
    ],
)
def test_publish(text, found):
    assert parse_publish(text) == found


@pytest.mark.parametrize("text", ["", ":", "a", "80/x", "1-2:3-5", "x:80:80", "[::1]80", "5-3", "70000", "target=x", "foo=1", "1:2:3:4:5"])
def test_bad_publish(text):
    with pytest.raises(InvalidArgument):
        parse_publish(text)


def test_the_rest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse_expose("1-3/udp") == ["1/udp", "2/udp", "3/udp"]
    assert (
        parse_volume("./a:/b") == (f"{tmp_path}/a:/b", True) and parse_volume("/x") == ("/x", False) and parse_volume("n:/x")[0] == "n:/x"
    )
    mount = parse_mount('type=volume,src=v,dst=/x,volume-opt=o=1,"volume-label=a=b,c",volume-nocopy,volume-subpath=s,readonly=false')
    assert mount == {
        "Type": "volume",
        "Source": "v",
        "Target": "/x",
        "VolumeOptions": {"NoCopy": True, "Subpath": "s", "Labels": {"a": "b,c"}, "DriverConfig": {"Options": {"o": "1"}}},
    }
    assert parse_mount("type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1777")["TmpfsOptions"] == {"SizeBytes": 1 << 20, "Mode": 0o1777}
    assert parse_network("n").endpoint() == {} and parse_network("name=n,driver-opt=a=b,gw-priority=3").endpoint() == {
        "DriverOpts": {"a": "b"},
        "GwPriority": 3,
    }
    assert parse_host("a=[::1]") == "a:::1" and parse_host("b:host-gateway") == "b:host-gateway"
    assert is_cdi("v.com/gpu=all") and not is_cdi("/dev/x=1")
    assert parse_device("/dev/a:rw") == {"PathOnHost": "/dev/a", "PathInContainer": "/dev/a", "CgroupPermissions": "rw"}
    assert parse_gpus('"device=0,1",driver=x')["DeviceIDs"] == ["0", "1"] and parse_weight("/dev/a:10") == {"Path": "/dev/a", "Weight": 10}
    assert parse_restart("on-failure:3") == {"Name": "on-failure", "MaximumRetryCount": 3}


@pytest.mark.parametrize(
    "text", ["type=tmpfs,dst=/x,volume-nocopy", "dst=/x,foo=1", "type=bind,dst=/x,bind-recursive=y", "dst=/x,ro=perhaps", '"dst']
)
def test_bad_mounts(text):
    with pytest.raises(InvalidArgument):
        parse_mount(text)

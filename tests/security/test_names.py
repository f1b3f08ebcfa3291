"""Names that lead elsewhere: drivers, plugins, volumes, networks, containers, images, files. Refused, and nothing appears anywhere."""

import os
import re

import pytest

from tests.support.engine import until

UP = ("../../../../tmp/x", "..", "../evil", "a/../../b", "/etc/passwd", "x\x00y", "%2e%2e%2fevil", "..%2fevil", "a\nb", "\u202e", "-x", ".")


def tree(engine):
    """What lies directly in the engine's directories."""
    found = {}
    for base in (engine.dir, engine.data, engine.run, engine.data / "volumes", engine.data / "containers", engine.data / "content"):
        found[base] = sorted(os.listdir(base)) if base.exists() else []
    return found


def refused(reply):
    assert 400 <= reply.status < 500, reply
    assert reply.json["message"]


@pytest.fixture(autouse=True)
def nothing_appears(engine):
    before = tree(engine)
    yield
    # what an earlier test removed may still be going
    until(lambda: all(set(names) <= set(before[place]) for place, names in tree(engine).items()), what="the end of everything new")


@pytest.mark.parametrize("name", UP)
def test_names_in_bodies(engine, name):
    refused(engine.api("POST", "/volumes/create", {"Name": name}))
    refused(engine.api("POST", "/volumes/create", {"Driver": name}))
    refused(engine.api("POST", "/networks/create", {"Name": "n", "Driver": name}))
    refused(engine.api("POST", "/networks/create", {"Name": "n", "IPAM": {"Driver": name}}))
    for host in (
        {"LogConfig": {"Type": name}},
        {"VolumeDriver": name, "Binds": ["named:/x"]},
        {"Runtime": name},
        {"Mounts": [{"Type": "volume", "Source": name, "Target": "/x"}]},
        {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"DriverConfig": {"Name": name}}}]},
        {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"Subpath": "../" + name}}]},
        {"Mounts": [{"Type": "image", "Source": name, "Target": "/x"}]},
        {"VolumesFrom": [name]},
        {"PidMode": f"container:{name}"},
        {"CgroupParent": "../" + name},
        {"Sysctls": {"net/../../" + name: "1"}},
    ):
        refused(engine.api("POST", "/containers/create", {"Image": "busybox", "HostConfig": host}))
    for volume in ("named", "v"):
        assert engine.api("GET", f"/volumes/{volume}").status == 404


ESCAPED = ("..%2f..%2fmeta.db", "%2e%2e", "..%2f", "%2fetc%2fpasswd", "a%00b", "..%5c..", "%252e%252e%252f", "x%0ay")


@pytest.mark.parametrize("name", ESCAPED)
def test_names_in_paths(engine, name):
    for method, path in (
        ("POST", f"/containers/create?name={name}"),
        ("GET", f"/containers/{name}/json"),
        ("DELETE", f"/containers/{name}"),
        ("POST", f"/containers/{name}/start"),
        ("GET", f"/volumes/{name}"),
        ("DELETE", f"/volumes/{name}"),
        ("GET", f"/networks/{name}"),
        ("DELETE", f"/networks/{name}"),
        ("GET", f"/images/{name}/json"),
        ("DELETE", f"/images/{name}"),
        ("POST", f"/images/busybox/tag?repo={name}"),
        ("POST", f"/images/busybox/tag?repo=x&tag={name}"),
        ("GET", f"/exec/{name}/json"),
        ("GET", f"/plugins/{name}/json"),
        ("POST", f"/plugins/{name}/enable"),
        ("POST", f"/commit?container=nothing&repo={name}"),
    ):
        reply = engine.api(method, path, {"Image": "busybox"} if "create" in path else None)
        if reply.status == 301:  # as dockerd: an unclean path leads to the clean one, of this engine only
            assert re.fullmatch(r"/([^/\\].*)?", reply.headers["location"]), (method, path, reply)
        else:
            assert 400 <= reply.status < 500, (method, path, reply)


def test_names_of_what_exists(engine):
    made = engine.create("true")
    for name in ("../x", "..", "a/b", "/", "-x", "a%00b", "a%0ab"):
        refused(engine.api("POST", f"/containers/{made}/rename?name={name}"))
    for name in ("../x", "..", "/", "-x", "a%00b", "UPPER"):
        refused(engine.api("POST", f"/commit?container={made}&repo={name}"))
    for name in ("../x", "..", "a%2fb"):
        reply = engine.api("POST", f"/containers/{made}/checkpoints", {"CheckpointID": name, "CheckpointDir": "../../.."})
        assert 400 <= reply.status < 500 or reply.status == 501, reply
    assert engine.api("DELETE", f"/containers/{made}").status == 204


@pytest.mark.parametrize("source", ["file:///etc/passwd", "/etc/passwd", "ftp://127.0.0.1/x", "unix:///run/x", "gopher://x", "http://"])
def test_an_import_reads_no_file_of_the_host(engine, source):
    reply = engine.api("POST", f"/images/create?fromSrc={source}&repo=stolen")
    assert 400 <= reply.status < 500 or b'"error"' in reply.body, reply
    assert engine.api("GET", "/images/stolen/json").status == 404

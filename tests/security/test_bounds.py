"""Requests that are only large: each gets a clear 4xx at once, before anything is made."""

import pytest

MANY = 70_000
CREATE = {
    "labels": {"Labels": {f"a{n}": "x" for n in range(MANY)}},
    "variables": {"Env": [f"A{n}=1" for n in range(MANY // 2)]},
    "arguments": {"Cmd": ["x"] * MANY},
    "volumes": {"Volumes": {f"/v{n}": {} for n in range(2000)}},
    "a label": {"Labels": {"a": "x" * (20 << 20)}},
    "hosts": {"HostConfig": {"ExtraHosts": [f"h{n}:1.2.3.4" for n in range(50_000)]}},
    "ports": {"HostConfig": {"PortBindings": {f"{n}/tcp": [{"HostPort": str(n)}] for n in range(1, 6000)}}},
    "binds": {"HostConfig": {"Binds": [f"/tmp:/b{n}" for n in range(2000)]}},
    "tmpfs": {"HostConfig": {"Tmpfs": {f"/t{n}": "" for n in range(2000)}}},
    "links": {"HostConfig": {"Links": ["x:y"] * 5000}},
    "ulimits": {"HostConfig": {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}] * 5000}},
    "devices": {"HostConfig": {"Devices": [{"PathOnHost": "/dev/null", "PathInContainer": f"/dev/x{n}"} for n in range(5000)]}},
    "log options": {"HostConfig": {"LogConfig": {"Type": "json-file", "Config": {"tag": "x" * (1 << 20)}}}},
    "aliases": {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["a"] * MANY}}}},
}


@pytest.mark.parametrize("what", CREATE)
def test_a_container_of_too_much(engine, what):
    reply = engine.api("POST", "/containers/create", {"Image": "busybox", **CREATE[what]})
    assert reply.status in (400, 413), reply.body[:200]
    assert any(word in reply.json["message"] for word in ("too many", "too long", "larger than"))


def test_others_of_too_much(engine):
    labels = {f"a{n}": "x" for n in range(MANY)}
    for path, body in (
        ("/volumes/create", {"Name": "v", "Labels": labels}),
        ("/networks/create", {"Name": "n", "Labels": labels}),
        ("/networks/create", {"Name": "n", "IPAM": {"Config": [{"Subnet": f"10.1.{n % 256}.0/24"} for n in range(MANY)]}}),
    ):
        assert engine.api("POST", path, body).status == 400
    for depth in (1000, 200_000):
        deep = b'{"Labels":' + b"[" * depth + b"]" * depth + b"}"
        assert engine.api("POST", "/containers/create", deep, {"Content-Type": "application/json"}).status == 400
    number = b'{"StopTimeout":' + b"9" * 1_000_000 + b"}"
    assert engine.api("POST", "/containers/create", number, {"Content-Type": "application/json"}).status == 400
    for query in (
        "filters=" + "%7B%22label%22:[" + "%22a%22," * 20_000 + "%22a%22]%7D",
        "limit=" + "9" * 100_000,
        "&".join(["a=b"] * 30_000),
    ):
        assert engine.api("GET", "/containers/json?" + query).status in (200, 400, 431)


def test_a_tree_deeper_than_a_path_spoils_nothing(engine):
    """16 KB of directories in each other: export, copy, diff, commit and removal go on with what a path can name."""
    script = """
        cd /tmp; d=$(printf 'd%.0s' $(seq 200))
        for r in 1 2 3 4; do p=.; for i in $(seq 15); do p=$p/$d; done; mkdir -p $p; mv $d x; mkdir -p $p; mv x $p/; done
        touch /after"""
    made = engine.container("sh", "-c", script)
    assert engine.wait(made) == 0
    assert b"after" in engine.api("GET", f"/containers/{made}/export").body
    assert engine.api("GET", f"/containers/{made}/archive?path=/tmp").status == 200
    assert {"Kind": 1, "Path": "/after"} in engine.api("GET", f"/containers/{made}/changes").json
    assert engine.api("GET", f"/containers/{made}/json?size=1").json["SizeRw"] >= 0
    assert engine.api("POST", f"/commit?container={made}&repo=deep", {}).status == 201
    assert engine.api("DELETE", f"/containers/{made}").status == 204
    assert engine.api("DELETE", "/images/deep").status == 200

"""Copies of another registry: fetched once, shared while they come, served while upstream is away, never pushed to."""

import json
import os
import threading
import time

import pytest

from scow.registryd.accounts import parse_grant
from scow.registryd.options import Upstream
from tests.support.registryserver import OCI_INDEX, descriptor, image, serving, sha256

BIG = os.urandom(6_000_000)


@pytest.fixture
def pair(tmp_path):
    """(upstream, cache): the cache serves upstream as up/…, and without a prefix."""
    with serving(tmp_path / "up", anonymous_push=True, allow_delete=True) as upstream:
        address = upstream.address
        with serving(tmp_path / "cache", anonymous_push=True, upstreams=(Upstream("up", address),), mirror="up", mirror_seconds=0) as cache:
            yield upstream, cache


def asked(registry, endpoint: str) -> int:
    counters = registry.service.parts.metrics
    return int(sum(counters.value("requests_total", endpoint=endpoint, method="GET", status=str(code)) for code in (200, 206)))


def test_an_image_is_fetched_once(pair):
    upstream, cache = pair
    digest = upstream.push("lib/a", "v1", BIG)
    for _ in range(2):
        reply = cache.call("GET", "/v2/up/lib/a/manifests/v1")
        assert reply.headers["docker-content-digest"] == digest
        assert cache.call("HEAD", f"/v2/up/lib/a/blobs/{sha256(BIG)}").headers["content-length"] == str(len(BIG))
        assert cache.call("GET", f"/v2/up/lib/a/blobs/{sha256(BIG)}").body == BIG
    assert (asked(upstream, "manifest"), asked(upstream, "blob")) == (1, 1)
    assert cache.call("GET", f"/v2/up/lib/a/blobs/{sha256(BIG)}", headers={"Range": "bytes=1-3"}).body == BIG[1:4]


def test_other_ways_to_name_it(pair):
    upstream, cache = pair
    digest = upstream.push("lib/b", "v1", b"layer")
    for path in ("/v2/lib/b/manifests/v1?ns=up", "/v2/lib/b/manifests/v1", f"/v2/up/lib/b/manifests/{digest}"):
        assert cache.call("GET", path).headers["docker-content-digest"] == digest, path
    assert cache.call("GET", f"/v2/lib/b/blobs/{sha256(b'layer')}?ns={upstream.address}").body == b"layer"
    assert cache.call("GET", "/v2/up/lib/b/tags/list").json == {"name": "up/lib/b", "tags": ["v1"]}
    own = cache.push("lib/b", "v1", b"ours")
    assert cache.call("GET", "/v2/lib/b/manifests/v1").headers["docker-content-digest"] == own, "what was pushed here comes first"


def test_many_clients_share_one_download(pair):
    upstream, cache = pair
    upstream.push("lib/c", "v1", BIG)
    cache.call("GET", "/v2/up/lib/c/manifests/v1")
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: bodies.append(cache.call("GET", f"/v2/up/lib/c/blobs/{sha256(BIG)}").body)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [body == BIG for body in bodies] == [True] * 6
    assert asked(upstream, "blob") <= 2, "one that comes just at the end may begin anew"


def test_a_moved_tag_is_seen_and_a_lost_upstream_is_not(tmp_path):
    with serving(tmp_path / "up", anonymous_push=True) as upstream:
        address = upstream.address
        with serving(tmp_path / "cache", upstreams=(Upstream("up", address),), mirror_seconds=0) as cache:
            upstream.push("a", "v1", b"one")
            cache.call("GET", "/v2/up/a/manifests/v1")
            new = upstream.push("a", "v1", b"two")
            assert cache.call("GET", "/v2/up/a/manifests/v1").headers["docker-content-digest"] == new
            upstream.run(upstream.service.server.close(0.0))
            assert cache.call("GET", "/v2/up/a/manifests/v1").headers["docker-content-digest"] == new
            assert cache.code(cache.call("GET", "/v2/up/a/manifests/v2")) == (502, "UNAVAILABLE")
            assert cache.code(cache.call("GET", f"/v2/up/a/blobs/{sha256(b'two')}")) == (502, "UNAVAILABLE")
            assert cache.call("GET", "/v2/up/a/tags/list").json["tags"] == ["v1"]


def test_what_upstream_has_not(pair):
    _, cache = pair
    assert cache.code(cache.call("GET", "/v2/up/none/manifests/v1")) == (404, "MANIFEST_UNKNOWN")
    assert cache.code(cache.call("GET", "/v2/up/none/tags/list")) == (404, "NAME_UNKNOWN")
    assert cache.code(cache.call("GET", f"/v2/up/none/blobs/{sha256(b'x')}")) == (404, "BLOB_UNKNOWN")


def test_a_copy_by_another_name_needs_the_same_grant(tmp_path):
    with serving(tmp_path / "up", anonymous_push=True) as upstream:
        upstream.push("lib/a", "v1", b"layer")
        options = {"upstreams": (Upstream("up", upstream.address),), "mirror": "up"}
        for auth in ("basic", "token"):
            with serving(tmp_path / auth, auth=auth, **options) as cache:
                cache.store.accounts.add("ann", "a", [parse_grant("lib/**"), parse_grant("up/**")])
                cache.store.accounts.add("bob", "b", [parse_grant("lib/**")])
                for user, status in ((("ann", "a"), 200), (("bob", "b"), 403 if auth == "basic" else 401)):
                    headers = {}
                    if auth == "token":
                        token = cache.call("GET", "/token?scope=repository:lib/a:pull", user=user).json["token"]
                        headers = {"Authorization": f"Bearer {token}"}
                    for path in ("/v2/lib/a/manifests/v1", f"/v2/lib/a/blobs/{sha256(b'layer')}", "/v2/lib/a/tags/list"):
                        reply = cache.call("GET", path, headers=headers, user=None if headers else user)
                        assert reply.status == status, (auth, user, path)


def test_copies_are_not_pushed_to(pair):
    _, cache = pair
    assert cache.code(cache.call("POST", "/v2/up/a/blobs/uploads/")) == (403, "DENIED")
    assert cache.code(cache.put_manifest("up/a", "v1", image())) == (403, "DENIED")
    cache.push("mine", "v1", b"x")


def test_a_damaged_blob_is_not_kept(pair):
    upstream, cache = pair
    upstream.push("lib/d", "v1", BIG)
    cache.call("GET", "/v2/up/lib/d/manifests/v1")
    path = upstream.store.driver._path(sha256(BIG))
    with open(path, "r+b") as file:
        file.write(b"damaged")
    assert cache.call("GET", f"/v2/up/lib/d/blobs/{sha256(BIG)}").body != BIG
    end = time.monotonic() + 60
    while cache.service.mirror._fetches and time.monotonic() < end:
        time.sleep(0.01)
    assert cache.store.driver.size(sha256(BIG)) is None and list(cache.store.driver.uploads()) == []
    with open(path, "r+b") as file:
        file.write(BIG[:7])
    assert cache.call("GET", f"/v2/up/lib/d/blobs/{sha256(BIG)}").body == BIG


def test_an_index_comes_without_all_its_images(pair):
    upstream, cache = pair
    rows = []
    for name in (b"amd64", b"arm64"):
        digest = upstream.push("multi", "", name)
        rows.append({**descriptor(image(name)), "digest": digest, "platform": {"os": "linux", "architecture": name.decode()}})
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}).encode()
    assert upstream.put_manifest("multi", "v1", index, OCI_INDEX).status == 201
    assert cache.call("GET", "/v2/up/multi/manifests/v1").body == index
    assert cache.call("GET", f"/v2/up/multi/manifests/{rows[1]['digest']}").body == image(b"arm64")
    assert cache.store.catalog.manifest("up/multi", rows[0]["digest"]) is None

"""The distribution specification over the wire: push in every way, pull, lists, referrers, deletes, errors."""

import json
import os
import ssl

import pytest

from tests.support import tls as authority
from tests.support.http import Reply
from tests.support.registryserver import OCI_INDEX, OCI_MANIFEST, Registry, descriptor, image, serving, sha256

DATA = os.urandom(3_000_000)
DIGEST = sha256(DATA)


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("registry"), anonymous_push=True, allow_delete=True) as found:
        yield found


def begin(registry: Registry, name: str) -> str:
    reply = registry.call("POST", f"/v2/{name}/blobs/uploads/")
    assert reply.status == 202 and reply.headers["docker-upload-uuid"] in reply.headers["location"]
    return reply.headers["location"]


def stored(registry: Registry, name: str, reply: Reply, data: bytes = DATA) -> None:
    assert reply.status == 201, reply
    assert reply.headers["docker-content-digest"] == sha256(data)
    assert registry.call("GET", reply.headers["location"]).body == data
    assert registry.call("HEAD", f"/v2/{name}/blobs/{sha256(data)}").headers["content-length"] == str(len(data))


def pieces(data: bytes, size: int = 32768):
    return (data[at : at + size] for at in range(0, len(data), size))


def test_the_version_endpoint(registry):
    reply = registry.call("GET", "/v2/")
    assert (reply.status, reply.json, reply.headers["docker-distribution-api-version"]) == (200, {}, "registry/2.0")


def test_upload_in_one_request(registry):
    stored(registry, "one", registry.call("POST", f"/v2/one/blobs/uploads/?digest={DIGEST}", DATA))


def test_upload_with_post_and_put(registry):
    where = begin(registry, "two")
    stored(registry, "two", registry.call("PUT", f"{where}?digest={DIGEST}", DATA))
    assert registry.call("GET", where).status == 404


@pytest.mark.parametrize("chunked", [False, True])
def test_upload_streamed_as_docker_does(registry, chunked):
    where = begin(registry, f"stream{chunked}".lower())
    reply = registry.call("PATCH", where, pieces(DATA) if chunked else DATA)
    assert (reply.status, reply.headers["range"]) == (202, f"0-{len(DATA) - 1}")
    stored(registry, f"stream{chunked}".lower(), registry.call("PUT", f"{reply.headers['location']}?digest={DIGEST}"))


def test_upload_in_chunks_that_must_follow_each_other(registry):
    where = begin(registry, "chunks")
    first, second = DATA[:1_000_000], DATA[1_000_000:]
    reply = registry.call("PATCH", where, second, {"Content-Range": f"{len(first)}-{len(DATA) - 1}"})
    assert (reply.status, reply.headers["range"]) == (416, "0-0")
    assert registry.call("PATCH", where, first, {"Content-Range": f"0-{len(first) - 1}"}).status == 202
    reply = registry.call("PATCH", where, first, {"Content-Range": f"0-{len(first) - 1}"})
    assert (reply.status, reply.headers["range"]) == (416, f"0-{len(first) - 1}")
    reply = registry.call("GET", where)
    assert (reply.status, reply.headers["range"]) == (204, f"0-{len(first) - 1}")
    last = {"Content-Range": f"{len(first)}-{len(DATA) - 1}"}
    stored(registry, "chunks", registry.call("PUT", f"{where}?digest={DIGEST}", second, last))


def test_content_range_and_length_must_agree(registry):
    where = begin(registry, "ranges")
    assert registry.code(registry.call("PATCH", where, b"abc", {"Content-Range": "0-9"})) == (400, "SIZE_INVALID")
    assert registry.code(registry.call("PATCH", where, b"abc", {"Content-Range": "x"})) == (400, "BLOB_UPLOAD_INVALID")


def test_a_wrong_digest_ends_the_upload(registry):
    where = begin(registry, "wrong")
    assert registry.code(registry.call("PUT", f"{where}?digest={sha256(b'x')}", b"y")) == (400, "DIGEST_INVALID")
    assert registry.code(registry.call("GET", where)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert registry.code(registry.call("GET", f"/v2/wrong/blobs/{sha256(b'x')}")) == (404, "BLOB_UNKNOWN")


def test_a_cancelled_upload_is_gone(registry):
    where = begin(registry, "cancel")
    registry.call("PATCH", where, b"abc")
    assert registry.call("DELETE", where).status == 204
    assert registry.code(registry.call("PATCH", where, b"abc")) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_an_upload_belongs_to_its_repository(registry):
    where = begin(registry, "mine")
    assert registry.code(registry.call("PATCH", where.replace("mine", "yours"), b"abc")) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_other_algorithms_and_empty_blobs(registry):
    import hashlib

    for data in (b"data", b""):
        digest = "sha512:" + hashlib.sha512(data).hexdigest()
        assert registry.call("POST", f"/v2/algo/blobs/uploads/?digest={digest}", data).status == 201
        assert registry.call("GET", f"/v2/algo/blobs/{digest}").body == data
    stored(registry, "algo", registry.call("POST", f"/v2/algo/blobs/uploads/?digest={sha256(b'')}", b""), b"")


def test_mount(registry):
    registry.put_blob("src/a", b"layer")
    digest = sha256(b"layer")
    reply = registry.call("POST", f"/v2/dst/a/blobs/uploads/?mount={digest}&from=src/a")
    assert (reply.status, reply.headers["location"]) == (201, f"/v2/dst/a/blobs/{digest}")
    assert registry.call("GET", f"/v2/dst/a/blobs/{digest}").body == b"layer"
    assert registry.call("POST", f"/v2/dst/b/blobs/uploads/?mount={digest}").status == 201, "no from: anywhere it can be pulled"
    assert registry.call("POST", f"/v2/dst/c/blobs/uploads/?mount={sha256(b'none')}&from=src/a").status == 202
    assert registry.call("GET", f"/v2/dst/c/blobs/{digest}").status == 404, "a blob is shown where it was pushed or mounted only"


@pytest.mark.parametrize(
    ("header", "status", "part"),
    [
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=2999990-", 206, slice(2999990, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=0-99999999", 206, slice(None)),
        ("bytes=5-4", 416, None),
        ("bytes=0-1,3-4", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("bytes=3000000-", 416, None),
        ("bytes=-0", 416, None),
    ],
)
def test_parts_of_a_blob(registry, header, status, part):
    registry.put_blob("parts", DATA)
    reply = registry.call("GET", f"/v2/parts/blobs/{DIGEST}", headers={"Range": header})
    assert reply.status == status
    if part is not None:
        assert reply.body == DATA[part]
        first = part.indices(len(DATA))[0]
        assert status == 200 or reply.headers["content-range"] == f"bytes {first}-{first + len(reply.body) - 1}/{len(DATA)}"
    else:
        assert reply.headers["content-range"] == f"bytes */{len(DATA)}"


def test_entity_tags(registry):
    digest = registry.push("tags/e", "v1", b"small")
    for path, tag in ((f"/v2/tags/e/blobs/{sha256(b'small')}", sha256(b"small")), ("/v2/tags/e/manifests/v1", digest)):
        reply = registry.call("GET", path)
        assert reply.headers["etag"] == f'"{tag}"'
        again = registry.call("GET", path, headers={"If-None-Match": f'"{tag}"'})
        assert (again.status, again.body) == (304, b"")


def test_manifests_by_tag_and_digest(registry):
    data = image(b"l1")
    digest = registry.push("m/a", "v1", b"l1")
    for ref in ("v1", digest):
        for method in ("GET", "HEAD"):
            reply = registry.call(method, f"/v2/m/a/manifests/{ref}", headers={"Accept": OCI_MANIFEST})
            assert (reply.status, reply.headers["content-type"]) == (200, OCI_MANIFEST)
            assert (reply.headers["docker-content-digest"], reply.headers["content-length"]) == (digest, str(len(data)))
            assert reply.body == (data if method == "GET" else b"")


def test_a_manifest_needs_what_it_names(registry):
    reply = registry.put_manifest("m/b", "v1", image(b"absent"))
    assert registry.code(reply) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert {one["detail"]["digest"] for one in reply.json["errors"]} == {sha256(b"absent"), sha256(b"{}")}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(b"none", OCI_MANIFEST)]}).encode()
    assert registry.code(registry.put_manifest("m/b", "i", index, OCI_INDEX)) == (404, "MANIFEST_BLOB_UNKNOWN")
    foreign = json.loads(image())
    foreign["layers"] = [{**descriptor(b"away", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "urls": ["https://x/y"]}]
    registry.put_blob("m/b", b"{}")
    assert registry.put_manifest("m/b", "f", json.dumps(foreign).encode()).status == 201


@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b"{", OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"[]", OCI_MANIFEST, "MANIFEST_INVALID"),
        (b"[" * 100_000, OCI_MANIFEST, "MANIFEST_INVALID"),
        (image(), "text/html", "MANIFEST_INVALID"),
        (image(), OCI_INDEX, "MANIFEST_INVALID"),
        (b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws", "MANIFEST_INVALID"),
        (b'{"schemaVersion": 2, "config": {"digest": "sha256:x", "size": 1}, "layers": []}', OCI_MANIFEST, "MANIFEST_INVALID"),
    ],
)
def test_bad_manifests(registry, data, kind, code):
    assert registry.code(registry.put_manifest("m/c", "v1", data, kind)) == (400, code)


def test_a_manifest_put_by_another_digest(registry):
    assert registry.code(registry.put_manifest("m/c", sha256(b"x"), image())) == (400, "DIGEST_INVALID")


def test_an_old_client_gets_its_platform_of_an_index(registry):
    rows = []
    for name in ("amd64", "arm64"):
        digest = registry.push("plat", "", name.encode())
        size = len(image(name.encode()))
        rows.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": {"os": "linux", "architecture": name}})
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}).encode()
    assert registry.put_manifest("plat", "v1", index, OCI_INDEX).status == 201
    old = registry.call("GET", "/v2/plat/manifests/v1", headers={"Accept": OCI_MANIFEST})
    assert old.headers["docker-content-digest"] == rows[0]["digest"]
    for accept in ("*/*", f"{OCI_MANIFEST}, {OCI_INDEX}"):
        assert registry.call("GET", "/v2/plat/manifests/v1", headers={"Accept": accept}).body == index
    assert registry.call("GET", f"/v2/plat/manifests/{sha256(index)}", headers={"Accept": OCI_MANIFEST}).body == index


def test_tags_in_pages(registry):
    for tag in ("b", "a", "C", "d"):
        registry.push("pages", tag, b"x")
    assert registry.call("GET", "/v2/pages/tags/list").json == {"name": "pages", "tags": ["C", "a", "b", "d"]}
    reply = registry.call("GET", "/v2/pages/tags/list?n=2")
    assert reply.json["tags"] == ["C", "a"] and 'rel="next"' in reply.headers["link"]
    following = registry.call("GET", reply.headers["link"].partition("<")[2].partition(">")[0])
    assert following.json["tags"] == ["b", "d"] and "link" not in following.headers
    assert registry.call("GET", "/v2/pages/tags/list?n=0").json["tags"] == []
    assert registry.code(registry.call("GET", "/v2/pages/tags/list?n=x")) == (400, "PAGINATION_NUMBER_INVALID")
    assert registry.code(registry.call("GET", "/v2/none/tags/list")) == (404, "NAME_UNKNOWN")


def test_the_catalog_in_pages(registry):
    for name in ("cat/a", "cat/b", "cat/c"):
        registry.push(name, "v", b"x")
    names, url = [], "/v2/_catalog?n=2"
    while url:
        reply = registry.call("GET", url)
        names += reply.json["repositories"]
        url = reply.headers.get("link", "").partition("<")[2].partition(">")[0]
    assert names == sorted(set(names)) and {"cat/a", "cat/b", "cat/c"} <= set(names)


def test_referrers(registry):
    subject = registry.push("ref", "v1", b"image")
    about = {"mediaType": OCI_MANIFEST, "digest": subject, "size": 1}
    for kind in ("a/sig", "a/sbom"):
        registry.put_blob("ref", b"{}")
        data = image(config=b"{}", artifactType=kind, subject=about, annotations={"kind": kind})
        reply = registry.put_manifest("ref", sha256(data), data)
        assert (reply.status, reply.headers["oci-subject"]) == (201, subject)
    reply = registry.call("GET", f"/v2/ref/referrers/{subject}")
    assert reply.headers["content-type"] == OCI_INDEX
    assert {row["artifactType"] for row in reply.json["manifests"]} == {"a/sig", "a/sbom"}
    assert all(row["annotations"] == {"kind": row["artifactType"]} for row in reply.json["manifests"])
    one = registry.call("GET", f"/v2/ref/referrers/{subject}?artifactType=a/sig")
    assert [row["artifactType"] for row in one.json["manifests"]] == ["a/sig"]
    assert one.headers["oci-filters-applied"] == "artifactType"
    assert registry.call("GET", f"/v2/none/referrers/{subject}").json["manifests"] == []
    page = registry.call("GET", f"/v2/ref/referrers/{subject}?n=1")
    rest = registry.call("GET", page.headers["link"].partition("<")[2].partition(">")[0])
    assert len(page.json["manifests"]) == len(rest.json["manifests"]) == 1


def test_deletes(registry):
    digest = registry.push("del", "v1", b"x")
    registry.push("del", "v2", b"x")
    assert registry.call("DELETE", "/v2/del/manifests/v1").status == 202
    assert registry.call("GET", "/v2/del/tags/list").json["tags"] == ["v2"]
    assert registry.call("DELETE", f"/v2/del/manifests/{digest}").status == 202
    assert registry.call("GET", "/v2/del/tags/list").json["tags"] == []
    assert registry.code(registry.call("GET", f"/v2/del/manifests/{digest}")) == (404, "MANIFEST_UNKNOWN")
    assert registry.code(registry.call("DELETE", f"/v2/del/manifests/{digest}")) == (404, "MANIFEST_UNKNOWN")
    assert registry.call("DELETE", f"/v2/del/blobs/{sha256(b'x')}").status == 202
    assert registry.code(registry.call("GET", f"/v2/del/blobs/{sha256(b'x')}")) == (404, "BLOB_UNKNOWN")


def test_an_upload_goes_on_after_a_restart(tmp_path):
    with serving(tmp_path, anonymous_push=True) as registry:
        where = begin(registry, "again")
        assert registry.call("PATCH", where, DATA[:1000]).status == 202
    with serving(tmp_path, anonymous_push=True) as registry:
        assert registry.call("GET", where).headers["range"] == "0-999"
        stored(registry, "again", registry.call("PUT", f"{where}?digest={DIGEST}", DATA[1000:], {"Content-Range": f"1000-{len(DATA) - 1}"}))


def test_everything_is_there_after_a_restart(tmp_path):
    with serving(tmp_path, anonymous_push=True) as registry:
        digest = registry.push("keep", "v1", b"x")
    with serving(tmp_path) as registry:
        assert registry.call("GET", "/v2/keep/manifests/v1").headers["docker-content-digest"] == digest
        assert registry.code(registry.put_manifest("keep", "v2", image(b"x"))) == (403, "DENIED"), "nobody pushes unless told so"
        assert registry.code(registry.call("DELETE", f"/v2/keep/manifests/{digest}"))[0] == 403


def test_over_tls(tmp_path):
    folder = authority.authority(tmp_path / "tls")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    with serving(tmp_path / "r", (server, client), anonymous_push=True) as registry:
        for chunked in (False, True):
            where = begin(registry, "tls")
            assert registry.call("PATCH", where, pieces(DATA) if chunked else DATA).status == 202
            stored(registry, "tls", registry.call("PUT", f"{where}?digest={DIGEST}"))


def test_limits(tmp_path):
    with serving(tmp_path, anonymous_push=True, max_blob=1000, max_manifest=2000, rate=0) as registry:
        assert registry.code(registry.call("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", DATA[:2000]))[0] == 413
        where = begin(registry, "a")
        assert registry.code(registry.call("PATCH", where, pieces(DATA[:3000])))[0] == 413
        assert registry.code(registry.put_manifest("a", "v", b" " * 3000))[0] == 413
    with serving(tmp_path, rate=1) as registry:
        registry.service.server._app._buckets._clock = lambda: 0.0
        codes = [registry.call("GET", "/v2/").status for _ in range(8)]
        assert codes[0] == 200 and codes[-1] == 429
        limited = registry.call("GET", "/v2/")
        assert registry.code(limited) == (429, "TOOMANYREQUESTS") and int(limited.headers["retry-after"]) >= 1

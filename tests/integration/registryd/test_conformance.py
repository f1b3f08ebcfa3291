"""What the conformance suite of the OCI distribution specification 1.1 asks of a registry, by its four workflows, of `scow registry serve`.

Pull, push, content discovery, content management, in the orders and with the odd requests that the suite sends.
"""

import hashlib
import http.client
import json
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.support.http import Reply
from tests.support.registryprogram import Program
from tests.support.registryserver import OCI_INDEX, OCI_MANIFEST, descriptor, image, sha256

REPO, OTHER = "conformance/one", "conformance/two"
BLOB = os.urandom(3001)
DIGEST = sha256(BLOB)
CHUNK = 1024
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}


class Client:
    """Requests as the suite sends them: a Location may be absolute or not, and is taken as it came."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self, method: str, url: str, body: bytes | None = None, **headers: str) -> Reply:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc or self._address, timeout=60)
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            fields.setdefault("Content-Type", "application/octet-stream")
        try:
            connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), body, fields)
            reply = connection.getresponse()
            return Reply(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def begin(self, repo: str = REPO) -> str:
        reply = self("POST", f"/v2/{repo}/blobs/uploads/", Content_Length="0")
        assert reply.status == 202
        return reply.headers["location"]

    def blob(self, data: bytes, repo: str = REPO) -> str:
        reply = self("PUT", with_query(self.begin(repo), f"digest={sha256(data)}"), data)
        assert reply.status == 201
        return sha256(data)

    def manifest(self, ref: str, data: bytes, kind: str = OCI_MANIFEST, repo: str = REPO) -> Reply:
        return self("PUT", f"/v2/{repo}/manifests/{ref}", data, Content_Type=kind)


def with_query(url: str, query: str) -> str:
    return url + ("&" if "?" in url else "?") + query


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Program(tmp_path_factory.mktemp("conformance") / "registry", "--anonymous-push", "--allow-delete") as server:
        yield Client(server.address)


def pushed(ask: Client, reply: Reply, data: bytes, repo: str = REPO) -> None:
    """What must hold behind every way to push a blob."""
    assert reply.status == 201, reply
    assert reply.headers.get("docker-content-digest", sha256(data)) == sha256(data)
    assert ask("GET", reply.headers["location"]).body == data
    head = ask("HEAD", f"/v2/{repo}/blobs/{sha256(data)}")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(data)), b"")
    assert head.headers["docker-content-digest"] == sha256(data)
    assert ask("DELETE", f"/v2/{repo}/blobs/{sha256(data)}").status == 202
    assert ask("HEAD", f"/v2/{repo}/blobs/{sha256(data)}").status == 404


def test_ping(ask):
    assert ask("GET", "/v2/").status == 200


# --- pull


def test_pull_what_is_absent(ask):
    for method in ("HEAD", "GET"):
        assert ask(method, f"/v2/{REPO}/blobs/{sha256(b'absent')}").status == 404
        assert ask(method, f"/v2/{REPO}/manifests/absent").status == 404
        assert ask(method, f"/v2/{REPO}/manifests/{sha256(b'absent')}").status == 404
        assert ask(method, f"/v2/{REPO}/manifests/sha256:baddigeststring").status in (400, 404)
        assert ask(method, f"/v2/{REPO}/manifests/.INVALID_MANIFEST_NAME").status in (400, 404)
    reply = ask("GET", f"/v2/{REPO}/manifests/absent")
    assert all({"code", "message"} <= one.keys() for one in reply.json["errors"])


def test_pull_by_tag_and_digest(ask):
    ask.blob(b"{}")
    ask.blob(BLOB)
    data = image(BLOB)
    assert ask.manifest("pulled", data).status == 201
    for ref in ("pulled", sha256(data)):
        for method in ("HEAD", "GET"):
            reply = ask(method, f"/v2/{REPO}/manifests/{ref}", Accept=f"{OCI_INDEX}, {OCI_MANIFEST}")
            assert (reply.status, reply.headers["content-length"]) == (200, str(len(data)))
            assert (reply.headers["content-type"], reply.headers["docker-content-digest"]) == (OCI_MANIFEST, sha256(data))
            assert reply.body == (data if method == "GET" else b"")


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 3000),
        ("bytes=-500", 2501, 3000),
        ("bytes=2000-5000", 2000, 3000),
        ("bytes=500-0", -1, -1),
        ("bytes=5000-10000", -1, -1),
    ],
)
def test_pull_a_part(ask, header, first, last):
    ask.blob(BLOB)
    reply = ask("GET", f"/v2/{REPO}/blobs/{DIGEST}", Range=header)
    if first < 0:
        assert reply.status == 416
    else:
        assert (reply.status, reply.body) == (206, BLOB[first : last + 1])
        assert reply.headers["content-range"] == f"bytes {first}-{last}/3001"


# --- push


def test_push_in_one_request(ask):
    data = os.urandom(100)
    pushed(ask, ask("POST", f"/v2/{REPO}/blobs/uploads/?digest={sha256(data)}", data), data)


def test_push_with_post_and_put(ask):
    data = os.urandom(100)
    pushed(ask, ask("PUT", with_query(ask.begin(), f"digest={sha256(data)}"), data), data)


def test_push_as_a_stream(ask):
    data = os.urandom(3001)
    reply = ask("PATCH", ask.begin(), data)
    assert reply.status == 202
    pushed(ask, ask("PUT", with_query(reply.headers["location"], f"digest={sha256(data)}"), b""), data)


@pytest.mark.parametrize("disorder", [False, True])
@pytest.mark.parametrize("last_with_put", [False, True])
def test_push_in_chunks(ask, disorder, last_with_put):
    data = os.urandom(3 * CHUNK - 5)
    where, have = ask.begin(), 0
    while have < len(data):
        if disorder:
            start = have + CHUNK if have + CHUNK < len(data) else 0
            piece = data[start : start + CHUNK]
            ends = last_with_put and start + len(piece) == len(data)
            url = with_query(where, f"digest={sha256(data)}") if ends else where
            reply = ask("PUT" if ends else "PATCH", url, piece, Content_Range=f"{start}-{start + len(piece) - 1}")
            if start != have:
                assert reply.status == 416
                state = ask("GET", where)
                assert (state.status, state.headers["range"]) == (204, f"0-{max(have - 1, 0)}")
                where = state.headers["location"]
        piece = data[have : have + CHUNK]
        span = f"{have}-{have + len(piece) - 1}"
        have += len(piece)
        if have == len(data) and last_with_put:
            pushed(ask, ask("PUT", with_query(where, f"digest={sha256(data)}"), piece, Content_Range=span), data)
            return
        reply = ask("PATCH", where, piece, Content_Range=span)
        assert (reply.status, reply.headers["range"]) == (202, f"0-{have - 1}")
        where = reply.headers["location"]
    pushed(ask, ask("PUT", with_query(where, f"digest={sha256(data)}"), b""), data)


def test_push_of_nothing_and_of_another_algorithm(ask):
    pushed(ask, ask("POST", f"/v2/{REPO}/blobs/uploads/?digest={sha256(b'')}", b""), b"")
    data = os.urandom(100)
    digest = "sha512:" + hashlib.sha512(data).hexdigest()
    assert ask("PUT", with_query(ask.begin(), f"digest={digest}"), data).status == 201
    assert ask("GET", f"/v2/{REPO}/blobs/{digest}").body == data
    ask.blob(b"{}")
    manifest = image()
    digest = "sha512:" + hashlib.sha512(manifest).hexdigest()
    reply = ask.manifest(digest, manifest)
    assert (reply.status, reply.headers["docker-content-digest"]) == (201, digest)
    assert ask("GET", f"/v2/{REPO}/manifests/{digest}").body == manifest


def test_a_push_is_called_off(ask):
    where = ask.begin()
    assert ask("DELETE", where).status == 204
    assert ask("GET", where).status == 404


def test_a_push_under_a_wrong_digest(ask):
    for digest in (sha256(b"another"), "sha256:baddigeststring"):
        assert ask("PUT", with_query(ask.begin(), f"digest={digest}"), BLOB).status == 400
        assert ask("POST", f"/v2/{REPO}/blobs/uploads/?digest={digest}", BLOB).status == 400
        assert ask("GET", f"/v2/{REPO}/blobs/{digest}").status in (400, 404)
        assert ask.manifest(digest, image()).status == 400


def test_mount(ask):
    data = os.urandom(100)
    ask.blob(data, OTHER)
    for source in (f"&from={OTHER}", ""):
        pushed(ask, ask("POST", f"/v2/{REPO}/blobs/uploads/?mount={sha256(data)}{source}"), data)
    absent = ask("POST", f"/v2/{REPO}/blobs/uploads/?mount={sha256(b'absent')}&from={OTHER}")
    assert absent.status == 202
    pushed(ask, ask("PUT", with_query(absent.headers["location"], f"digest={sha256(b'absent')}"), b"absent"), b"absent")


def test_push_manifests_of_every_kind(ask):
    """An image without layers, an artifact, an index, one within an index, one without images, fields nobody knows."""
    ask.blob(b"{}")
    ask.blob(BLOB)
    plain, unknown = image(), image(BLOB, surprise={"a": [1, None]}, annotations={"é": "\u2603"})
    artifact = _artifact()
    rows = [descriptor(plain, OCI_MANIFEST)]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}).encode()
    nested = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(index, OCI_INDEX)]}).encode()
    nothing = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    every = [(plain, OCI_MANIFEST), (unknown, OCI_MANIFEST), (artifact, OCI_MANIFEST)]
    for data, kind in [*every, (index, OCI_INDEX), (nested, OCI_INDEX), (nothing, OCI_INDEX)]:
        for ref in ("every", sha256(data)):
            reply = ask.manifest(ref, data, kind)
            assert (reply.status, reply.headers["docker-content-digest"]) == (201, sha256(data)), reply
            back = ask("GET", reply.headers["location"], Accept=f"{OCI_INDEX}, {OCI_MANIFEST}")
            assert (back.status, back.body, back.headers["content-type"]) == (200, data, kind)


def _artifact() -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/vnd.example",
        "config": EMPTY,
        "layers": [EMPTY],
    }
    return json.dumps(document).encode()


# --- content discovery


def test_tags_of_nothing(ask):
    assert ask("GET", "/v2/conformance/nothing/tags/list").status in (200, 404)


def test_tags(ask):
    repo = "conformance/tags"
    ask.blob(b"{}", repo)
    names = ["test0", "test1", "TEST2", "test3"]
    for name in names:
        assert ask.manifest(name, image(), repo=repo).status == 201
    listed = ask("GET", f"/v2/{repo}/tags/list").json
    assert listed["name"] == repo and sorted(listed["tags"]) == sorted(names)
    assert len(ask("GET", f"/v2/{repo}/tags/list?n=2").json["tags"]) == 2
    assert ask("GET", f"/v2/{repo}/tags/list?n=0").json["tags"] == []
    for last in (*names, "test1x"):
        assert ask("GET", f"/v2/{repo}/tags/list?last={last}").json["tags"] == [one for one in sorted(names) if one > last]
    assert ask("GET", f"/v2/{repo}/tags/list?n=1&last=test0").json["tags"] == ["test1"]


def test_referrers(ask):
    repo = "conformance/referrers"
    ask.blob(b"{}", repo)
    subject = image(annotations={"of": "the subject"})
    about = descriptor(subject, OCI_MANIFEST)
    empty = ask("GET", f"/v2/{repo}/referrers/{about['digest']}")
    assert (empty.status, empty.headers["content-type"]) == (200, OCI_INDEX)
    assert (empty.json["schemaVersion"], empty.json["mediaType"], empty.json["manifests"]) == (2, OCI_INDEX, [])
    told: dict[str, tuple[bytes, str, str]] = {}
    for kind, data in {
        "a/by-field": image(config=b"{}", artifactType="a/by-field", subject=about, annotations={"k": "v"}),
        "application/octet-stream": image(subject=about),  # by the config's type
    }.items():
        told[sha256(data)] = data, OCI_MANIFEST, kind
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": "a/index", "manifests": [], "subject": about}
    index = json.dumps(document).encode()
    told[sha256(index)] = index, OCI_INDEX, "a/index"
    for digest, (data, media, _) in told.items():  # the subject may come later
        reply = ask.manifest(digest, data, media, repo)
        assert (reply.status, reply.headers["oci-subject"]) == (201, about["digest"])
    assert ask.manifest("subject", subject, repo=repo).status == 201
    rows = ask("GET", f"/v2/{repo}/referrers/{about['digest']}").json["manifests"]
    assert {row["digest"]: (row["size"], row["mediaType"], row["artifactType"]) for row in rows} == {
        digest: (len(data), media, kind) for digest, (data, media, kind) in told.items()
    }
    assert [row.get("annotations") for row in rows if row["artifactType"] == "a/by-field"] == [{"k": "v"}]
    reply = ask("GET", f"/v2/{repo}/referrers/{about['digest']}?artifactType=a/index")
    assert [row["digest"] for row in reply.json["manifests"]] == [sha256(index)]
    assert reply.headers["oci-filters-applied"] == "artifactType"
    assert ask("DELETE", f"/v2/{repo}/manifests/{sha256(index)}").status == 202
    assert len(ask("GET", f"/v2/{repo}/referrers/{about['digest']}").json["manifests"]) == 2


# --- content management


def test_deletes(ask):
    repo = "conformance/deletes"
    ask.blob(b"{}", repo)
    ask.blob(BLOB, repo)
    data = image(BLOB)
    for tag in ("one", "two"):
        ask.manifest(tag, data, repo=repo)
    assert ask("DELETE", f"/v2/{repo}/manifests/one").status == 202
    assert ask("HEAD", f"/v2/{repo}/manifests/one").status == 404
    assert ask("HEAD", f"/v2/{repo}/manifests/two").status == 200
    assert ask("DELETE", f"/v2/{repo}/manifests/{sha256(data)}").status == 202
    for ref in ("two", sha256(data)):
        assert ask("GET", f"/v2/{repo}/manifests/{ref}").status == 404
    listed = ask("GET", f"/v2/{repo}/tags/list")
    assert listed.status == 404 or not listed.json["tags"]
    assert ask("DELETE", f"/v2/{repo}/blobs/{DIGEST}").status == 202
    assert ask("HEAD", f"/v2/{repo}/blobs/{DIGEST}").status == 404
    for gone in (f"manifests/{sha256(data)}", "manifests/one", f"blobs/{DIGEST}"):
        assert ask("DELETE", f"/v2/{repo}/{gone}").status == 404

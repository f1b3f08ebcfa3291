"""Compose applications as artifacts: what is written, what is read back, and what is refused."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.compose import artifact, remote
from scow.compose.artifact import COMPOSE_FILE, ENV_FILE, Layer
from scow.compose.commands.publish import Files
from scow.errors import ScowError


class Refused(ScowError):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class Registry:
    """A repository in memory; `refuses` is the status with which it answers OCI 1.1."""

    def __init__(self, refuses: int = 0) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.refuses = refuses

    def upload(self, digest: str, data: bytes) -> None:
        self.blobs[digest] = data

    def blob(self, digest: str, size: int) -> bytes:
        return self.blobs[digest]

    def put(self, ref: str, media_type: str, data: bytes) -> None:
        if self.refuses and b"artifactType" in data:
            raise Refused(self.refuses)
        self.manifests[ref] = data

    def manifest(self, ref: str) -> Any:
        data = self.manifests[ref]
        return SimpleNamespace(data=data, digest="sha256:" + hashlib.sha256(data).hexdigest())


LAYERS = [
    Layer(name="compose.yaml", data=b"services: {a: {image: x}}"),
    Layer(name="over.yaml", data=b"services: {a: {init: true}}"),
    Layer(name="abc.yaml", data=b"services: {}", extended=True),
    Layer(name="abc.env", data=b"A=1", kind=ENV_FILE),
]


@pytest.mark.parametrize(("refuses", "version", "kind"), [(0, "", artifact.PROJECT), (400, "", None), (0, "1.0", None)])
def test_what_is_pushed_is_pulled(tmp_path: Path, refuses: int, version: str, kind: str | None) -> None:
    registry: Any = Registry(refuses)
    digest = artifact.push(registry, "1", LAYERS, version)["digest"]
    found = json.loads(registry.manifests["1"])
    assert found.get("artifactType") == kind
    assert found["config"]["mediaType"] == (artifact.OCI_EMPTY if kind else artifact.EMPTY_CONFIG)
    assert found["layers"][0]["annotations"]["com.docker.compose.file"] == "compose.yaml"
    assert artifact.pull(registry, "1") == (digest, LAYERS)
    artifact.write(LAYERS, str(tmp_path))
    assert (tmp_path / "compose.yaml").read_text() == "services: {a: {image: x}}\n---\nservices: {a: {init: true}}"
    assert (tmp_path / "abc.env").read_text() == "A=1"


@pytest.mark.parametrize("refuses", [401, 500])
def test_only_what_may_be_a_matter_of_the_version_is_tried_again(refuses: int) -> None:
    with pytest.raises(Refused):
        artifact.push(Registry(refuses), "1", LAYERS)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "a\\b", "x" * 300])
def test_files_that_would_lie_elsewhere_are_refused(name: str) -> None:
    registry: Any = Registry()
    for kind, extended in ((COMPOSE_FILE, True), (ENV_FILE, False)):
        artifact.push(registry, "1", [Layer(name=name, data=b"", kind=kind, extended=extended)])
        with pytest.raises(ScowError, match="no name that a file may have"):
            artifact.pull(registry, "1")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"config": 1, "layers": 1}', b'{"artifactType": "other"}', b'{"manifests": [1]}',
                json.dumps({"artifactType": artifact.PROJECT, "layers": "x"}).encode()],
)  # fmt: skip
def test_other_manifests(content: bytes) -> None:
    registry: Any = Registry()
    registry.manifests["1"] = content
    with pytest.raises(ScowError):
        artifact.pull(registry, "1")


def test_files_are_published_as_written_but_for_names(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("services: {base: {image: b, extends: {file: deeper.yaml, service: x}}}")
    (tmp_path / "deeper.yaml").write_text("services: {x: {image: c}}")
    (tmp_path / "env").write_text("A=1\n")
    text = """# kept
services:
  a: {image: "x:${TAG:-1}", extends: {file: './base.yaml', service: base}, env_file: env}
  b:
    env_file: [{path: ./env, required: false}, gone]
    environment: {PASSWORD: hidden, TOKEN: $TOKEN, USER: me}
"""
    (tmp_path / "compose.yaml").write_text(text)
    files = Files(True)
    files.add(str(tmp_path / "compose.yaml"))
    assert [(layer.kind, layer.extended) for layer in files.layers] == [
        (ENV_FILE, False), (COMPOSE_FILE, False), (COMPOSE_FILE, True), (COMPOSE_FILE, True),
    ]  # fmt: skip
    env, whole, base, deeper = files.layers
    assert whole.data.decode() == text.replace("'./base.yaml'", base.name).replace("env_file: env", f"env_file: {env.name}").replace(
        "path: ./env", f"path: {env.name}"
    )
    assert deeper.name.encode() in base.data
    assert files.sensitive == {"b": "PASSWORD"}
    without = Files(False)
    without.add(str(tmp_path / "compose.yaml"))
    assert b"env_file: env}" in without.layers[0].data
    assert set(without.env_files) == {"a", "b"}


def test_local_includes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("include: [oci://example.org/x, {path: other.yaml}]")
    with pytest.raises(ScowError, match="includes other"):
        Files(False).add(str(tmp_path / "compose.yaml"))


def test_what_is_no_address(tmp_path: Path) -> None:
    session: Any = SimpleNamespace(environ={"XDG_CACHE_HOME": str(tmp_path), "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false"})
    with pytest.raises(ScowError, match="turned off"):
        remote.local(session, "oci://example.org/x")
    for address in ("https://x/y.git#--upload-pack=x", "-x.git#main"):
        with pytest.raises(ScowError, match="no address"):
            remote.local(session, address)

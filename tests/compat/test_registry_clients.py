"""Other people's clients against `scow registry serve`: the docker CLI (through scowd), skopeo, podman; each where it is installed."""

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Cli
from tests.support.engine import Engine
from tests.support.registryprogram import Program, free_port, run

USER, PASSWORD = "ann", "pass word"


@pytest.fixture(scope="module", params=["open", "basic", "token"])
def registry(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, str]]:
    """(server, kind): open to everybody, with Basic, or with the token endpoint."""
    root = tmp_path_factory.mktemp("registry") / request.param
    flags = ["--anonymous-push"] if request.param == "open" else ["--auth", request.param]
    if request.param != "open":
        run("user", "add", USER, "--password-stdin", "--grant", "**:*", root=root, stdin=PASSWORD.encode())
    with Program(root, "--allow-delete", *flags) as program:
        yield program, request.param


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}")
    return found


def layout(folder: Path, layers: int = 2) -> None:
    """An OCI image layout with the tag v1."""

    def blob(data: bytes) -> dict[str, Any]:
        name = hashlib.sha256(data).hexdigest()
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        (folder / "blobs/sha256" / name).write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    rows, diffs = [], []
    for at in range(layers):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            member = tarfile.TarInfo(f"file{at}")
            member.size = 3_000_000
            tar.addfile(member, io.BytesIO(bytes([at]) * member.size))
        diffs.append("sha256:" + hashlib.sha256(out.getvalue()).hexdigest())
        rows.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **blob(gzip.compress(out.getvalue(), 1, mtime=0))})
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}}
    kind = "application/vnd.oci.image.manifest.v1+json"
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(json.dumps(config).encode())}
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": rows}
    top = {"mediaType": kind, **blob(json.dumps(manifest).encode()), "annotations": {"org.opencontainers.image.ref.name": "v1"}}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def call(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def test_skopeo(registry: tuple[Program, str], tmp_path: Path) -> None:
    skopeo = needs("skopeo")
    program, kind = registry
    layout(tmp_path / "in")
    reference = f"docker://{program.address}/skopeo/{kind}"
    tls = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    login = [] if kind == "open" else [f"--src-creds={USER}:{PASSWORD}", f"--dest-creds={USER}:{PASSWORD}"]
    own = [] if kind == "open" else ["--creds", f"{USER}:{PASSWORD}"]
    copy = [skopeo, "copy", "--insecure-policy"]
    call(*copy, "--dest-tls-verify=false", *login[1:], f"oci:{tmp_path / 'in'}:v1", f"{reference}:v1")
    call(*copy, "--dest-tls-verify=false", *login[1:], "--format", "v2s2", f"oci:{tmp_path / 'in'}:v1", f"{reference}:docker")
    call(*copy, *tls, *login, f"{reference}:v1", f"{reference}/mounted:v1")
    assert json.loads(call(skopeo, "list-tags", "--tls-verify=false", *own, reference))["Tags"] == ["docker", "v1"]
    inspected = json.loads(call(skopeo, "inspect", "--tls-verify=false", *own, f"{reference}:docker"))
    assert len(inspected["Layers"]) == 2
    call(*copy, "--src-tls-verify=false", *login[:1], f"{reference}:v1", f"oci:{tmp_path / 'out'}:v1")
    names = {path.name for path in (tmp_path / "in/blobs/sha256").iterdir()}
    assert names == {path.name for path in (tmp_path / "out/blobs/sha256").iterdir()}
    call(skopeo, "delete", "--tls-verify=false", *own, f"{reference}:v1")
    assert "v1" not in json.loads(call(skopeo, "list-tags", "--tls-verify=false", *own, reference))["Tags"]


@pytest.mark.slow
def test_podman(registry: tuple[Program, str], tmp_path: Path) -> None:
    podman = needs("podman")
    program, kind = registry
    short = tempfile.mkdtemp(prefix="pm", dir="/tmp")  # podman takes no longer path
    store = ["--root", f"{short}/s", "--runroot", f"{short}/r", "--storage-driver", "vfs"]
    layout(tmp_path / "in")
    login = [] if kind == "open" else ["--creds", f"{USER}:{PASSWORD}"]
    reference = f"{program.address}/podman/{kind}:v1"
    try:
        identity = call(podman, *store, "pull", "-q", f"oci:{tmp_path / 'in'}:v1").strip()
        call(podman, *store, "push", "--tls-verify=false", *login, identity, reference)
        call(podman, *store, "rmi", "-f", identity)
        assert call(podman, *store, "pull", "-q", "--tls-verify=false", *login, reference).strip() == identity
    finally:
        shutil.rmtree(short, ignore_errors=True)


@pytest.mark.parametrize("auth", ["basic", "token"])
def test_docker(engine: Engine, docker: Cli, tmp_path: Path, auth: str) -> None:
    root = tmp_path / "r"
    run("user", "add", USER, "--password-stdin", "--grant", "**:*", root=root, stdin=PASSWORD.encode())
    engine.busybox()
    inside = ["nsenter", f"--net=/run/netns/{engine.name}"]
    with Program(root, "--auth", auth, prefix=inside, port=free_port()) as program:
        config = ("--config", str(tmp_path / "config"))
        reference = f"{program.address}/docker/{auth}:v1"
        docker("tag", "busybox", reference)
        assert docker(*config, "push", reference, code=1).err
        assert docker(*config, "login", "-u", USER, "--password-stdin", program.address, stdin=b"wrong", code=1).err
        docker(*config, "login", "-u", USER, "--password-stdin", program.address, stdin=PASSWORD.encode())
        pushed = docker(*config, "push", reference).lines[-1]
        assert pushed.startswith("v1: digest: sha256:")
        identity = docker("inspect", "-f", "{{.Id}}", reference).out
        docker("rmi", reference)
        docker(*config, "pull", reference)
        assert docker("inspect", "-f", "{{.Id}}", reference).out == identity
        docker("rmi", reference)
        assert program.stop() == 0
        assert "Traceback" not in program.log

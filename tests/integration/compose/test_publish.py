"""Applications in a registry and in a git repository: published, and brought up from there."""

import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.compose import Project
from tests.support.registryprogram import Program

FILE = """
services:
  web: {image: busybox, command: "sleep ${TIME:-1000}", stop_signal: KILL, env_file: ./own.env, extends: {file: base.yaml, service: base}}
"""
BASE = "services: {base: {environment: {FROM: base}}}"


@pytest.mark.slow
def test_an_application_is_published_and_brought_up_from_the_registry(project: Project, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    for name, text in (
        ("compose.yaml", FILE),
        ("base.yaml", BASE),
        ("own.env", "MINE=1\n"),
        ("over.yaml", "services: {web: {init: true}}"),
    ):
        (tmp_path / "src" / name).write_text(text)
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    cli = project.cli
    with Program(tmp_path / "registry", "--anonymous-push") as registry:
        name = f"{registry.address}/team/app:1"
        files = ("-f", "src/compose.yaml", "-f", "src/over.yaml")
        refused = cli("compose", *files, "publish", name, code=130, cwd=tmp_path, env=env)
        assert "what may be secret" in refused.err
        cli("compose", *files, "publish", "--with-env", name, cwd=tmp_path, env=env)
        shutil.rmtree(tmp_path / "src")
        there = ("compose", "-p", project.name, "-f", f"oci://{name}")
        shown = cli(*there, "config", cwd=tmp_path, env=env).out
        assert "init: true" in shown
        assert 'MINE: "1"' in shown
        cli(*there, "up", "-d", cwd=tmp_path, env=env)
        assert cli(*there, "exec", "-T", "web", "sh", "-c", "echo $FROM $MINE", cwd=tmp_path, env=env).out == "base 1"
        project.file(f"include: ['oci://{name}']\nservices: {{more: {{image: busybox, command: sleep 1000, stop_signal: KILL}}}}")
        assert sorted(project("config", "--services", env=env).lines) == ["more", "web"]
        for version in ("1.0", "1.1"):
            cli("compose", *there[3:], "publish", "--with-env", "--oci-version", version, name, cwd=tmp_path, env=env)
        _image(registry)
        (tmp_path / "app.yaml").write_text(f"services: {{one: {{image: '{registry.address}/base/one:1'}}}}")
        cli("compose", "-f", "app.yaml", "publish", "--app", f"{registry.address}/team/whole:1", cwd=tmp_path, env=env)
        with urlopen(f"http://{registry.address}/v2/team/whole/manifests/{_digest(MANIFEST)}") as answer:
            assert answer.read() == MANIFEST
        shown = cli("compose", "-f", f"oci://{registry.address}/team/whole:1", "config", "--images", cwd=tmp_path, env=env).out
        assert shown == f"{registry.address}/base/one:1"
    done = cli(*there, "config", code=None, cwd=tmp_path, env=env)
    assert done.code
    assert "Traceback" not in done.err


LAYER = b"layer"
KIND = "application/vnd.oci.image.manifest.v1+json"


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": KIND,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _digest(b"{}"), "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": _digest(LAYER), "size": len(LAYER)}],
    }
).encode()


def _image(registry: Program) -> None:
    """An image base/one:1 in the registry."""

    def send(method: str, path: str, data: bytes, kind: str) -> None:
        with urlopen(Request(f"http://{registry.address}/v2/base/one/{path}", data, {"Content-Type": kind}, method=method)):
            pass

    for data in (LAYER, b"{}"):
        send("POST", f"blobs/uploads/?digest={_digest(data)}", data, "application/octet-stream")
    send("PUT", "manifests/1", MANIFEST, KIND)


@contextmanager
def repository(folder: Path, files: dict[str, str]) -> Iterator[str]:
    """A git repository behind a web server."""

    def git(*words: str) -> None:
        subprocess.run(
            ["git", "-C", folder, "-c", "user.name=x", "-c", "user.email=x@example.org", *words], check=True, capture_output=True
        )

    folder.mkdir()
    git("init", "-q", "-b", "main")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git("add", ".")
    git("commit", "-qm", "first")
    git("tag", "v1")
    git("update-server-info")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/.git"
    server.shutdown()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_files_of_git_repositories(project: Project, tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    files = {
        "compose.yaml": "services: {web: {image: busybox}}",
        "sub/own.yaml": "services: {deep: {image: busybox, volumes: ['./data:/d']}}",
    }
    with repository(tmp_path / "repo", files) as address:
        project.file(f"include: ['{address}#main', '{address}#v1:sub/own.yaml']")
        assert sorted(project("config", "--services", env=env).lines) == ["deep", "web"]
        assert str(tmp_path / "cache") in project("config", env=env).out
        project.file(f"services: {{a: {{extends: {{file: '{address}#main', service: web}}}}}}")
        assert project("config", "--images", env=env).out == "busybox"
        for wrong, text in (("#none", "the repository has no none"), ("#main:../x", "is not inside"), ("#main:nothing", "no nothing")):
            project.file(f"include: ['{address}{wrong}']")
            assert text in project("config", code=15, env=env).err
    kept = [path.name for path in (tmp_path / "cache/scow/compose").iterdir()]
    assert len(kept) == 1

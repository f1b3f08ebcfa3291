"""The buildx plugin as it is, with its default driver, against scowd: what a user of `docker build` sees."""

import json
import os
import re
import signal
import stat
import tarfile
import uuid
from pathlib import Path

import pytest

from tests.support.cli import Cli
from tests.support.engine import Engine, until
from tests.support.registryprogram import Program


@pytest.fixture(scope="module")
def buildx(docker: Cli) -> Cli:
    """The docker CLI, which has the plugin."""
    if docker("buildx", "version", code=None).code:
        pytest.skip("needs the buildx plugin")
    return docker


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


STAGES = """FROM busybox AS one
ARG WORD=hello
RUN --mount=type=cache,target=/cache echo $WORD >/w; echo x >>/cache/f
RUN --mount=type=secret,id=tok cat /run/secrets/tok | wc -c >/n
FROM busybox
COPY --from=one /w /n /
COPY --chmod=600 d /d/
CMD ["cat", "/w"]
"""


def test_a_build_its_cache_and_its_outputs(buildx: Cli, tmp_path: Path) -> None:
    folder = write(tmp_path / "ctx", {"Dockerfile": STAGES, "d/f": "1", "d/skip": "", ".dockerignore": "d/skip\n"})
    secret = ["--secret", "id=tok,env=TOKEN"]
    args = [*secret, "-t", "made:1", "--metadata-file", str(tmp_path / "meta.json"), str(folder)]
    first = buildx("buildx", "build", *args, env={"TOKEN": "12345"})
    assert "RUN --mount=type=cache" in first.err and "naming to docker.io/library/made:1" in first.err
    assert buildx("run", "--rm", "made:1").out == "hello" and buildx("run", "--rm", "made:1", "cat", "/n").out == "5"
    assert buildx("run", "--rm", "made:1", "ls", "/d").out == "f"
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta["containerimage.config.digest"] == buildx("inspect", "-f", "{{.Id}}", "made:1").out and meta["buildx.build.ref"]
    again = buildx("buildx", "build", *args, env={"TOKEN": "12345"})
    assert len(re.findall(r"^#\d+ CACHED", again.err, re.M)) >= 4
    assert json.loads((tmp_path / "meta.json").read_text())["containerimage.config.digest"] == meta["containerimage.config.digest"]
    (folder / "d/f").write_text("22")
    buildx("buildx", "build", *secret, "-o", str(tmp_path / "out"), str(folder), env={"TOKEN": "12345"})
    assert (tmp_path / "out/d/f").read_text() == "22"
    oci = tmp_path / "oci.tar"
    buildx("buildx", "build", "-q", *secret, "-o", f"type=oci,dest={oci}", "--provenance=true", str(folder), env={"TOKEN": "12345"})
    with tarfile.open(oci) as tar:
        assert {"index.json", "oci-layout", "manifest.json"} <= set(tar.getnames())
    assert re.search(r"^Total:", buildx("buildx", "du").out, re.M) and "running" in buildx("buildx", "ls").out


def test_errors_show_the_lines_of_the_dockerfile(buildx: Cli, tmp_path: Path) -> None:
    folder = write(tmp_path, {"Dockerfile": "FROM busybox\nENV A=1\nRUN echo told; exit 9\n"})
    failed = buildx("buildx", "build", str(folder), code=1)
    assert (
        "Dockerfile:3" in failed.err and ">>> RUN echo told; exit 9" in failed.err and "exit code: 9" in failed.err and "told" in failed.err
    )


def test_a_cancelled_build_leaves_no_process(buildx: Cli, tmp_path: Path) -> None:
    mark = "97531." + str(uuid.uuid4().int)[:8]
    folder = write(tmp_path, {"Dockerfile": f"FROM busybox\nRUN sleep {mark}\n"})

    def running() -> list[str]:
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                line = Path("/proc", pid, "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(b"sleep\0" + mark.encode()):
                found.append(pid)
        return found

    with buildx.background("buildx", "build", str(folder)) as client:
        until(lambda: bool(running()), what="the step to run")
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=60)
        assert client.returncode != 0
    until(lambda: not running(), what="the step to be gone")


def test_a_cache_goes_through_a_directory(buildx: Cli, tmp_path: Path) -> None:
    folder = write(tmp_path / "ctx", {"Dockerfile": f"FROM busybox\nRUN echo {uuid.uuid4()}; cat /proc/sys/kernel/random/uuid >/u\n"})
    cache = tmp_path / "cache"
    buildx("buildx", "build", "-q", "-t", "cached:1", "--cache-to", f"type=local,dest={cache},mode=max", str(folder))
    made = buildx("run", "--rm", "cached:1", "cat", "/u").out
    buildx("rmi", "-f", "cached:1")
    buildx("builder", "prune", "-af")
    again = buildx("buildx", "build", "-t", "cached:1", "--cache-from", f"type=local,src={cache}", str(folder))
    assert re.search(r"^#\d+ CACHED", again.err, re.M) and buildx("run", "--rm", "cached:1", "cat", "/u").out == made


def test_several_platforms_are_one_image(buildx: Cli, tmp_path: Path) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY f /f-$TARGETARCH\n"
    folder = write(tmp_path / "ctx", {"Dockerfile": text, "f": "x"})
    buildx("buildx", "build", "-q", "--platform", "linux/amd64,linux/arm64", "-t", "many:1", str(folder))
    with_index = tmp_path / "many.tar"
    buildx("save", "-o", str(with_index), "many:1")
    with tarfile.open(with_index) as tar:
        member = tar.extractfile("index.json")
        assert member is not None and json.loads(member.read())["manifests"][0]["mediaType"].endswith("image.index.v1+json")
    buildx("buildx", "build", "-q", "--platform", "linux/amd64,linux/arm64", "-o", str(tmp_path / "out"), str(folder))
    assert sorted(one.name for one in (tmp_path / "out").rglob("f-*")) == ["f-amd64", "f-arm64"]


def test_times_are_those_of_the_build(buildx: Cli, tmp_path: Path) -> None:
    """As BuildKit: a cached build is the same image, one made anew is of now even when its files are those of an older one."""
    folder = write(tmp_path, {"Dockerfile": "FROM busybox\nRUN echo same-files >/timed\nENV A=1\n"})
    created = ["inspect", "-f", "{{.Created}}", "timed:1"]
    buildx("buildx", "build", "-q", "-t", "timed:1", str(folder))
    first = buildx(*created).out
    buildx("buildx", "build", "-q", "-t", "timed:1", str(folder))
    assert buildx(*created).out == first
    buildx("buildx", "build", "-q", "--no-cache", "-t", "timed:1", str(folder))
    assert buildx(*created).out > first


def test_devices_of_a_context(buildx: Cli, tmp_path: Path) -> None:
    folder = write(tmp_path, {"Dockerfile": "FROM busybox\nCOPY d /d/\nRUN ! cat /d/disk\n", "d/f": ""})
    os.mknod(folder / "d/disk", 0o644 | stat.S_IFBLK, os.makedev(7, 0))
    buildx("buildx", "build", "-q", "-t", "devices:1", str(folder))
    assert buildx("run", "--rm", "devices:1", "stat", "-c", "%F %t,%T", "/d/disk").out == "block special file 7,0"


def test_base_images_stay_in_the_cache(engine: Engine, buildx: Cli, tmp_path: Path) -> None:
    with Program(tmp_path / "registry", "--anonymous-push", prefix=engine._inside([])) as registry:
        name = f"{registry.address}/base:1"
        buildx("tag", "busybox", name)
        buildx("push", "-q", name)
        buildx("rmi", name)
        folder = write(tmp_path / "ctx", {"Dockerfile": f"FROM {name}\nRUN echo made >/m\n"})
        buildx("buildx", "build", "-q", "-t", "onbase:1", str(folder))
        assert buildx("image", "ls", "-q", name).out == "" and buildx("run", "--rm", "onbase:1", "cat", "/m").out == "made"
        assert f"pulled from {name}" in buildx("buildx", "du", "--verbose").out
        assert re.search(r"^#\d+ CACHED", buildx("buildx", "build", str(folder)).err, re.M)
    again = buildx("buildx", "build", "--build-arg", "X=1", str(folder))  # the registry is gone, and nobody asked to pull
    assert re.search(r"^#\d+ CACHED", again.err, re.M)
    assert buildx("buildx", "build", "--pull", str(folder), code=1).code == 1
    buildx("pull", "-q", name, code=1)
    buildx("rmi", "-f", "onbase:1")
    buildx("builder", "prune", "-af")
    assert "pulled from" not in buildx("buildx", "du", "--verbose").out
    assert buildx("buildx", "build", str(folder), code=1).code == 1

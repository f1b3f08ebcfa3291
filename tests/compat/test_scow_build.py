"""`scow build` through both doors of scowd: what a user sees and gets."""

import json
import re
import tarfile
import uuid
from pathlib import Path

import pytest

from tests.support.cli import Cli

STAGES = """FROM busybox AS one
ARG WORD=hello
RUN echo $WORD >/w
RUN --mount=type=secret,id=tok cat /run/secrets/tok | wc -c >/n
FROM busybox
COPY --from=one /w /n /
COPY --chmod=600 d /d/
CMD ["cat", "/w"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ctx"
    (made / "d").mkdir(parents=True)
    for name, text in (("Dockerfile", STAGES), ("d/f", "1"), ("d/skip", ""), (".dockerignore", "d/skip\n")):
        (made / name).write_text(text)
    return made


def test_buildkit(scow: Cli, folder: Path, tmp_path: Path) -> None:
    args = ["build", "--progress=plain", "--secret", "id=tok,env=TOKEN", "-t", "own:1", "--metadata-file", str(tmp_path / "m"), str(folder)]
    first = scow(*args, env={"TOKEN": "12345"})
    assert re.search(r"#\d+ \[one 2/3\] RUN echo hello", first.err) and "transferring dockerfile:" in first.err
    assert scow("run", "--rm", "own:1").out == "hello" and scow("run", "--rm", "own:1", "cat", "/n").out == "5"
    assert scow("run", "--rm", "own:1", "ls", "/d").out == "f"
    assert json.loads((tmp_path / "m").read_text())["containerimage.config.digest"] == scow("inspect", "-f", "{{.Id}}", "own:1").out
    assert len(re.findall(r"^#\d+ CACHED", scow(*args, env={"TOKEN": "12345"}).err, re.M)) >= 3
    explained = scow("build", "--explain", "--progress=quiet", "--secret", "id=tok,env=TOKEN", str(folder), env={"TOKEN": "1"})
    assert "was done before" in explained.out


def test_outputs_and_contexts(scow: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY --from=more m /\nCOPY d /d/\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "m").write_text("m")
    more = ["--build-context", f"more={tmp_path / 'more'}"]
    scow("build", *more, "-o", str(tmp_path / "out"), str(folder))
    assert (tmp_path / "out" / "m").read_text() == "m" and (tmp_path / "out" / "d" / "f").exists()
    scow("build", *more, "-o", f"type=tar,dest={tmp_path / 'out.tar'}", str(folder))
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert {"m", "d/f"} <= {name.removeprefix("./") for name in archive.getnames()}


def test_the_same_files_give_the_same_image(scow: Cli, folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM busybox\nCOPY d /d/\nRUN echo x >/x\n")
    one = scow("build", "-q", "--reproducible", "--no-cache", str(folder)).out
    (folder / "d" / "f").touch()
    assert one.startswith("sha256:") and scow("build", "-q", "--reproducible", "--no-cache", str(folder)).out == one


def test_failures_and_checks(scow: Cli, folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM busybox\nENV A=1\nRUN echo the-output; exit 9\n")
    failed = scow("build", "--progress=plain", str(folder), code=1)
    assert "exit code: 9" in failed.err and "Dockerfile:3" in failed.err and ">>> RUN echo the-output; exit 9" in failed.err
    (folder / "Dockerfile").write_text("FROM busybox AS Upper\nRUN true\n")
    checked = scow("build", "--check", str(folder), code=1)
    assert "StageNameCasing" in checked.out and "Dockerfile:1" in checked.out
    assert scow("build", "--call=targets", str(folder)).out.splitlines()[-1].startswith("upper (default)")


def test_the_classic_builder(scow: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / "Dockerfile").write_text("FROM busybox\nCOPY d /d/\nRUN ls /d >/n\n")
    env = {"DOCKER_BUILDKIT": "0"}
    made = scow("build", "-t", "own:classic", "--iidfile", str(tmp_path / "id"), str(folder), env=env)
    assert "Step 3/3 : RUN ls /d >/n" in made.out and "Successfully tagged own:classic" in made.out
    assert (tmp_path / "id").read_text() == scow("inspect", "-f", "{{.Id}}", "own:classic").out
    assert scow("run", "--rm", "own:classic", "cat", "/n").out == "f"
    (folder / "Dockerfile").write_text("FROM busybox\nRUN exit 7\n")
    assert "returned a non-zero code: 7" in scow("build", str(folder), env=env, code=7).err


def test_a_cache_in_a_directory(scow: Cli, folder: Path, tmp_path: Path) -> None:
    (folder / "Dockerfile").write_text(f"FROM busybox\nRUN echo {uuid.uuid4()}; cat /proc/sys/kernel/random/uuid >/u\n")
    cache = tmp_path / "cache"
    scow("build", "-q", "-t", "own:kept", "--cache-to", f"type=local,dest={cache},mode=max", str(folder))
    made = scow("run", "--rm", "own:kept", "cat", "/u").out
    scow("rmi", "-f", "own:kept")
    scow("builder", "prune", "-af", "--reserved-space", "0", "--max-used-space", "1k")
    again = scow("build", "--progress=plain", "-t", "own:kept", "--cache-from", f"type=local,src={cache}", str(folder))
    assert re.search(r"^#\d+ CACHED", again.err, re.M) and scow("run", "--rm", "own:kept", "cat", "/u").out == made
    nothing = scow("build", "-q", "--cache-from", f"type=local,src={tmp_path / 'none'}", str(folder))
    assert "no cache in" in nothing.err


def test_devices_that_are_not_there(scow: Cli, folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM busybox\nRUN --device=vendor.com/x=y,required true\n")
    assert 'required device "vendor.com/x=y" is not registered' in scow("build", str(folder), code=1).err
    (folder / "Dockerfile").write_text("FROM busybox\nRUN --device=vendor.com/x=y echo $$ >/f\n")
    scow("build", "-q", str(folder))

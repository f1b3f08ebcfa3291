"""POST /build on a real engine: what the docker CLI cannot easily show. The classic rules themselves are in tests/compat."""

import io
import json
import tarfile
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.engine import Engine, can_run, engines, until
from tests.support.http import Client


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if can_run():
        pytest.skip(can_run())
    yield from engines()


def context(files: dict[str, Any]) -> bytes:
    """A context of {path: text, or a tarfile.TarInfo for what is no file}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


def link(name: str, target: str, hard: bool = False) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = (tarfile.LNKTYPE if hard else tarfile.SYMTYPE), target
    return info


def build(engine: Engine, files: dict[str, Any], **query: str) -> tuple[int, list[dict[str, Any]]]:
    engine.busybox()
    path = "/build?" + urllib.parse.urlencode(query)
    reply = engine.api("POST", path, context(files), {"Content-Type": "application/x-tar"})
    if reply.status != 200:
        return reply.status, [reply.json]
    return 200, [json.loads(line) for line in reply.body.splitlines() if line.strip()]


def text(rows: list[dict[str, Any]]) -> str:
    return "".join(row.get("stream", "") for row in rows)


def run(engine: Engine, image: str, *cmd: str) -> str:
    found = engine.create(*cmd, Image=image)
    engine.api("POST", f"/containers/{found}/start")
    engine.api("POST", f"/containers/{found}/wait")
    return str(engine.api("GET", f"/containers/{found}/logs?stdout=1&stderr=1").body[8:].decode())


def test_steps_are_cached_until_something_that_matters_changes(engine: Engine) -> None:
    file = "FROM busybox\nARG V=1\nCOPY a /a\nRUN cat /proc/sys/kernel/random/uuid >/u\n"
    first, again = build(engine, {"Dockerfile": file, "a": "1"}, t="c1")[1], build(engine, {"Dockerfile": file, "a": "1"}, t="c1")[1]
    assert "Using cache" not in text(first)
    assert text(again).count("Using cache") == 3
    assert first[-3].get("aux") == again[-3].get("aux") != {}
    assert text(build(engine, {"Dockerfile": file, "a": "2"})[1]).count("Using cache") == 1
    assert text(build(engine, {"Dockerfile": file, "a": "1"}, buildargs='{"V": "2"}')[1]).count("Using cache") == 2


def test_links_of_a_context_lead_nowhere_outside(engine: Engine) -> None:
    (engine.dir / "secret").write_text("top secret")
    out = f"../../../../../../../..{engine.dir}/secret"
    for name in ("out", str(engine.dir / "secret").lstrip("/")):
        status, rows = build(engine, {"Dockerfile": f"FROM busybox\nCOPY {name} /got\n", "out": link("out", out)})
        assert status == 400 or "error" in rows[-1], (name, rows)
    status, rows = build(engine, {"Dockerfile": "FROM busybox\nCOPY . /all\n", "out": link("out", out)}, t="links")
    assert status == 200
    assert "top secret" not in run(engine, "links", "cat", "/all/out")
    assert build(engine, {"Dockerfile": "FROM busybox\nCOPY . /all\n", "hard": link("hard", out, hard=True)})[0] == 400


def test_a_link_in_the_image_is_followed_inside_the_image_only(engine: Engine) -> None:
    file = f"FROM busybox\nRUN ln -s {engine.dir}/stolen /d\nCOPY a /d/\nRUN cat {engine.dir}/stolen/a\n"
    status, rows = build(engine, {"Dockerfile": file, "a": "inside"})
    assert status == 200
    assert "inside" in text(rows), rows
    assert not (engine.dir / "stolen").exists()


def test_onbuild_triggers_run_in_the_next_build(engine: Engine) -> None:
    build(engine, {"Dockerfile": "FROM busybox\nONBUILD COPY a /from-trigger\nONBUILD ENV T=1\n"}, t="triggers")
    status, rows = build(engine, {"Dockerfile": "FROM triggers\nRUN cat /from-trigger; echo $T\n", "a": "copied"})
    assert status == 200
    assert "# Executing 2 build triggers" in text(rows)
    assert "copied" in text(rows)


def test_cache_from_lends_the_steps_of_an_image_that_came_from_elsewhere(engine: Engine) -> None:
    file = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid >/u\nENV A=1\n"
    build(engine, {"Dockerfile": file}, t="lender")
    saved = engine.api("GET", "/images/lender/get").body
    for row in engine.api("GET", "/images/json?all=1").json:
        if row["RepoTags"] == ["lender:latest"] or not row["RepoTags"]:
            engine.api("DELETE", f"/images/{row['Id']}?force=1")
    assert engine.api("POST", "/images/load", saved, {"Content-Type": "application/x-tar"}).status == 200
    assert text(build(engine, {"Dockerfile": file}, cachefrom='["lender"]')[1]).count("Using cache") == 2
    assert "Using cache" not in text(build(engine, {"Dockerfile": file}, cachefrom='["busybox"]')[1])


def test_a_daemon_killed_in_the_middle_leaves_nothing_and_a_sound_cache(engine: Engine) -> None:
    file = "FROM busybox\nRUN echo before >/before\nRUN sleep 987\n"
    client = Client(engine.socket)
    body = context({"Dockerfile": file})

    def ask() -> None:
        with_error = client.call("POST", "/build", body, {"Content-Type": "application/x-tar"})
        assert with_error is not None

    thread = threading.Thread(target=lambda: _quietly(ask), daemon=True)
    thread.start()
    until(lambda: any("sleep 987" in line for _, line in _everything()), what="the step")
    engine.restart(9)
    thread.join(30)
    engine.clean()
    assert not any((engine.data / "build" / "contexts").glob("*"))
    again = text(build(engine, {"Dockerfile": file.replace("sleep 987", "cat /before")})[1])
    assert "before\n" in again


def _everything() -> list[tuple[int, str]]:
    from pathlib import Path

    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")))
            except OSError:
                continue
    return found


def _quietly(work: Any) -> None:
    import contextlib
    import http.client

    with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
        work()

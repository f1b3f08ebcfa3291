"""Volumes of plugins in containers, and volumes to archives and back, with a scowd of the test's own."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.volume_plugin import FakePlugin
from tests.support.engine import Engine, can_run, engines, until

SCOW = Path(__file__).parents[3] / ".venv/bin/scow"
PLUGINS = Path("/run/docker/plugins")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    if why := can_run():
        pytest.skip(why)
    yield from engines()


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[tuple[str, FakePlugin]]:
    """A plugin where the engine looks for them, and its name."""
    name = f"scowtest{os.getpid()}"
    made = [folder for folder in (PLUGINS, PLUGINS.parent) if not folder.exists()]
    fake = FakePlugin(PLUGINS / f"{name}.sock", tmp_path / "files", "global")
    yield name, fake
    fake.close()
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_container_on_a_plugins_volume(engine: Engine, plugin: tuple[str, FakePlugin], tmp_path: Path) -> None:
    name, fake = plugin
    mount = {"Type": "volume", "Source": "far", "Target": "/v", "VolumeOptions": {"DriverConfig": {"Name": name, "Options": {"a": "b"}}}}
    found = engine.container("sh", "-c", "echo x >/v/f; sleep 1000", HostConfig={"Mounts": [mount]})
    until(lambda: (tmp_path / "files/far/f").exists(), what="the file on the plugin's side")
    assert fake.volumes == {"far": {"a": "b"}} and fake.mounts == {"far": {found}}
    shown = engine.api("GET", f"/containers/{found}/json").json["Mounts"][0]
    assert (shown["Driver"], shown["Source"], shown["Name"]) == (name, str(tmp_path / "files/far"), "far")
    engine.restart(9)
    assert fake.mounts == {"far": {found}}
    engine.api("DELETE", f"/containers/{found}?force=1")
    until(lambda: fake.mounts == {"far": set()}, what="the unmount")
    assert engine.api("DELETE", "/volumes/far").status == 204
    assert not fake.volumes


def test_a_mount_that_the_plugin_refuses(engine: Engine, plugin: tuple[str, FakePlugin]) -> None:
    name, fake = plugin
    assert engine.api("POST", "/volumes/create", {"Name": "far", "Driver": name}).status == 201
    fake.replies["VolumeDriver.Mount"] = b'{"Err":"the disk is on fire"}'
    found = engine.create("true", HostConfig={"Binds": ["far:/v:nocopy"]})
    reply = engine.api("POST", f"/containers/{found}/start")
    assert reply.status == 500
    assert reply.json["message"] == "error while mounting volume 'far': the disk is on fire"
    engine.api("DELETE", f"/containers/{found}")
    assert engine.api("DELETE", "/volumes/far").status == 204


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, data: bytes = b"", **more: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def test_export_and_import_keep_everything(engine: Engine, tmp_path: Path) -> None:
    engine.api("POST", "/volumes/create", {"Name": "one"})
    script = (
        "mkdir -p /v/d && echo hi >/v/d/f && ln -s f /v/d/l && ln /v/d/f /v/d/h && chown -R 12:34 /v/d && chmod 2750 /v/d; chmod 751 /v"
    )
    found = engine.container("sh", "-c", f"{script}; touch /v/ready; sleep 1000", HostConfig={"Binds": ["one:/v"]})
    place = Path(engine.api("GET", "/volumes/one").json["Mountpoint"])
    until((place / "ready").exists, what="the volume's files")
    target = tmp_path / "one.tar"
    env = {**os.environ, "DOCKER_HOST": f"unix://{engine.socket}"}
    subprocess.run([SCOW, "volume", "export", "-o", target, "one"], env=env, check=True, timeout=120)
    done = subprocess.run([SCOW, "volume", "import", "two", target], env=env, check=True, timeout=120, capture_output=True, text=True)
    assert done.stdout == "two\n"
    there = Path(engine.api("GET", "/volumes/two").json["Mountpoint"])

    def tree(top: Path) -> dict[str, tuple[int, int, int]]:
        rows = [*top.rglob("*"), top]
        return {str(path.relative_to(top)): (path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_gid) for path in rows}

    assert tree(there) == tree(place)
    assert (there / "d/l").read_text() == "hi\n"
    assert (there / "d/f").stat().st_ino == (there / "d/h").stat().st_ino
    engine.api("DELETE", f"/containers/{found}?force=1")


def test_an_archive_stays_inside_its_volume(engine: Engine, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bad = archive(
        member("../escaped", b"x"),
        member("/absolute", b"x"),
        member("link", type=tarfile.SYMTYPE, linkname=str(outside)),
        member("link/through", b"x"),
    )
    engine.api("POST", "/volumes/create", {"Name": "trap"})
    engine.api("POST", "/scow/volumes/trap/import", bad, {"Content-Type": "application/x-tar"})
    place = Path(engine.api("GET", "/volumes/trap").json["Mountpoint"])
    assert os.listdir(outside) == []
    assert not (place.parent / "escaped").exists()
    assert not Path("/absolute").exists()


def test_what_cannot_be_imported_or_exported(engine: Engine) -> None:
    reply = engine.api("POST", "/scow/volumes/bad/import", b"no archive at all", {"Content-Type": "application/x-tar"})
    assert reply.status == 400
    assert "archive" in json.dumps(reply.json)
    assert engine.api("GET", "/volumes/bad").status == 404, "a volume made for a broken archive goes with it"
    assert engine.api("GET", "/scow/volumes/nosuch/export").status == 404
    assert engine.api("POST", "/scow/volumes/x/import", b"").status == 400

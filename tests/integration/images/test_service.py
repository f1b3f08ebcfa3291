"""The image service on a real disk: load, save, import, commit, removal, and what a crash leaves."""

import bz2
import gzip
import io
import json
import lzma
import os
import tarfile

import pytest
import zstandard

from scow.errors import Conflict, InvalidArgument, NotFound
from scow.filters import Filters
from scow.images.service import CommitSource
from tests.support.images import imported, joined, load, mounted, needs_root, tree, with_service
from tests.support.tars import config, docker_archive, entry, folder, hardlink, packed, sha256, symlink, tarball

pytestmark = needs_root
LOW = tarball(folder("d", 0o1777), entry("d/a", b"low"), entry("d/b", b"b"), entry("gone", b"x"), folder("o"), entry("o/low", b"1"))
HIGH = tarball(
    entry("d/a", b"high!"),
    entry(".wh.gone"),
    folder("o"),
    entry("o/.wh..wh..opq"),
    entry("o/new", b"2"),
    hardlink("h", "d/a"),
    symlink("l", "d/a"),
)
BOTH = config(LOW, HIGH)
ID = sha256(BOTH)


def archive(*tags: str) -> dict[str, bytes]:
    return docker_archive((BOTH, [LOW, HIGH], list(tags)))


def test_load_stacks_layers(tmp_path):
    async def use(images):
        assert await load(images, archive("a/b:1", "c")) == ["Loaded image: a/b:1", "Loaded image: c:latest"]
        assert images.get("c").id == images.get("a/b:1").id == images.get(ID[7:19]).id == ID
        found = await tree(images, "c", tmp_path / "root")
        assert found["d/a"].content == b"high!"
        assert found["d"].mode == 0o1777
        assert {"d/b", "o/new", "l"} <= set(found)
        assert not {"gone", "o/low"} & set(found)
        assert not any(".wh." in name for name in found)
        assert images.inspect("c")["RootFS"]["Layers"] == [sha256(LOW), sha256(HIGH)]
        assert images.inspect("c")["Size"] == 3 + 1 + 1 + 1 + 5 + 1
        assert [row["CreatedBy"] for row in images.history("c")] == ["layer 1", "layer 0"]

    with_service(tmp_path, use)


def test_save_and_load_keep_the_image(tmp_path):
    async def use(images):
        await load(images, archive("c:1"))
        data = await joined(images.save(["c:1"]))
        assert {"Untagged": "c:1"} in await images.remove("c:1")
        with pytest.raises(NotFound, match="No such image: c:1"):
            images.get("c:1")
        await load(images, data)
        assert images.get("c:1").id == ID
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
        for name, content in files.items():
            if name.startswith("blobs/sha256/"):
                assert sha256(content) == "sha256:" + name.rpartition("/")[2]
        del files["manifest.json"]
        await images.remove("c:1")
        await load(images, files)  # the OCI layout in it stands alone
        assert images.get("c:1").id == ID

    with_service(tmp_path, use)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress])
def test_compressed_layers_and_archives(tmp_path, pack):
    async def use(images):
        files = docker_archive((BOTH, [pack(LOW), pack(HIGH)], ["c"]))
        await load(images, pack(packed(files)))
        assert images.get("c").diff_ids == (sha256(LOW), sha256(HIGH))
        with tarfile.open(fileobj=io.BytesIO(await joined(images.save(["c"])))) as tar:
            [item] = json.load(tar.extractfile("manifest.json"))
            assert [sha256(tar.extractfile(layer).read()) for layer in item["Layers"]] == [sha256(LOW), sha256(HIGH)]
        ident = await imported(images, pack(LOW))
        assert images.get(ident).diff_ids == (sha256(LOW),)

    with_service(tmp_path, use)


def spoilt(files: dict[str, bytes], **more: bytes | None) -> dict[str, bytes]:
    for key, value in more.items():
        name = next(name for name in files if key in name)
        if value is None:
            del files[name]
        else:
            files[name] = value
    return files


BAD = {
    "a config that promises other layers": docker_archive((config(LOW, LOW), [LOW, HIGH], ["bad"])),
    "fewer layers than promised": docker_archive((BOTH, [LOW], ["bad"])),
    "a layer that is no tar": docker_archive((config(LOW, b"junk" * 300), [LOW, b"junk" * 300], ["bad"])),
    "a cut layer": docker_archive((config(LOW, HIGH[:2000]), [LOW, HIGH[:2000]], ["bad"])),
    "a broken manifest": {**archive("bad"), "manifest.json": b"[{]"},
    "a manifest of the wrong shape": {**archive("bad"), "manifest.json": b'[{"Config": 7}]'},
    "a manifest that points out": {**archive("bad"), "manifest.json": b'[{"Config": "../../etc/passwd", "Layers": []}]'},
    "no config": spoilt(archive("bad"), **{ID[7:]: None}),
    "a broken config": spoilt(archive("bad"), **{ID[7:]: b'{"rootfs": '}),
    "a config of the wrong shape": spoilt(archive("bad"), **{ID[7:]: b'{"rootfs": {"diff_ids": {"a": 1}}}'}),
    "no layer": spoilt(archive("bad"), layer=None),
    "a bad tag": archive("BAD:tag"),
    "no image": {"readme": b"hello"},
    "an index without blobs": {"index.json": b'{"manifests": [{"digest": "sha256:' + b"0" * 64 + b'"}]}', "oci-layout": b"{}"},
    "garbage": b"nonsense " * 1000,
    "nothing": b"",
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_archive_is_refused_and_leaves_nothing(tmp_path, what):
    async def use(images):
        with pytest.raises(InvalidArgument) as error:
            await load(images, BAD[what])
        assert error.value.message
        assert await images.list(True, Filters()) == []
        assert images.snapshots.layers() == []
        assert images.content.digests() == []
        assert list((tmp_path / "content" / "ingest").iterdir()) == []

    with_service(tmp_path, use)


def test_an_import_is_refused_before_a_word_is_said(tmp_path):
    async def use(images):
        for source, platform, sentence in (
            ("http://127.0.0.1:1/x", "", "127.0.0.1:1/x: Connection refused$"),
            ("/x", "", "only http"),
            ("/x", "windows/amd64", "operating system"),
        ):
            with pytest.raises(InvalidArgument, match=sentence):
                await anext(images.import_(source, "c", platform=platform))

    with_service(tmp_path, use)


def test_a_client_that_vanishes_leaves_nothing(tmp_path):
    async def use(images):
        async def broken():
            yield packed(archive("c"))[:2048]
            raise ConnectionResetError("gone")

        with pytest.raises(ConnectionResetError):
            [line async for line in images.load(broken())]
        with pytest.raises(ConnectionResetError):
            [line async for line in images.import_(broken(), "c")]
        assert images.store.all() == []
        assert images.content.digests() == []

    with_service(tmp_path, use)


def test_commit_stacks_the_changes(tmp_path):
    async def use(images):
        await imported(images, LOW, "base", changes_=['CMD ["sh"]'])
        base = images.get("base")
        async with mounted(images, "base", tmp_path / "root") as root:
            (root / "new").write_text("new")
            (root / "gone").unlink()
            (root / "d" / "a").write_text("more")
            assert [(c.kind, c.path) for c in await images.rootfs_changes("c" * 64)] == [
                ("C", "/d"), ("C", "/d/a"), ("D", "/gone"), ("A", "/new")]  # fmt: skip
            assert await images.rootfs_size("c" * 64) == (7, 7 + base.size)
            source = CommitSource("c" * 64, base.id, {"Cmd": ["sh"], "Env": ["A=1"], "Labels": {"l": "m"}}, "sh")
            done = await images.commit(source, "done", "", "why", "me", ["ENV B=2"], {"Cmd": ["over"]})
        found = await tree(images, "done", tmp_path / "root")
        assert found["new"].content == b"new"
        assert found["d/a"].content == b"more"
        assert "gone" not in found
        reply = images.inspect(done)
        assert (reply["Author"], reply["Comment"], reply["Parent"]) == ("me", "why", base.id)
        assert reply["Config"]["Cmd"] == ["over"]
        assert reply["Config"]["Env"] == ["A=1", "B=2"]
        assert images.get("done").diff_ids[0] == base.diff_ids[0]

    with_service(tmp_path, use)


def test_removal_keeps_what_others_share(tmp_path):
    async def use(images):
        await load(images, docker_archive((BOTH, [LOW, HIGH], ["two:1", "two:2", "other"]), (config(LOW), [LOW], ["one"])))
        with pytest.raises(Conflict, match="must be forced"):
            await images.remove(ID)
        assert await images.remove("two:2") == [{"Untagged": "two:2"}]
        images._refs.add("image", ID, "c" * 64)
        await images.remove("two:1")
        with pytest.raises(Conflict, match="container cccccccccccc is using its referenced image"):
            await images.remove("other")
        with pytest.raises(Conflict, match="running container"):
            await images.remove(ID[7:19], force=True, running={"c" * 64})
        images._refs.drop_user("c" * 64)
        done = await images.remove("other")
        assert done[:2] == [{"Untagged": "other:latest"}, {"Deleted": ID}]
        assert [layer.diff_id for layer in images.snapshots.layers()] == [sha256(LOW)]
        assert (await images.prune(Filters()))["ImagesDeleted"] is None
        pruned = await images.prune(Filters({"dangling": ["false"]}))
        assert {"Untagged": "one:latest"} in pruned["ImagesDeleted"]
        assert pruned["SpaceReclaimed"] == 6
        assert images.snapshots.layers() == []
        assert images.content.digests() == []

    with_service(tmp_path, use)


def test_a_stopped_container_keeps_the_layers_of_an_image_removed_by_force(tmp_path):
    async def use(images):
        await load(images, archive("c"))
        container = "c" * 64
        images._refs.add("image", ID, container)
        await images.prepare_rootfs(container, ID)
        for ref in ("c", ID):
            with pytest.raises(Conflict, match="must"):
                await images.remove(ref)
        assert await images.remove("c", force=True) == [{"Untagged": "c:latest"}, {"Deleted": ID}]
        with pytest.raises(NotFound):
            images.get(ID)
        assert len(images.snapshots.stack(container)) == 2
        images._refs.drop_user(container)
        await images.remove_rootfs(container)
        assert images.snapshots.layers() == []
        assert images.content.digests() == []

    with_service(tmp_path, use)


def test_everything_is_there_after_a_crash_and_nothing_half(tmp_path):
    async def use(images):
        await load(images, archive("c"))
        await images.snapshots.prepare("unpack-x", "", unpack=True)
        await images.snapshots.prepare("lost", images.get("c").layers[-1])
        (tmp_path / "content" / "ingest" / "half").mkdir()
        (tmp_path / "snapshots" / "77").mkdir()
        images.content.put(b"{}")

    with_service(tmp_path, use)

    async def again(images):
        await images.snapshots._tasks.drain(20)
        assert images.get("c").id == ID
        assert not images.snapshots.exists("lost")
        assert len(os.listdir(tmp_path / "snapshots")) == len(["two layers", "beside", "init"])
        assert os.listdir(tmp_path / "content" / "ingest") == []
        assert not images.content.has(sha256(b"{}"))
        assert "d/a" in await tree(images, "c", tmp_path / "root")

    with_service(tmp_path, again)


def test_a_hundred_and_twenty_layers_mount(tmp_path):
    async def use(images):
        layers = [tarball(entry(f"f{number}", b"x"), entry("last", str(number).encode())) for number in range(120)]
        await load(images, docker_archive((config(*layers), layers, ["deep"])))
        found = await tree(images, "deep", tmp_path / "root")
        assert found["last"].content == b"119"
        assert {f"f{number}" for number in range(120)} <= set(found)

    base = tmp_path / ("long" * 20)
    base.mkdir()
    with_service(base, use)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"reference": ["n/*:y"]}, ["n/two:y"]),
        ({"reference": ["n/[ot]*"]}, ["n/one:x", "n/two:y"]),
        ({"label": ["k=1"]}, ["n/one:x"]),
        ({"label": ["k"], "before": ["n/two:y"]}, ["n/one:x"]),
        ({"since": ["n/one:x"]}, ["n/two:y"]),
        ({"until": ["2020-06-01"]}, ["n/one:x"]),
        ({"dangling": ["true"]}, []),
    ],
)
def test_list_filters(tmp_path, filters, found):
    async def use(images):
        one = config(LOW, config={"Labels": {"k": "1"}})
        two = config(LOW, config={"Labels": {"k": "2"}}, created="2021-01-01T00:00:00Z")
        await load(images, docker_archive((one, [LOW], ["n/one:x"]), (two, [LOW], ["n/two:y"])))
        rows = await images.list(False, Filters(filters))
        assert sorted(tag for row in rows for tag in row["RepoTags"]) == found

    with_service(tmp_path, use)


def test_events(tmp_path):
    async def use(images):
        await imported(images, LOW, "a")
        images.tag("a", "b", "1")
        await images.remove("a")
        await images.remove("b:1")
        assert [event.action for event in images._events.past()] == ["import", "tag", "tag", "untag", "untag", "delete"]

    with_service(tmp_path, use)

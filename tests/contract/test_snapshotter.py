"""What every snapshotter promises (see snapshots/snapshotter.py)."""

import asyncio

import pytest

from scow.archive.workers import Workers
from scow.errors import Conflict, NotFound
from scow.metadata import Database
from scow.snapshots import Change, Committed, Snapshotter
from scow.snapshots.overlay import Overlay
from tests.support.images import needs_root

pytestmark = needs_root
BASE = Committed("sha256:base", "", "sha256:base", 3, 10240, "sha256:base", "")


@pytest.fixture
def run(tmp_path):
    """run(use): `await use(snapshotter, mount point)` on a fresh snapshotter with one committed layer that holds `f`."""

    def go(use):
        async def main():
            workers = Workers()
            db = Database(tmp_path / "meta.db")
            snapshots: Snapshotter = Overlay(tmp_path / "snapshots", db, workers)
            try:
                own = await snapshots.prepare("unpack", "", unpack=True)
                (own / "f").write_text("low")
                await snapshots.commit("unpack", BASE)
                await use(snapshots, tmp_path / "root")
            finally:
                await snapshots.unmount(tmp_path / "root")
                await snapshots.close()
                workers.close()
                db.close()

        asyncio.run(main())

    return go


def test_a_writable_layer_changes_nothing_below(run):
    async def use(snapshots, root):
        await snapshots.prepare("c", BASE.name)
        await snapshots.mount("c", root)
        await snapshots.mount("c", root)
        assert (root / "f").read_text() == "low"
        (root / "f").write_text("high")
        (root / "new").write_text("12")
        assert await snapshots.usage("c") == 6
        assert await snapshots.changes("c") == [Change("/f", "C"), Change("/new", "A")]
        await snapshots.unmount(root)
        await snapshots.unmount(root)
        assert (snapshots.trees("c")[1] / "f").read_text() == "low"
        await snapshots.mount("c", root)
        assert (root / "f").read_text() == "high"

    run(use)


def test_what_is_not_there(run):
    async def use(snapshots, root):
        with pytest.raises(NotFound):
            await snapshots.prepare("c", "sha256:none")
        with pytest.raises(NotFound):
            await snapshots.mount("c", root)
        await snapshots.remove("c")
        assert snapshots.layer("c") is None
        assert not snapshots.exists("c")

    run(use)


def test_a_layer_with_something_on_it_stays(run):
    async def use(snapshots, root):
        await snapshots.prepare("c", BASE.name)
        with pytest.raises(Conflict):
            await snapshots.remove(BASE.name)
        await snapshots.remove("c")
        await snapshots.remove(BASE.name)
        assert snapshots.layers() == []

    run(use)


def test_recovery_keeps_what_is_owned(run):
    async def use(snapshots, root):
        for key in ("mine", "lost"):
            await snapshots.prepare(key, BASE.name)
        await snapshots.prepare("half", "", unpack=True)
        await snapshots.recover({"mine"})
        assert [snapshots.exists(key) for key in ("mine", "lost", "half", BASE.name)] == [True, False, False, True]

    run(use)


def test_a_busy_root_is_unmounted_all_the_same(run):
    async def use(snapshots, root):
        await snapshots.prepare("c", BASE.name)
        await snapshots.mount("c", root)
        with (root / "f").open():
            await snapshots.unmount(root)
            assert list(root.iterdir()) == []
            await snapshots.remove("c")

    run(use)

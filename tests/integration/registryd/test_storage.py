"""The server on a storage without files, and on one that is full."""

import errno
import os

from scow.registryd import gc
from tests.fakes.registrystorage import Memory
from tests.support.registryserver import serving, sha256

BIG = os.urandom(2_500_000)


def test_blobs_that_are_no_files(tmp_path):
    with serving(tmp_path, anonymous_push=True) as registry:
        registry.store.driver = Memory()
        registry.push("a", "v1", BIG, b"small")
        for data in (BIG, b"small"):
            assert registry.call("GET", f"/v2/a/blobs/{sha256(data)}").body == data
        part = registry.call("GET", f"/v2/a/blobs/{sha256(BIG)}", headers={"Range": "bytes=1000000-2400000"})
        assert (part.status, part.body) == (206, BIG[1000000:2400001])
        registry.put_blob("b", b"stray")
        with registry.store.db.update() as tx:
            tx.execute("UPDATE blobs SET touched = 1")
            tx.execute("UPDATE links SET touched = 1")
        assert gc.collect(registry.store, 60).removed == 1
        assert not any((tmp_path / "blobs").rglob("*"))


class _Full:
    """A writer that has room for so many bytes."""

    def __init__(self, inner, room: int) -> None:
        self._inner, self._room = inner, room

    def write(self, data: memoryview) -> None:
        if len(data) > self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room -= len(data)
        self._inner.write(data)

    def close(self) -> None:
        self._inner.close()


def test_a_full_disk_is_a_sentence_and_the_upload_goes_on_later(tmp_path):
    with serving(tmp_path, anonymous_push=True) as registry:
        driver = registry.store.driver
        append = driver.append
        where = registry.call("POST", "/v2/a/blobs/uploads/").headers["location"]
        assert registry.call("PATCH", where, BIG[:1000]).status == 202
        driver.append = lambda upload, offset: _Full(append(upload, offset), 10)
        reply = registry.call("PATCH", where, BIG[1000:3000])
        assert registry.code(reply) == (503, "UNAVAILABLE") and "no space left" in reply.json["errors"][0]["message"]
        driver.append = append
        assert registry.call("GET", where).headers["range"] == "0-999"
        rest = {"Content-Range": f"1000-{len(BIG) - 1}"}
        assert registry.call("PUT", f"{where}?digest={sha256(BIG)}", BIG[1000:], rest).status == 201
        assert registry.call("GET", f"/v2/a/blobs/{sha256(BIG)}").body == BIG

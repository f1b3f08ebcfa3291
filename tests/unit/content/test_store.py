"""Blobs are there whole or not at all."""

import os

import pytest

from scow.content import ContentStore
from scow.errors import DataLoss, InvalidArgument, NotFound
from tests.support.tars import sha256


@pytest.fixture
def store(tmp_path):
    return ContentStore(tmp_path)


def test_put_read_delete(store):
    digest = store.put(b"data")
    assert digest == sha256(b"data")
    assert store.put(b"data") == digest
    assert (store.read(digest), store.size(digest), store.digests()) == (b"data", 4, [digest])
    os.close(store.open(digest))
    store.delete(digest)
    store.delete(digest)
    for what in (store.read, store.open, store.size):
        with pytest.raises(NotFound):
            what(digest)


def test_what_is_not_committed_goes(store, tmp_path):
    with store.ingest() as ingest:
        fd = ingest.file()
        os.write(fd, b"one")
        os.close(fd)
        store.commit(ingest.path / "data", sha256(b"one"))
        os.close(ingest.file("half"))
    assert store.read(sha256(b"one")) == b"one"
    store.ingest().__enter__()
    store.recover()
    assert os.listdir(tmp_path / "ingest") == []


def test_damage_is_noticed(store):
    digest = store.put(b"data")
    store.path(digest).write_bytes(b"date")
    with pytest.raises(DataLoss):
        store.read(digest)


@pytest.mark.parametrize("digest", ["", "sha256:x", "sha256:../../etc/passwd", "sha512:" + "0" * 64, "sha256:" + "A" * 64])
def test_what_is_no_digest_is_no_path(store, digest):
    with pytest.raises(InvalidArgument):
        store.path(digest)

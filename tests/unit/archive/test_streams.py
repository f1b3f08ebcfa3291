"""Compression is found by its magic; damaged and cut data is malformed; a bomb takes no memory."""

import bz2
import gzip
import lzma
import os
import tracemalloc

import pytest
import zstandard

from scow.archive import streams
from scow.archive.streams import Hasher, Source
from scow.archive.tar import Malformed
from tests.support.tars import sha256

PACK = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstandard.ZstdCompressor().compress}
DATA = b"some text " * 50_000 + os.urandom(10_000)


def plain(data: bytes, step: int = 1000) -> bytes:
    parts = iter([data[at : at + step] for at in range(0, len(data), step)])
    return b"".join(streams.decompress(parts, streams.detect(data)))


@pytest.mark.parametrize("how", PACK)
def test_each_compression(how):
    assert streams.detect(PACK[how](DATA)) == how
    assert plain(PACK[how](DATA)) == DATA
    assert plain(PACK[how](DATA), 1 << 20) == DATA


@pytest.mark.parametrize("how", PACK)
def test_members_one_after_the_other(how):
    assert plain(PACK[how](b"one") + PACK[how](b"two")) == b"onetwo"


@pytest.mark.parametrize("how", ["gzip", "bzip2", "xz"])
def test_cut_data_is_malformed(how):
    with pytest.raises(Malformed):
        plain(PACK[how](DATA)[:-20])


@pytest.mark.parametrize("how", ["gzip", "bzip2", "xz"])
def test_damaged_data_is_malformed(how):
    data = bytearray(PACK[how](DATA))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    with pytest.raises(Malformed):
        plain(bytes(data))


@pytest.mark.parametrize("how", PACK)
def test_a_bomb_takes_little_memory(how):
    bomb = PACK[how](bytes(24 << 20))
    tracemalloc.start()
    total = sum(map(len, streams.decompress(iter([bomb]), how)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 24 << 20
    assert peak < 14 << 20


def test_exact_reads():
    source = Source(iter([b"abc", b"def", b"g"]))
    assert source.take(2) == b"ab"
    assert source.take(3) == b"cde"
    with pytest.raises(Malformed):
        source.take(5)
    assert Source(iter([])).take(4) == b""


def test_the_hasher():
    hasher = Hasher()
    hasher.update(b"a")
    hasher.update(b"b")
    assert (hasher.digest(), hasher.size) == (sha256(b"ab"), 2)


def test_the_last_files_padding_may_be_missing() -> None:
    source = Source(iter([b"abc", b"\0\0"]))
    assert source.take(3) == b"abc"
    source.pad(509)
    assert source.take(512) == b""


def test_a_thread_in_front_gives_the_same_bytes_and_errors() -> None:
    assert b"".join(streams.ahead(iter([b"a", b"b", b"c"] * 50))) == b"abc" * 50

    def broken():
        yield b"x"
        raise Malformed("damaged")

    found = streams.ahead(broken())
    assert next(found) == b"x"
    with pytest.raises(Malformed, match="damaged"):
        next(found)

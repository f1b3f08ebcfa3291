"""Headers are read as others write them, and written so that others read them."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.archive import tar
from scow.archive.streams import Source
from scow.archive.tar import Entry, Malformed
from tests.support.tars import entry, folder, hardlink, symlink, tarball


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    source = Source(iter([data[:700], data[700:]]))
    found = []
    while (one := tar.read_entry(source.take)) is not None:
        content = bytearray()
        source.copy(one.size, content.extend)
        source.skip(-one.size % tar.BLOCK)
        found.append((one, bytes(content)))
    return found


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_each_format(format):
    members = [folder("d"), entry("d/f", b"content", mode=0o4755, uid=12, gid=34), symlink("l", "t" * 90), hardlink("h", "d/f")]
    members.append(entry("p", type=tarfile.FIFOTYPE))
    members.append(entry("n", type=tarfile.CHRTYPE, device=(1, 3)))
    found = read(tarball(*members, format=format))
    assert [one.name.rstrip(b"/") for one, _ in found] == [b"d", b"d/f", b"l", b"h", b"p", b"n"]
    assert [one.type for one, _ in found] == [tar.DIRECTORY, tar.FILE, tar.SYMLINK, tar.HARDLINK, tar.FIFO, tar.CHAR]
    one, content = found[1]
    assert (content, one.mode, one.uid, one.gid, one.mtime_ns) == (b"content", 0o4755, 12, 34, 1_600_000_000 * 10**9)
    assert found[2][0].link == b"t" * 90
    assert (found[5][0].major, found[5][0].minor) == (1, 3)


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_large_numbers(format):
    name, target = "n" * 300 + "/ü", "t" * 500
    big = entry(name, b"x", uid=3_000_000)
    found = read(tarball(big, symlink("l", target), format=format))
    assert found[0][0].name == name.encode()
    assert found[0][0].uid == 3_000_000
    assert found[1][0].link == target.encode()


def test_xattrs_are_read():
    [(one, _)] = read(tarball(entry("f", b"", xattrs={"user.a": "1"})))
    assert one.xattrs == {b"user.a": b"1"}


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300),
    st.integers(0, 1 << 32),
    st.integers(-(1 << 33), 1 << 36),
    st.dictionaries(st.sampled_from([b"user.a", b"security.capability"]), st.binary(max_size=40)),
)
def test_what_is_written_is_read_back(name, uid, seconds, xattrs):
    one = Entry(name.encode(), tar.SYMLINK, 0o777, uid, uid, 0, seconds * 10**9, b"t" * 150, xattrs=xattrs)
    [(back, _)] = read(tar.header(one) + tar.END)
    assert back == one


def test_tarfile_reads_what_is_written():
    data = tar.header(Entry(b"d" * 120 + b"/f" + b"x" * 99, size=3, uid=5_000_000)) + b"abc" + tar.padding(3) + tar.END
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        [member] = archive.getmembers()
        assert (member.name, member.uid, archive.extractfile(member).read()) == ("d" * 120 + "/f" + "x" * 99, 5_000_000, b"abc")


@given(st.binary(max_size=3000))
def test_garbage_is_malformed_or_empty(data):
    try:
        read(data)
    except Malformed:
        pass


@given(st.integers(0, 2047), st.integers(0, 255))
def test_a_flipped_byte_never_surprises(at, value):
    data = bytearray(tarball(entry("ü" * 80, b"abc", xattrs={"user.a": "b"})))
    data[at % len(data)] = value
    try:
        read(bytes(data))
    except Malformed:
        pass


def test_a_huge_extended_header_is_refused():
    head = tar._block(b"x", b"", Entry(b""), b"x", 1 << 31, b"")
    with pytest.raises(Malformed, match="too large"):
        read(head)


MAPS = {
    "odd": {"GNU.sparse.map": "1,2,3", "GNU.sparse.size": "10"},
    "words": {"GNU.sparse.map": "a,b", "GNU.sparse.size": "10"},
    "overlapping": {"GNU.sparse.map": "0,2,1,1", "GNU.sparse.size": "10"},
    "outside": {"GNU.sparse.map": "9,3", "GNU.sparse.size": "10"},
    "negative": {"GNU.sparse.map": "5,-3,2,6", "GNU.sparse.size": "10"},
    "not what follows": {"GNU.sparse.map": "0,2", "GNU.sparse.size": "10"},
    "too long": {"GNU.sparse.map": "0,3", "GNU.sparse.size": str(1 << 63)},
    "too many": {"GNU.sparse.map": ",".join("0" * 150_000), "GNU.sparse.size": "10"},
    "no map in front": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10"},
    "no size": {"GNU.sparse.map": "0,3"},
}


@pytest.mark.parametrize("what", MAPS)
def test_maps_of_sparse_files_that_make_no_sense(what: str) -> None:
    member, content = entry("f", b"abc")
    member.pax_headers.update(MAPS[what])
    source = Source(iter([tarball((member, content))]))
    with pytest.raises(Malformed):
        tar.read_entry(source.take, sparse=True)
    with pytest.raises(Malformed, match="not supported"):
        read(tarball((member, content)))


@given(st.integers(345, 511), st.integers(0, 255), st.integers(0, 255))
def test_garbage_in_an_old_sparse_header_never_surprises(at: int, one: int, two: int) -> None:
    head = bytearray(tar._block(b"f", b"", Entry(b""), b"S", 3, b""))
    head[at], head[482] = one, two & 1
    head[148:156] = b"        "
    head[148:156] = b"%06o\0 " % sum(head)
    source = Source(iter([bytes(head) + bytes([one, two]) * 512]))
    try:
        tar.read_entry(source.take, sparse=True)
    except Malformed:
        pass

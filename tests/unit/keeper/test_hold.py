"""What a dead keeper had read comes back."""

import os

from scow.keeper import hold


def test_unlogged_bytes_survive() -> None:
    fd = hold.create()
    read, write = os.pipe()
    os.write(write, b"one\ntwo")
    region = hold.regions(fd)[1]
    assert region.newest(region.read_from(read)) == b"one\ntwo"
    region.taken(4)
    region.writing(77)
    again = hold.regions(fd)[1]
    assert (again.data(), again.torn) == (b"two", 77)
    for each in (fd, read, write):
        os.close(each)


def test_buffer_is_reused() -> None:
    fd = hold.create()
    read, write = os.pipe()
    region = hold.regions(fd)[0]
    seen = b""
    for number in range(200):
        os.write(write, b"%04d" % number * 500)
        region.read_from(read)
        data = region.data()
        seen += data[:-3]
        region.taken(len(data) - 3)
    seen += region.data()
    assert seen == b"".join(b"%04d" % number * 500 for number in range(200))
    for each in (fd, read, write):
        os.close(each)

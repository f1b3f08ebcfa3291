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


def test_read_cut_short_by_death() -> None:
    for happened in (False, True):
        fd = hold.create()
        read, write = os.pipe()
        os.write(write, b"0123456789")
        region = hold.regions(fd)[0]
        notes = []
        note = region._note

        def dies(size: int = -1, pending: int = 0, notes: list[int] = notes, note: object = note) -> None:
            notes.append(pending)
            if pending:
                note(size, pending)  # type: ignore[operator]

        region._note = dies  # type: ignore[method-assign]
        if happened:
            region.read_from(read)
        else:
            spare = os.dup(read)
            os.set_blocking(read, False)
            real, os.readv = os.readv, lambda *_: 0
            try:
                region.read_from(read)
            finally:
                os.readv = real
            os.close(spare)
        assert notes[0] == 10
        assert hold.regions(fd)[0].data() == (b"0123456789" if happened else b"")
        for each in (fd, read, write):
            os.close(each)

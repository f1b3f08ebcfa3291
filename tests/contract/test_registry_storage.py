"""What every storage of the registry server promises (see registryd/storage/driver.py)."""

import os
import time

import pytest

from scow.registryd.storage.directory import Directory
from scow.registryd.storage.driver import Driver
from tests.fakes.registrystorage import Memory
from tests.support.registryserver import sha256

UPLOAD, OTHER = "0" * 32, "1" * 32
DATA = b"some bytes"
DIGEST = sha256(DATA)


@pytest.fixture(params=["directory", "memory"])
def driver(request, tmp_path) -> Driver:
    return Directory(tmp_path) if request.param == "directory" else Memory()


def write(driver: Driver, data: bytes, offset: int = 0, upload: str = UPLOAD) -> None:
    writer = driver.append(upload, offset)
    writer.write(memoryview(data))
    writer.close()
    writer.close()


def test_an_upload_grows_and_becomes_a_blob(driver):
    assert driver.uploaded(UPLOAD) is None and driver.size(DIGEST) is None and driver.open(DIGEST) is None
    before = time.time_ns()
    write(driver, DATA[:4])
    write(driver, DATA[4:], 4)
    assert driver.uploaded(UPLOAD) == len(DATA)
    [(name, touched)] = driver.uploads()
    assert name == UPLOAD and touched > before - 10**9
    driver.settle(UPLOAD)
    driver.commit(UPLOAD, DIGEST)
    assert driver.uploaded(UPLOAD) is None and list(driver.uploads()) == []
    assert driver.size(DIGEST) == len(DATA)
    [stored] = driver.blobs()
    assert (stored.digest, stored.size) == (DIGEST, len(DATA)) and stored.modified_ns > before - 10**9


def test_bytes_behind_the_offset_are_dropped(driver):
    write(driver, b"some wrong")
    write(driver, DATA[4:], 4)
    driver.commit(UPLOAD, DIGEST)
    blob = driver.open(DIGEST)
    assert blob is not None and blob.read(0, 100) == DATA
    blob.close()


def test_an_upload_does_not_begin_in_the_middle(driver):
    with pytest.raises(OSError):
        driver.append(UPLOAD, 5)
    write(driver, b"ab")
    with pytest.raises(OSError):
        driver.append(UPLOAD, 5)


def test_reading_parts(driver):
    write(driver, DATA)
    driver.commit(UPLOAD, DIGEST)
    blob = driver.open(DIGEST)
    assert blob is not None
    assert (blob.size, blob.read(5, 3), blob.read(8, 100), blob.read(10, 1)) == (10, b"byt", b"es", b"")
    if blob.fd >= 0:
        assert os.pread(blob.fd, 100, 0) == DATA
        fd = blob.take()
        blob.close()
        assert os.pread(fd, 4, 0) == b"some"
        os.close(fd)
    blob.close()


def test_a_blob_that_is_being_read_may_be_deleted_or_replaced(driver):
    write(driver, DATA)
    driver.commit(UPLOAD, DIGEST)
    blob = driver.open(DIGEST)
    assert blob is not None
    write(driver, DATA, upload=OTHER)
    driver.commit(OTHER, DIGEST)
    driver.delete(DIGEST)
    driver.delete(DIGEST)
    assert driver.size(DIGEST) is None and list(driver.blobs()) == []
    assert blob.read(0, 100) == DATA
    blob.close()


def test_an_upload_is_read_while_it_grows(driver):
    writer = driver.append(UPLOAD, 0)
    reader = driver.peek(UPLOAD)
    assert reader is not None and driver.peek(OTHER) is None
    writer.write(memoryview(DATA))
    assert reader.read(2, 4) == DATA[2:6]
    writer.close()
    driver.commit(UPLOAD, DIGEST)
    assert reader.read(0, 100) == DATA
    reader.close()


def test_what_is_absent(driver):
    driver.abandon(UPLOAD)
    with pytest.raises(OSError):
        driver.commit(UPLOAD, DIGEST)
    write(driver, DATA)
    driver.abandon(UPLOAD)
    assert driver.uploaded(UPLOAD) is None and list(driver.uploads()) == []

"""Rotation and repair of a log file."""

import gzip
import os
from pathlib import Path

from scow.keeper.logfile import LogFile


def test_rotation_keeps_max_file(tmp_path: Path) -> None:
    log = LogFile({"path": str(tmp_path / "l"), "max_size": 10, "max_file": 3})
    for number in range(5):
        log.rotate_if_full()
        log.write([f"record {number:04d}".encode(), b"\n"])
    log.close()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"l": "record 0004\n", "l.1": "record 0003\n", "l.2": "record 0002\n"}


def test_old_files_are_compressed(tmp_path: Path) -> None:
    log = LogFile({"path": str(tmp_path / "l"), "max_size": 10, "max_file": 3, "compress": True})
    for number in range(2):
        log.rotate_if_full()
        log.write([f"record {number:04d}".encode(), b"\n"])
    os.waitid(os.P_PIDFD, log._gzip, os.WEXITED)
    log.close()
    assert gzip.decompress((tmp_path / "l.1.gz").read_bytes()) == b"record 0000\n"
    assert not (tmp_path / "l.1").exists()


def test_repair_cuts_a_torn_write(tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(b"whole\ntor")
    log = LogFile({"path": str(tmp_path / "l")})
    log.repair(6)
    log.write([b"next\n"])
    log.close()
    assert (tmp_path / "l").read_bytes() == b"whole\nnext\n"

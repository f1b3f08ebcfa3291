"""Exit records: the first writer of a process wins, another process's record gives way."""

from pathlib import Path

from scow.keeper import protocol


def test_the_first_record_of_a_process_wins(tmp_path: Path) -> None:
    first = protocol.write_record(str(tmp_path), "c1", {"code": 3, "at": 1, "oom": False, "known": True, "pid": 10})
    second = protocol.write_record(str(tmp_path), "c1", {"code": 255, "at": 2, "oom": False, "known": False, "pid": 10})
    assert first == second == protocol.read_record(str(tmp_path), "c1")
    assert [entry.name for entry in tmp_path.iterdir()] == ["c1"]


def test_a_record_of_an_earlier_process_gives_way(tmp_path: Path) -> None:
    protocol.write_record(str(tmp_path), "c1", {"code": 255, "at": 1, "oom": False, "known": False, "pid": 10})
    record = protocol.write_record(str(tmp_path), "c1", {"code": 3, "at": 2, "oom": False, "known": True, "pid": 11})
    assert record["code"] == 3
    assert protocol.read_record(str(tmp_path), "c1") == record
    assert [entry.name for entry in tmp_path.iterdir()] == ["c1"]


def test_whose_record_it_is() -> None:
    assert protocol.is_of({"pid": 10}, 10)
    assert not protocol.is_of({"pid": 10}, 11)
    assert protocol.is_of({}, 11), "of a keeper that did not write pids"

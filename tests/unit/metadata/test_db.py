"""Documents survive, transactions are whole, damage has a sentence."""

import sqlite3

import pytest

from scow.errors import DataLoss, Internal
from scow.metadata import Database, References
from scow.metadata.db import wrap


def test_documents_survive_a_crash(tmp_path):
    db = Database(tmp_path / "meta.db")
    db.table("t").put("k", {"a": [1, {"b": "ü"}]})
    db.table("t").put("gone", {})
    db.table("t").delete("gone")
    again = Database(tmp_path / "meta.db")  # the first one is still open: a crash
    assert again.table("t").all() == {"k": {"a": [1, {"b": "ü"}]}}


def test_a_document_is_a_copy(tmp_path):
    table = Database(tmp_path / "meta.db").table("t")
    table.put("k", {"a": 1})
    doc = table.get("k")
    assert doc is not None
    doc["a"] = 2
    assert table.get("k") == {"a": 1}


def test_an_update_is_whole_or_nothing(tmp_path):
    db = Database(tmp_path / "meta.db")
    table = db.table("t")
    table.put("k", {"v": 1})
    with pytest.raises(ZeroDivisionError), db.update():
        table.put("k", {"v": 2})
        with db.update():
            table.put("new", {})
        raise ZeroDivisionError
    assert table.all() == {"k": {"v": 1}}
    assert Database(tmp_path / "meta.db").table("t").all() == {"k": {"v": 1}}
    with db.update():
        table.put("x", {})
        table.delete("k")
    assert Database(tmp_path / "meta.db").table("t").keys() == ["x"]


@pytest.mark.parametrize("damage", [b"no database at all " * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_data_loss_with_a_sentence(tmp_path, damage):
    (tmp_path / "meta.db").write_bytes(damage)
    with pytest.raises(DataLoss, match="damaged"):
        Database(tmp_path / "meta.db")


def test_a_newer_schema_is_refused(tmp_path):
    Database(tmp_path / "meta.db").close()
    sql = sqlite3.connect(tmp_path / "meta.db")
    sql.execute("PRAGMA user_version=999")
    sql.close()
    with pytest.raises(DataLoss, match="newer"):
        Database(tmp_path / "meta.db")


def test_a_full_disk_has_a_sentence(tmp_path):
    error = wrap(sqlite3.OperationalError("database or disk is full"), tmp_path)
    assert isinstance(error, Internal)
    assert "no space left on device" in error.message


def test_references(tmp_path):
    refs = References(Database(tmp_path / "meta.db"))
    refs.add("image", "sha256:a", "c1")
    refs.add("image", "sha256:a", "c2")
    refs.add("volume", "v", "c1")
    assert refs.users("image", "sha256:a") == {"c1", "c2"}
    assert refs.used("image") == {"sha256:a": {"c1", "c2"}}
    refs.drop("image", "sha256:a", "c2")
    refs.drop_user("c1")
    assert refs.users("image", "sha256:a") == set() == refs.users("volume", "v")

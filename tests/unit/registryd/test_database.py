"""The catalog's file: damaged, newer, shared with another process."""

import sqlite3
import threading

import pytest

from scow.errors import DataLoss, ScowError
from scow.registryd.database import Database


def test_damaged_and_newer(tmp_path):
    (tmp_path / "a.db").write_bytes(b"no database, but long enough to look at" * 100)
    with pytest.raises(DataLoss, match="cannot be used"):
        Database(tmp_path / "a.db")
    Database(tmp_path / "b.db").close()
    with sqlite3.connect(tmp_path / "b.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ScowError, match="newer"):
        Database(tmp_path / "b.db")


def test_two_writers_wait_for_each_other_and_an_error_changes_nothing(tmp_path):
    one, two = Database(tmp_path / "c.db"), Database(tmp_path / "c.db")

    def count(db: Database) -> None:
        for at in range(100):
            with db.update() as tx:
                tx.execute("INSERT INTO repositories (name, created) VALUES (?, 0)", (f"{id(db)} {at}",))

    threads = [threading.Thread(target=count, args=(db,)) for db in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.row("SELECT count(*) FROM repositories") == (200,)
    with pytest.raises(ZeroDivisionError), two.update() as tx:
        tx.execute("DELETE FROM repositories")
        raise ZeroDivisionError
    assert one.row("SELECT count(*) FROM repositories") == (200,)
    one.close()
    two.close()

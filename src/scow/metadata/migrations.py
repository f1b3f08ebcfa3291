"""Schema steps of the database: step n brings a file from version n to n + 1, inside one transaction."""

import sqlite3

STEPS: tuple[tuple[str, ...], ...] = (
    ("CREATE TABLE documents (kind TEXT NOT NULL, key TEXT NOT NULL, doc BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID",),
)
VERSION = len(STEPS)


def migrate(sql: sqlite3.Connection, version: int) -> None:
    """Bring an open file to VERSION. Raises sqlite3.Error."""
    if version == VERSION:
        return
    sql.execute("BEGIN IMMEDIATE")
    try:
        for step in STEPS[version:]:
            for statement in step:
                sql.execute(statement)
        sql.execute(f"PRAGMA user_version={VERSION}")
        sql.execute("COMMIT")
    except sqlite3.Error:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise

"""Who uses what: rows (kind, id, user), kept in the table `refs` of the database and in memory.

A container writes the image, networks and volumes it uses; their owners ask here before removing anything.
"""

from scow.metadata.db import Database


class References:
    """Uses of images, networks, volumes and snapshots."""

    def __init__(self, db: Database) -> None:
        self._table = db.table("refs")
        self._db = db

    @staticmethod
    def _key(kind: str, id: str, user: str) -> str:
        return "\0".join((kind, id, user))

    def add(self, kind: str, id: str, user: str) -> None:
        """Record that `user` uses the object; twice is once."""
        self._table.put(self._key(kind, id, user), {})

    def drop(self, kind: str, id: str, user: str) -> None:
        """Forget one use."""
        self._table.delete(self._key(kind, id, user))

    def users(self, kind: str, id: str) -> set[str]:
        """Who uses the object."""
        prefix = self._key(kind, id, "")
        return {key[len(prefix) :] for key in self._table if key.startswith(prefix)}

    def used(self, kind: str) -> dict[str, set[str]]:
        """Every object of a kind that is used, with its users."""
        found: dict[str, set[str]] = {}
        for key in self._table:
            this, id, user = key.split("\0")
            if this == kind:
                found.setdefault(id, set()).add(user)
        return found

    def drop_user(self, user: str) -> None:
        """Forget all uses by `user`."""
        with self._db.update():
            for key in self._table:
                if key.endswith("\0" + user):
                    self._table.delete(key)

"""Which repositories are known to have a blob, so that a push can have it mounted from there.

Table `whereabouts`: digest → repositories, the latest last.
"""

from scow.content import ContentStore
from scow.metadata import Database

_REPOSITORIES_MAX = 20


class Whereabouts:
    """Remembers; what is wrong in here costs one vain request."""

    def __init__(self, db: Database, content: ContentStore) -> None:
        self._db = db
        self._table = db.table("whereabouts")
        self._content = content

    def note(self, digests: list[str], name: str) -> None:
        """The repository `name` (with its domain) has these blobs."""
        with self._db.update():
            for digest in digests:
                names = (self._table.get(digest) or {}).get("names") or []
                if names[-1:] != [name]:
                    self._table.put(digest, {"names": [*(one for one in names if one != name), name][-_REPOSITORIES_MAX:]})

    def others(self, digest: str, domain: str, path: str) -> list[str]:
        """Paths of other repositories of the domain that have the blob, the latest first."""
        names = (self._table.get(digest) or {}).get("names") or []
        return [name[len(domain) + 1 :] for name in reversed(names) if name.startswith(domain + "/") and name != f"{domain}/{path}"]

    def sweep(self) -> None:
        """Forget what is not here any more."""
        with self._db.update():
            for digest in self._table.all():
                if not self._content.has(digest):
                    self._table.delete(digest)

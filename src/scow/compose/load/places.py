"""Where the values of a project are written: the documents that were read, asked by path."""

from __future__ import annotations

from scow.compose.load.errors import BadValue, LoadError, Place
from scow.compose.load.yaml import Document

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    Path = tuple[str, ...]


class Places:
    """All documents of a load, in the order in which they were read."""

    __slots__ = ("documents",)

    def __init__(self) -> None:
        self.documents: list[Document] = []

    def find(self, path: Path, key: bool = False) -> Place | None:
        """The place that knows most of a path, the latest of those; None where nothing is known of it."""
        best: Place | None = None
        deepest = 0
        for document in self.documents:
            depth, place = document.place(path, key)
            if depth >= deepest and depth:
                best, deepest = place, depth
        return best

    def error(self, exc: BadValue) -> LoadError:
        """The error for the user."""
        return LoadError(exc.message, self.find(exc.path, exc.key), exc.code)

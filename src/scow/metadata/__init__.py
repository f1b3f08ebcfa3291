"""Stored rows: one SQLite file (`<data>/meta.db`), document tables cached in memory, and who uses what.

Called by every service of the daemon. Nothing else opens the file.
"""

from scow.metadata.db import Database, Table
from scow.metadata.refs import References

__all__ = ["Database", "References", "Table"]

"""Bytes by digest: `<data>/content/blobs/sha256/<hex>`, uploads in `<data>/content/ingest/` until they are committed. Called by images."""

from scow.content.store import ContentStore, Ingest

__all__ = ["ContentStore", "Ingest"]

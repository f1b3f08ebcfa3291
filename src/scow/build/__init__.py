"""Builds: Dockerfiles and LLB graphs turned into images, through the classic door and BuildKit's (borders: docs/design/build.md).

Stored: trees of the build cache (`data/build/`, snapshots of the common store), their rows and cache keys in `data/meta.db`.
"""

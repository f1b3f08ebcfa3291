"""Mounts of a step whose sources others change meanwhile."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from scow.build.llb.ops import ExecOp
from scow.build.ops import exec as ops_exec
from scow.build.solver.types import JobContext
from scow.errors import NotFound
from scow.kernel import mounts


def test_what_vanishes_from_a_cache_mount_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another step removes the selected directory between its opening and its mount."""
    cache = tmp_path / "cache"
    (cache / "in").mkdir(parents=True)

    def bind(source: str, target: Path) -> None:
        (cache / "in").rmdir()
        raise FileNotFoundError(2, "No such file or directory", str(target))

    monkeypatch.setattr(mounts, "bind", bind)
    kit = SimpleNamespace(refs=SimpleNamespace(run=tmp_path / "run"))
    step = ops_exec._Step(kit, ExecOp(("true",), ()), JobContext.__new__(JobContext), [])  # type: ignore[arg-type]
    with pytest.raises(NotFound, match='"in": no such file or directory'):
        step._pin(cache, "in")

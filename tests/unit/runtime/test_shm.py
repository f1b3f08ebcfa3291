"""Shared memory (mounting it is tested with real containers)."""

from scow.runtime import shm


def test_absent_is_fine(tmp_path):
    assert shm.path(tmp_path) == tmp_path / "mounts/shm"
    (tmp_path / "mounts/shm").mkdir(parents=True)

"""Secrets and configs of tasks as files: written to a tmpfs of the task's own under `<run>/swarm/<container id>`, mounted read-only one by
one. Never on disk, gone with the container's last process."""

import contextlib
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scow.kernel import mounts
from scow.model.oci import SpecMount
from scow.volumes.mounts import engine_file

_MODE = 0o444


@dataclass(frozen=True, slots=True)
class File:
    """One file: where in the container, what, for whom."""

    target: str
    data: bytes
    uid: int = 0
    gid: int = 0
    mode: int = _MODE


def target_of(row: Mapping[str, object], kind: str) -> str:
    """Where a reference's file goes: secrets below /run/secrets, configs below /, unless the name is a whole path."""
    file = row.get("File")
    name = str(file.get("Name") if isinstance(file, Mapping) else row.get(f"{kind}Name") or "")
    if name.startswith("/"):
        return os.path.normpath(name)
    return os.path.normpath(("/run/secrets/" if kind == "Secret" else "/") + name)


class TaskFiles:
    """Writes and removes them."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, container_id: str, files: list[File]) -> list[SpecMount]:
        """Make the files of a container that starts; its mounts. Blocking."""
        if not files:
            return []
        place = self._root / container_id
        self.remove(container_id)
        place.mkdir(parents=True, mode=0o700)
        mounts.mount("tmpfs", place, "tmpfs", 0, "mode=0700,size=64m")
        found: list[SpecMount] = []
        for number, file in enumerate(files):
            path = place / str(number)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, file.data)
                os.fchown(fd, file.uid, file.gid)
                os.fchmod(fd, stat.S_IMODE(file.mode))
            finally:
                os.close(fd)
            found.append(engine_file(path, file.target, read_only=True))
        return found

    def remove(self, container_id: str) -> None:
        """Take them away; absent is fine. Blocking."""
        place = self._root / container_id
        with contextlib.suppress(OSError):
            mounts.unmount_any(place)
        shutil.rmtree(place, ignore_errors=True)

    def sweep(self, alive: set[str]) -> None:
        """At boot: remove those of containers that don't run. Blocking."""
        if self._root.is_dir():
            for entry in os.listdir(self._root):
                if entry not in alive:
                    self.remove(entry)

"""What the daemon's options and environment say about registries. Imports nothing costly: the daemon makes one at its start."""

from dataclasses import dataclass
from pathlib import Path

FOLDERS = (Path("/etc/scow/certs.d"), Path("/etc/docker/certs.d"))


@dataclass(frozen=True, slots=True)
class Settings:
    """See the module docstring. `downloads` and `uploads`: layers at a time; `attempts`: tries without progress."""

    insecure: tuple[str, ...] = ()
    mirrors: tuple[str, ...] = ()
    downloads: int = 3
    uploads: int = 5
    attempts: int = 5
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    folders: tuple[Path, ...] = FOLDERS

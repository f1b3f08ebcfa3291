"""The service manager's files: `scow.service`, its socket, a second socket at Docker's address and the registry server (both off
until enabled), the group `docker`.

They lie beside this module and name the programs' folder as @bindir@. `python -m scow.daemon.units [FOLDER]` writes them for this
installation (by default to /etc/systemd/system); `make install` and the Debian package do the same for theirs.
"""

from pathlib import Path

HERE = Path(__file__).parent
UNITS = ("scow.service", "scow.socket", "scow-docker.socket", "scow-registry.service")
GROUP = "scow.conf"  # for sysusers.d


def write(folder: Path, bindir: str, group_folder: Path | None = None) -> list[Path]:
    """Write the units, and the group's file where a folder is given for it; the paths written. OSError."""
    written = []
    for name, target in (*((name, folder) for name in UNITS), *([(GROUP, group_folder)] if group_folder else [])):
        target.mkdir(parents=True, exist_ok=True)
        path = target / name
        path.write_text((HERE / name).read_text().replace("@bindir@", bindir))
        path.chmod(0o644)
        written.append(path)
    return written

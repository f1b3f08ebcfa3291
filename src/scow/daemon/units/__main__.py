"""`python -m scow.daemon.units [FOLDER [BINDIR [GROUP_FOLDER]]]`: see the package."""

import sys
from pathlib import Path

from scow.daemon import units


def main(argv: list[str]) -> int:
    """Writes the files, prints their paths and how to go on."""
    folder = Path(argv[0] if argv else "/etc/systemd/system")
    bindir = argv[1] if len(argv) > 1 else str(Path(sys.executable).parent)
    try:
        written = units.write(folder, bindir, Path(argv[2]) if len(argv) > 2 else None)
    except OSError as exc:
        sys.stderr.write(f"the units can't be written: {exc}\n")
        return 1
    sys.stdout.write("".join(f"{path}\n" for path in written))
    if len(argv) < 2:
        sys.stdout.write(
            "go on with:\n"
            "  getent group docker >/dev/null || groupadd --system docker\n"
            "  systemctl daemon-reload && systemctl enable --now scow.socket scow\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

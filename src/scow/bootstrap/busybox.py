"""The image `busybox`: Debian's busybox-static, a link for each of its applets, and the few files that programs expect."""

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

from scow.bootstrap import apt
from scow.bootstrap.archive import Base
from scow.bootstrap.layer import Layer, Writer, wanted_epoch
from scow.errors import ScowError

PACKAGE = "busybox-static"
_PATHS = ("usr/bin/busybox", "bin/busybox")
_PROGRAM_MAX = 64 << 20
_FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "usr/bin", "var", "var/log", "var/tmp", "var/www")
_FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}


def make(folder: Path, tell: apt.Tell) -> Base:
    """The image, its layer in `folder`: of the installed package where it is untouched, else of the one that apt fetches. ScowError."""
    version = _installed()
    program = _unchanged(version) if version else b""
    if program:
        tell(f"using the installed {PACKAGE} {version}")
        made = int(_program_path().stat().st_mtime)
    else:
        deb = apt.download(PACKAGE, folder, tell)
        version = apt.run(["dpkg-deb", "--field", str(deb), "Version"]).strip()
        program, made = _unpacked(deb, folder)
    epoch = wanted_epoch()
    layer = lay_down(folder / "layer.tar", program, applets_of(program), made if epoch is None else epoch)
    architecture, variant = apt.architecture()
    return Base(layer, ("busybox:latest",), ("sh",), "scow image bootstrap busybox", f"{PACKAGE} {version}", architecture, variant)


def applets_of(program: bytes) -> list[str]:
    """What the program can do, as it says itself. It runs from memory: temporary folders may forbid programs. ScowError."""
    fd = os.memfd_create("busybox")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(program)
        done = subprocess.run(
            ["busybox", "--list"], executable=f"/proc/self/fd/{fd}", pass_fds=[fd], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise ScowError(f"busybox can't be asked for its applets: {exc}") from exc
    finally:
        os.close(fd)
    return done.stdout.split()


def lay_down(path: Path, program: bytes, applets: list[str], epoch: int) -> Layer:
    """The layer."""
    out = Writer(path, epoch)
    names = {applet.split("/")[-1] for applet in applets} - {"busybox", ""}
    entries = {*_FOLDERS, *_FILES, "bin/busybox", "usr/bin/env", *(f"bin/{name}" for name in names)}
    for name in sorted(entries):
        if name in _FOLDERS:
            out.folder(name, 0o1777 if name in ("tmp", "var/tmp") else 0o755)
        elif name in _FILES:
            out.file(name, _FILES[name])
        elif name == "bin/busybox":
            out.file(name, program, 0o755)
        else:
            out.link(name, "../../bin/busybox" if name == "usr/bin/env" else "busybox")
    return out.close()


def _installed() -> str:
    """The version of the installed package, "" where it isn't."""
    try:
        state, _, version = apt.run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}|${Version}", PACKAGE]).partition("|")
    except ScowError:
        return ""
    return version.strip() if state.startswith("ii") else ""


def _program_path() -> Path:
    return next((path for name in reversed(_PATHS) if (path := Path("/") / name).exists()), Path("/bin/busybox"))


def _unchanged(version: str) -> bytes:
    """The installed program, b"" where it is not what the package brought."""
    try:
        sums = Path(f"/var/lib/dpkg/info/{PACKAGE}.md5sums").read_text()
        with _program_path().open("rb") as file:
            program = file.read(_PROGRAM_MAX)
    except OSError:
        return b""
    found = hashlib.md5(program, usedforsecurity=False).hexdigest()
    return program if any(f"{found}  {name}" in sums.splitlines() for name in _PATHS) and version else b""


def _unpacked(deb: Path, folder: Path) -> tuple[bytes, int]:
    """The program of the package, and when it was made."""
    apt.run(["dpkg-deb", "--fsys-tarfile", str(deb)], binary_to=folder / "package.tar")
    with tarfile.open(folder / "package.tar") as tar:
        for member in tar:
            if member.isreg() and member.name.removeprefix("./") in _PATHS and member.size <= _PROGRAM_MAX:
                return (tar.extractfile(member) or io.BytesIO()).read(), int(member.mtime)
    raise ScowError(f"the package {PACKAGE} holds no busybox")

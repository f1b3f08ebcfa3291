"""Making a tree the root of a helper process, so that no link leads out of it: a directory, a container's mounts as it sees them, or a tree
with a container's volumes in their places. `jobs.py` and the builder's jobs use it."""

import contextlib
import ctypes
import errno
import os
import struct
from typing import Any

from scow.kernel import mounts, paths, syscalls

Job = dict[str, Any]
"""What a helper is asked to do, and its report: see `workers.py`."""
_NEWNS = 0x20000
_SYS_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_NODEV = 442, -100, 0x8000, 4
_TRIES = 5
_LIBC = syscalls.libc


def _place(top: int, target: str, directory: bool) -> int:
    """A descriptor of the place of a mount below `top`, made as the start of the container would where it is missing. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        return paths.open_in_root(top, target)
    at = "/"
    parts = [part for part in target.split("/") if part not in ("", ".")]
    for number, part in enumerate(parts, 1):
        parent = paths.open_in_root(top, at, os.O_PATH | os.O_DIRECTORY)
        try:
            with contextlib.suppress(FileExistsError):
                if directory or number < len(parts):
                    os.mkdir(part, 0o755, dir_fd=parent)
                else:
                    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=parent))
        finally:
            os.close(parent)
        at += part + "/"
    return paths.open_in_root(top, target)


def _without_devices(libc: Any) -> None:
    """No device can be opened in this mount namespace: a container could put one in the place of a file while that is read."""
    attributes = struct.pack("=QQQQ", _ATTR_NODEV, 0, 0, 0)
    size = ctypes.c_size_t(len(attributes))
    libc.syscall(_SYS_MOUNT_SETATTR, ctypes.c_int(_AT_FDCWD), b"/", ctypes.c_uint(_AT_RECURSIVE), attributes, size)


class Root:
    """Makes a tree the root of this process, and gives the old root back."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.old = -1
        self.spent = False

    def __enter__(self) -> "Root":
        job = self._job
        self.old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if pid := job.get("pid"):
            self.spent = True
            expected = os.stat(job["root"]) if job.get("root") else None
            self._join(int(pid))
            found = os.stat("/")
            if expected and (expected.st_dev, expected.st_ino) != (found.st_dev, found.st_ino):
                raise OSError(errno.ESRCH, "the container has just ended")
        elif job.get("private"):
            self.spent = True
            self._private(job["root"], job.get("binds", []), bool(job.get("read_only")))
        else:
            os.chdir(job["root"])
            os.chroot(".")
        os.chdir("/")
        return self

    @staticmethod
    def _join(pid: int) -> None:
        """A container's mounts as it sees them, in a copy of its mount namespace without any /proc.

        The links in there lead to the roots of other processes (of the host, in a container that shares its processes).
        """
        libc = _LIBC
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = os.open(f"{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
            if libc.setns(fd, _NEWNS):
                raise OSError(ctypes.get_errno(), "cannot enter the container's mounts")
            os.close(fd)
            if libc.unshare(_NEWNS):
                raise OSError(ctypes.get_errno(), "cannot unshare the mounts")
            mounts.set_propagation("/", "rprivate")
            for _ in range(_TRIES):
                with open(os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), errors="surrogateescape") as table:
                    found = [row.target for row in mounts.parse_mountinfo(table.read()) if row.fstype == "proc"]
                if not found:
                    _without_devices(libc)
                    return
                for target in reversed(found):
                    with contextlib.suppress(OSError):
                        mounts.umount(target, mounts.UMOUNT_NOFOLLOW | mounts.MNT_DETACH)
            raise OSError(errno.EBUSY, "the container's /proc cannot be left out")
        finally:
            os.close(proc)

    @staticmethod
    def _private(root: str, binds: list[tuple[str, str, bool]], read_only: bool) -> None:
        """The tree with the container's volumes in their places, in a mount namespace of this process."""
        libc = _LIBC
        if libc.unshare(_NEWNS):
            raise OSError(ctypes.get_errno(), "cannot unshare the mounts")
        mounts.set_propagation("/", "rslave")
        mounts.bind(root, root, recursive=True)
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for source, target, bind_read_only in sorted(binds, key=lambda bind: bind[1].count("/")):
            try:
                fd = _place(top, target, os.path.isdir(source))
            except OSError:
                continue  # something else is in its place: the start of the container would fail, too
            mounts.bind(source, f"/proc/self/fd/{fd}", recursive=True)
            os.close(fd)
            if bind_read_only:  # the descriptor is of what the bind covers: look again
                fd = paths.open_in_root(top, target)
                mounts.mount("", f"/proc/self/fd/{fd}", flags=mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY)
                os.close(fd)
        if read_only:
            mounts.mount("", root, flags=mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY)
        os.fchdir(top)
        os.chroot(".")
        _without_devices(libc)

    def __exit__(self, *exc: object) -> None:
        if not self.spent:
            os.fchdir(self.old)
            os.chroot(".")
            os.chdir("/")
        os.close(self.old)

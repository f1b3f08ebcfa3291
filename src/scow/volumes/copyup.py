"""Fills an empty volume from the image's directory at its mount point.

Synchronous; descriptors all the way, so nothing leads out of either tree."""

import errno
import os
import stat

from scow.errors import InvalidArgument
from scow.kernel import inroot

_CHUNK = 16 << 20
_MAX_DEPTH = 400


def copy_up(volume: str, rootfs: str, path: str) -> bool:
    """Copy `path` of the tree `rootfs` into the directory `volume` unless that holds something. True when it was done.

    Raises InvalidArgument when a file is at `path`, OSError when the disk is full.
    """
    with inroot.root_fd(rootfs) as root:
        try:
            source = inroot.open_fd(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise InvalidArgument(f"cannot mount volume over existing file, file exists {path}") from None
            raise
    try:
        target = os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with os.scandir(target) as entries:
                if next(entries, None) is not None:
                    return False
            _Copy().directory(source, target, 0)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return True


class _Copy:
    """One copy; remembers files with several names."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, int], int] = {}

    def directory(self, source: int, target: int, depth: int) -> None:
        """The entries of one directory, then its own metadata."""
        if depth > _MAX_DEPTH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        for name in sorted(os.listdir(source)):
            info = os.stat(name, dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
                try:
                    os.mkdir(name, 0o700, dir_fd=target)
                    into = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target)
                    try:
                        self.directory(below, into, depth + 1)
                    finally:
                        os.close(into)
                finally:
                    os.close(below)
            elif stat.S_ISREG(info.st_mode):
                self._file(source, target, name, info)
            elif stat.S_ISLNK(info.st_mode):
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                _finish_path(target, name, info)
            elif not stat.S_ISSOCK(info.st_mode):
                os.mknod(name, info.st_mode, info.st_rdev, dir_fd=target)
                _finish_path(target, name, info)
        _finish_fd(source, target, os.fstat(source))

    def _file(self, source: int, target: int, name: str, info: os.stat_result) -> None:
        key = (info.st_dev, info.st_ino)
        if info.st_nlink > 1 and key in self._links:
            first = self._links[key]
            os.link(f"/proc/self/fd/{first}", name, dst_dir_fd=target, follow_symlinks=True)
            return
        reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
        try:
            writer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target)
            try:
                _data(reader, writer)
                _finish_fd(reader, writer, os.fstat(reader))
                if info.st_nlink > 1 and len(self._links) < 256:
                    self._links[key] = os.dup(writer)
            finally:
                os.close(writer)
        finally:
            os.close(reader)

    def __del__(self) -> None:
        for fd in self._links.values():
            os.close(fd)


def _data(reader: int, writer: int) -> None:
    try:
        while os.copy_file_range(reader, writer, _CHUNK):
            pass
        return
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    while os.sendfile(writer, reader, None, _CHUNK):
        pass


def _finish_fd(source: int, target: int, info: os.stat_result) -> None:
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    for name in os.listxattr(source):
        # trusted.overlay.* tells the overlay about itself and means nothing elsewhere.
        if not name.startswith("trusted.overlay.") and name != "security.selinux":
            try:
                os.setxattr(target, name, os.getxattr(source, name))
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EPERM):
                    raise
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _finish_path(directory: int, name: str, info: os.stat_result) -> None:
    os.chown(name, info.st_uid, info.st_gid, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(name, stat.S_IMODE(info.st_mode), dir_fd=directory)
    os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=directory, follow_symlinks=False)

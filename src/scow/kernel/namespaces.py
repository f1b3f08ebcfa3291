"""Namespaces: entering them from the calling thread, making network namespaces and pinning them to a file.

A pin is a bind mount of `/proc/…/ns/net` on a regular file; it keeps the namespace alive without a process. Called from pool
threads only: the thread is always put back where it was. Used by network, runtime and volumes.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces. Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace behind `descriptor`. Raises OSError."""
    _check(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


@contextlib.contextmanager
def _home() -> Iterator[None]:
    """Bring the thread back to its network namespace when the block ends."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET)
    finally:
        os.close(home)


@contextlib.contextmanager
def in_netns(path: str | Path) -> Iterator[None]:
    """Run the block inside the network namespace at `path` (a pin or `/proc/N/ns/net`)."""
    target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with _home():
            setns(target, CLONE_NEWNET)
            yield
    finally:
        os.close(target)


@contextlib.contextmanager
def new_netns(pin: Path) -> Iterator[None]:
    """Make a network namespace, pin it at `pin`, and run the block inside it. On an error of the block the pin is removed again."""
    with _home():
        unshare(CLONE_NEWNET)
        pin_netns("/proc/thread-self/ns/net", pin)
        try:
            yield
        except BaseException:
            unpin(pin)
            raise


def pin_netns(source: str, pin: Path) -> None:
    """Keep the namespace at `source` alive under `pin`; what was there is replaced."""
    unpin(pin)
    pin.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(pin, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    try:
        _check(_libc.mount(os.fsencode(source), os.fsencode(pin), None, ctypes.c_ulong(_MS_BIND), None), f"pin {pin.name}")
    except OSError:
        pin.unlink(missing_ok=True)
        raise


def unpin(pin: Path) -> None:
    """Remove a pin; absent is fine."""
    while _libc.umount2(os.fsencode(pin), ctypes.c_int(_MNT_DETACH | _UMOUNT_NOFOLLOW)) == 0:
        pass
    pin.unlink(missing_ok=True)


def is_pinned(pin: Path) -> bool:
    """Whether a namespace is mounted at `pin`."""
    try:
        return pin.stat().st_dev != pin.parent.stat().st_dev
    except OSError:
        return False

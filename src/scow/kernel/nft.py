"""nftables: rulesets applied through libnftables, in the network namespace the handle was made in; `nft` the program as fallback.

Synchronous, called in pool threads. A handle is locked: libnftables is not thread-safe.
"""

import contextlib
import ctypes
import ctypes.util
import fcntl
import functools
import os
import shutil
import tempfile
import threading

_MOST_LISTED = 1 << 20
_SELECT_MAX = 1000
_RESERVE, _FREED = 32, 8
_NAMES = ("libnftables.so.1", "libnftables.so")


class NftError(Exception):
    """The kernel or the parser refused a ruleset; the text is nft's."""


@functools.cache
def _library() -> ctypes.CDLL | None:
    for name in _NAMES:
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(name)
            library.nft_ctx_new.restype = ctypes.c_void_p
            library.nft_ctx_new.argtypes = [ctypes.c_uint32]
            library.nft_ctx_free.argtypes = [ctypes.c_void_p]
            library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
            library.nft_ctx_buffer_error.argtypes = [ctypes.c_void_p]
            library.nft_ctx_get_error_buffer.argtypes = [ctypes.c_void_p]
            library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
            library.nft_ctx_buffer_output.argtypes = [ctypes.c_void_p]
            return library
    return None


_reserve_lock = threading.Lock()
_reserved: list[int] = []


def reserve() -> None:
    """Keep low descriptors for handles: libnftables waits with select(2), which ends the process for a socket of 1024 and more. To be
    called before the process has many."""
    with _reserve_lock:
        _fill()


def _fill() -> None:
    base = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while len(_reserved) < _RESERVE:
            found = fcntl.fcntl(base, fcntl.F_DUPFD_CLOEXEC, 3)
            if found >= _SELECT_MAX:
                os.close(found)
                return
            _reserved.append(found)
    finally:
        os.close(base)


def _context(library: ctypes.CDLL) -> int | None:
    """A handle's context whose socket has a low descriptor, None where there is none left."""
    with _reserve_lock:
        _fill()
        # other threads may take some of them first
        freed = [_reserved.pop() for _ in range(min(_FREED, len(_reserved)))]
        for fd in freed:
            os.close(fd)
        if len(freed) < _FREED:
            return None
        context: int = library.nft_ctx_new(0)
        _fill()
        return context


class Nft:
    """A handle on the tables of the calling thread's network namespace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._library = _library()
        self._context: int | None = None
        if self._library is not None:
            self._context = _context(self._library)
        if self._library is not None and self._context is not None:
            self._library.nft_ctx_buffer_error(self._context)
            self._library.nft_ctx_buffer_output(self._context)

    @property
    def in_process(self) -> bool:
        """Whether libnftables is there."""
        return self._context is not None

    def run(self, ruleset: str) -> None:
        """Apply `ruleset` as one transaction. Raises NftError."""
        if self._library is None or self._context is None:
            run_program(ruleset)
            return
        with self._lock:
            if self._library.nft_run_cmd_from_buffer(self._context, ruleset.encode()):
                raise NftError((self._library.nft_ctx_get_error_buffer(self._context) or b"").decode(errors="replace").strip())

    def close(self) -> None:
        """Free the handle."""
        with self._lock:
            if self._library is not None and self._context is not None:
                self._library.nft_ctx_free(self._context)
                self._context = None


def program() -> str | None:
    """The path of nft(8), or None."""
    return shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def run_program(ruleset: str) -> None:
    """Apply `ruleset` with nft(8), in the thread's namespace. Raises NftError, also when the program crashes."""
    path = program()
    if path is None:
        raise NftError("nft is not installed: install the package nftables")
    with tempfile.TemporaryFile() as rules, tempfile.TemporaryFile() as errors:
        rules.write(ruleset.encode())
        rules.seek(0)
        actions = [
            (os.POSIX_SPAWN_DUP2, rules.fileno(), 0),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, errors.fileno(), 2),
        ]
        child = os.posix_spawn(path, ["nft", "-f", "-"], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, file_actions=actions)
        try:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except ChildProcessError:
            # somebody reaped it for us: silence means that it went well
            code = 1 if os.fstat(errors.fileno()).st_size else 0
        if code:
            errors.seek(0)
            raise NftError(errors.read(4096).decode(errors="replace").strip() or f"nft ended with status {code}")


def listing(what: str) -> str:
    """What `nft list <what>` prints, "" where there is no such thing or no nft(8). A child does it: tables of others may be of a newer nft,
    on which the library crashes."""
    path = program()
    if path is None:
        return ""
    with tempfile.TemporaryFile() as output:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
        ]
        child = os.posix_spawn(path, ["nft", "list", *what.split()], {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, file_actions=actions)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        output.seek(0)
        return output.read(_MOST_LISTED).decode(errors="replace")

"""File actions as a job of an archive worker: whose the files are to be, the root, what is said of what goes wrong.

`copying.py` is the door, `copywork.py` does the actions. Imports only what a worker may (no daemon code).
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource

from scow.archive import streams
from scow.archive.chroot import Job, Root
from scow.archive.tar import Malformed
from scow.build.copyfiles import Refused
from scow.build.copywork import Engine
from scow.errors import ScowError
from scow.runtime import users

_FILES = 4096


def do_files(job: Job, fds: list[int]) -> Job:
    """Do `actions` one after the other below `root`; `fds` are the trees that are read. The answer counts copies, or says what is wrong."""
    actions = job["actions"]
    if any(action.get("attempt_unpack") for action in actions):
        for compression in ("gzip", "bzip2", "xz", "zstd"):
            streams.load(compression)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FILES:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, hard), hard))
    engine = Engine(fds)
    for number, action in enumerate(actions):
        try:
            engine.owner = _owner(action.get("owner"), job["root"], fds)
            with Root(job):
                engine.do(action)
        except (Refused, ScowError, Malformed, ValueError) as error:
            return {"refused": str(error), "action": number}
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
                raise
            name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
            return {"refused": f"{name[:300] + ': ' if name else ''}{(error.strerror or str(error)).lower()}", "action": number}
    return {"files": engine.report.files, "size": engine.report.size}


def _owner(owner: Job | None, root: str, sources: list[int]) -> tuple[int, int] | None:
    """The numbers of an owner; a name is looked up in the tree it belongs to. Works outside the root, where /proc is."""
    if not owner:
        return None

    def tree(number: int) -> str:
        return root if number < 0 else f"/proc/self/fd/{sources[number]}"

    uid = gid = 0
    user, group = owner.get("user"), owner.get("group")
    if isinstance(user, int):
        uid = gid = _id(user)
    elif user:
        try:
            found = users.resolve_user(tree(owner.get("user_lookup", -1)), user)
        except ScowError:
            raise Refused(f"can't find uid for user {user}: no such user: {user}") from None
        uid, gid = found.uid, found.gid
    if isinstance(group, int):
        gid = _id(group)
    elif group:
        try:
            gid = users.resolve_user(tree(owner.get("group_lookup", -1)), f"0:{group}").gid
        except ScowError:
            raise Refused(f"can't find gid for group {group}: no such group: {group}") from None
    return uid, gid


def _id(number: int) -> int:
    if not 0 <= number < (1 << 32) - 1:
        raise Refused(f"invalid owner {number}: uids and gids are numbers from 0 to 4294967294")
    return number

"""Who a container's process is: `--user`, `--group-add` and the image's passwd and group files, read safely below the root filesystem.

Called by containers (start, exec) and build.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scow.errors import InvalidArgument
from scow.kernel import inroot

_LIMIT = 2 << 20  # parsing more would hold everything up for seconds
_MAX_ID = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class ResolvedUser:
    """Numbers for the kernel, and the home directory ("/" when unknown)."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def _lines(root: str | os.PathLike[str], path: str) -> Iterator[list[str]]:
    for line in (inroot.read_text(root, path, _LIMIT) or "").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip().split(":")


def _number(text: str) -> int | None:
    """An id as strconv.Atoi reads it, or None."""
    body = text[1:] if text[:1] in "+-" else text
    return int(text) if body.isascii() and body.isdigit() and len(body) < 20 else None


def _accounts(root: str | os.PathLike[str]) -> Iterator[_Account]:
    for parts in _lines(root, "/etc/passwd"):
        if len(parts) >= 4 and (uid := _number(parts[2])) is not None:
            yield _Account(parts[0], uid, _number(parts[3]) or 0, parts[5] if len(parts) > 5 else "")


def _groups(root: str | os.PathLike[str]) -> Iterator[_Group]:
    for parts in _lines(root, "/etc/group"):
        if len(parts) >= 3 and (gid := _number(parts[2])) is not None:
            members = tuple(m for m in parts[3].split(",") if m) if len(parts) > 3 else ()
            yield _Group(parts[0], gid, members)


def _checked(value: int) -> int:
    if not 0 <= value <= _MAX_ID:
        raise InvalidArgument(f"uids and gids must be in range 0-{_MAX_ID}")
    return value


def resolve_user(root: Path | str, user: str, groups: Iterable[str] = ()) -> ResolvedUser:
    """Resolve `name|uid[:group|gid]` and the additional groups in the tree `root`.

    Raises InvalidArgument with Docker's texts: an unknown name, an id out of range.
    """
    name, _, group = user.partition(":")
    number = _number(name)
    wanted = name or "0"
    account = None
    uid = gid = 0
    for entry in _accounts(root):
        if entry.name == wanted or ((number if name else 0) == entry.uid and (not name or number is not None)):
            account = entry
            break
    if account is not None:
        uid, gid = _checked(account.uid), _checked(account.gid)
    elif number is not None:
        uid = _checked(number)
    elif name:
        raise InvalidArgument(f"unable to find user {name}: no matching entries in passwd file")
    extra: list[int] = []
    all_groups = list(_groups(root))
    if group:
        gid = _find_group(all_groups, group)
    elif account is not None:
        extra = [_checked(g.gid) for g in all_groups if account.name in g.members]
    for text in groups:
        extra.append(_find_group(all_groups, text))
    # The main group belongs into the list too: without it a process could drop it and gain where the group is denied.
    ordered = tuple(dict.fromkeys([gid, *extra]))
    return ResolvedUser(uid, gid, ordered, (account.home if account else "") or "/")


def _find_group(groups: list[_Group], text: str) -> int:
    number = _number(text)
    for group in groups:
        if group.name == text or (number is not None and group.gid == number):
            return _checked(group.gid)
    if number is None:
        raise InvalidArgument(f"Unable to find group {text}: no matching entries in group file")
    return _checked(number)

"""What a control group manager offers, for both versions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from scow.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of one group. Times in nanoseconds, sizes in bytes; `raw` keeps the version's own memory fields."""

    version: int
    cpu_total: int = 0
    cpu_user: int = 0
    cpu_system: int = 0
    per_cpu: tuple[int, ...] = ()
    periods: int = 0
    throttled: int = 0
    throttled_time: int = 0
    memory_usage: int = 0
    memory_max: int = 0
    memory_limit: int = 0
    memory_failures: int = 0
    memory: dict[str, int] = field(default_factory=dict)
    pids: int = 0
    pids_limit: int = 0
    bytes_by_device: tuple[tuple[int, int, str, int], ...] = ()
    operations_by_device: tuple[tuple[int, int, str, int], ...] = ()


class Manager(Protocol):
    """One version of control groups below its mount."""

    version: int

    def create(self, path: str) -> None:
        """Make the group where it is missing."""
        ...

    def stats(self, path: str) -> Stats:
        """The figures now; zeros where a controller is missing. Raises FileNotFoundError when the group is gone."""
        ...

    def frozen(self, path: str) -> bool:
        """Whether the group's processes are stopped by the freezer."""
        ...

    def freeze(self, path: str, on: bool) -> None:
        """Ask for it; `frozen` tells when it is so."""
        ...

    def lift_quota(self, path: str) -> None:
        """Let the group have the processors for as long as it wants. Raises OSError."""
        ...

    def pids(self, path: str) -> list[int]:
        """Every process in the group and below; empty when it is gone."""
        ...

    def oom_kills(self, path: str) -> int:
        """How many processes the out-of-memory killer took in the group."""
        ...

    def oom_watch(self, path: str) -> int:
        """A descriptor that becomes readable (version 1) or exceptional (version 2) when memory ran out. The caller closes it."""
        ...

    def delete(self, path: str) -> None:
        """Remove the group and those below; an absent one is fine. Raises OSError (EBUSY) while processes live in it."""
        ...


def below(root: Path, path: str) -> Path:
    """`path` under `root`, with nothing in it that leads out."""
    parts = [part for part in path.split("/") if part and part != "."]
    if ".." in parts or "\0" in path or not parts:
        raise InvalidArgument(f"invalid control group path: {path}")
    return root.joinpath(*parts)


def number(path: Path, default: int = 0) -> int:
    """The number in a file; `max` is 2^64-1, anything else `default`."""
    try:
        text = path.read_text().strip()
    except OSError:
        return default
    if text == "max":
        return (1 << 64) - 1
    try:
        return int(text)
    except ValueError:
        return default


def table(path: Path) -> dict[str, int]:
    """`key value` lines."""
    result: dict[str, int] = {}
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return result
    for line in lines:
        key, _, value = line.partition(" ")
        if value.lstrip("-").isdigit():
            result[key] = int(value)
    return result


def tree(top: Path, limit: int = 4096) -> Iterator[Path]:
    """The group and those below it, deepest last; bounded, because a container may make groups of its own."""
    pending = [top]
    count = 0
    while pending and count < limit:
        here = pending.pop(0)
        count += 1
        yield here
        try:
            pending += sorted(entry for entry in here.iterdir() if entry.is_dir() and not entry.is_symlink())
        except OSError:
            continue


def members(top: Path) -> list[int]:
    """Processes of a group and of those below."""
    found: list[int] = []
    for group in tree(top):
        try:
            found += [int(line) for line in (group / "cgroup.procs").read_text().split()]
        except (OSError, ValueError):
            continue
    return sorted(set(found))


def remove_tree(top: Path) -> None:
    """Remove groups, deepest first. Raises the last OSError other than absence."""
    error: OSError | None = None
    for group in reversed(list(tree(top))):
        try:
            group.rmdir()
        except FileNotFoundError:
            continue
        except OSError as failure:
            error = failure
    if error is not None:
        raise error

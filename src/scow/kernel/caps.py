"""Linux capabilities: their names, this process's own sets, and what a container gets.

Used by `runtime/spec.py` and `runtime/checks.py`."""

from collections.abc import Iterable
from pathlib import Path

from scow.errors import InvalidArgument

ALL = "ALL"
NAMES: tuple[str, ...] = tuple(
    "CAP_" + name
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ]
)
DEFAULT: tuple[str, ...] = tuple(
    "CAP_" + name
    for name in [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)


def from_mask(mask: int) -> frozenset[str]:
    """The names of a bit mask; bits without a name are left out."""
    return frozenset(name for bit, name in enumerate(NAMES) if mask >> bit & 1)


def _own(which: str) -> frozenset[str]:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return from_mask(int(line.split()[1], 16))
    return frozenset()


def bounding() -> frozenset[str]:
    """What this process may hand on: no container can get more."""
    return _own("CapBnd")


def effective() -> frozenset[str]:
    """What this process may do now."""
    return _own("CapEff")


def normalize(names: Iterable[str], available: frozenset[str], field: str = "CapAdd") -> list[str]:
    """Docker's spellings (net_admin, CAP_NET_ADMIN, ALL) as kernel names.

    Raises InvalidArgument, which names the `field` of the request, for what the kernel or this process lacks.
    """
    result = []
    for name in names:
        upper = name.upper()
        if upper == ALL:
            result.append(ALL)
            continue
        if not upper.startswith("CAP_"):
            upper = "CAP_" + upper
        if upper not in NAMES:
            raise InvalidArgument(f'invalid {field}: unknown capability: "{upper}"')
        if upper not in available:
            missing = "capability not supported by your kernel or not available in the current environment"
            raise InvalidArgument(f'invalid {field}: {missing}: "{upper}"')
        result.append(upper)
    return result


def choose(add: Iterable[str], drop: Iterable[str], privileged: bool, available: frozenset[str]) -> list[str]:
    """The capabilities of a container, in kernel order."""
    if privileged:
        return [name for name in NAMES if name in available]
    plus = normalize(add, available)
    # Dropping what nobody has is no mistake.
    minus = normalize(drop, frozenset(NAMES), "CapDrop")
    if ALL in plus:
        chosen = set(available) - set(minus)
    elif ALL in minus:
        chosen = set(plus)
    else:
        chosen = (set(DEFAULT) & available) - set(minus) | set(plus)
    return [name for name in NAMES if name in chosen]

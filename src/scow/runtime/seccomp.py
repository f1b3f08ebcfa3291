"""Seccomp profiles in Docker's format (includes, excludes, archMap) rendered to the OCI form a runtime takes.

The built-in profile is data: `seccomp_default.json`, the rules of Docker's default profile. Called by `spec.py` and `checks.py`.
"""

import functools
import json
import os
import re
from importlib import resources
from typing import Any

from scow.errors import InvalidArgument

_MACHINES = {  # uname: (Docker's name, seccomp's name)
    "x86_64": ("amd64", "SCMP_ARCH_X86_64"),
    "aarch64": ("arm64", "SCMP_ARCH_AARCH64"),
    "i686": ("x86", "SCMP_ARCH_X86"),
    "armv7l": ("arm", "SCMP_ARCH_ARM"),
    "ppc64le": ("ppc64le", "SCMP_ARCH_PPC64LE"),
    "s390x": ("s390x", "SCMP_ARCH_S390X"),
    "riscv64": ("riscv64", "SCMP_ARCH_RISCV64"),
}
_ACTIONS = frozenset(
    "SCMP_ACT_" + name for name in ("KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY")
)
_OPERATORS = frozenset("SCMP_CMP_" + name for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))
_MAX_SYSCALLS = 20_000


@functools.cache
def default_profile() -> dict[str, Any]:
    """The built-in profile, unresolved."""
    return parse(resources.files("scow.runtime").joinpath("seccomp_default.json").read_text())


def parse(text: str) -> dict[str, Any]:
    """A profile from JSON, its shape checked. Raises InvalidArgument."""
    try:
        profile = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from None
    if not isinstance(profile, dict):
        raise InvalidArgument("Decoding seccomp profile failed: a JSON object is needed")
    _check(profile)
    return profile


def _check(profile: dict[str, Any]) -> None:
    def action(value: object) -> None:
        if not isinstance(value, str) or value not in _ACTIONS:
            raise InvalidArgument(f"invalid seccomp action: {value!r}")

    action(profile.get("defaultAction"))
    if profile.get("architectures") and profile.get("archMap"):
        raise InvalidArgument(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
        )
    calls = profile.get("syscalls") or []
    for key in ("defaultErrnoRet", "errnoRet"):
        for holder in (profile, *(c for c in calls if isinstance(c, dict))) if isinstance(calls, list) else ():
            value = holder.get(key)
            if value is not None and (not isinstance(value, int) or not 0 <= value < 4096):
                raise InvalidArgument(f"Decoding seccomp profile failed: bad {key}")
    for name in ("syscalls", "archMap", "architectures"):
        if not isinstance(profile.get(name) or [], list):
            raise InvalidArgument(f"Decoding seccomp profile failed: {name} must be a list")
    if not all(isinstance(entry, dict) for entry in [*calls, *(profile.get("archMap") or [])]):
        raise InvalidArgument("Decoding seccomp profile failed: objects expected in syscalls and archMap")
    arches = profile.get("archMap") or []
    if not _strings(profile.get("architectures")) or not all(_strings(entry.get("subArchitectures")) for entry in arches):
        raise InvalidArgument("Decoding seccomp profile failed: bad architectures")
    total = 0
    for call in calls:
        if call.get("name") and call.get("names"):
            raise InvalidArgument("both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
        names = _names(call)
        total += len(names)
        if not all(isinstance(name, str) for name in names) or total > _MAX_SYSCALLS:
            raise InvalidArgument("Decoding seccomp profile failed: bad system call names")
        action(call.get("action"))
        args = call.get("args") or []
        if not isinstance(args, list) or not all(isinstance(a, dict) and str(a.get("op")) in _OPERATORS and _numbers(a) for a in args):
            raise InvalidArgument(f"invalid arguments in the seccomp rule of {', '.join(names[:5])}")
        for key in ("includes", "excludes"):
            rule = call.get(key) or {}
            if not isinstance(rule, dict) or not all(_strings(rule.get(k)) for k in ("caps", "arches")):
                raise InvalidArgument(f"Decoding seccomp profile failed: bad {key}")


def _strings(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(entry, str) for entry in value))


def _numbers(arg: dict[str, Any]) -> bool:
    values = (arg.get("index", 0), arg.get("value", 0), arg.get("valueTwo", 0))
    return all(isinstance(v, int) and 0 <= v < 1 << 64 for v in values)


def _names(call: dict[str, Any]) -> list[Any]:
    names = call.get("names")
    if isinstance(names, list) and names:
        return names
    return [call["name"]] if call.get("name") else []


def _kernel() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _at_least(version: object, kernel: tuple[int, int]) -> bool:
    found = re.match(r"(\d+)\.(\d+)", str(version))
    return bool(found) and kernel >= (int(found[1]), int(found[2]))  # type: ignore[index]


def render(
    profile: dict[str, Any], capabilities: frozenset[str] | set[str], machine: str | None = None, kernel: tuple[int, int] | None = None
) -> dict[str, Any] | None:
    """The OCI `linux.seccomp` of a profile for a container with these capabilities; None when the profile is empty.

    `machine` and `kernel` default to this host's.
    """
    if not profile:
        return None
    arch, native = _MACHINES.get(machine or os.uname().machine, ("", ""))
    kernel = kernel or _kernel()
    result: dict[str, Any] = {"defaultAction": profile["defaultAction"]}
    if "defaultErrnoRet" in profile:
        result["defaultErrnoRet"] = profile["defaultErrnoRet"]
    architectures = list(profile.get("architectures") or [])
    for entry in profile.get("archMap") or []:
        if entry.get("architecture") == native:
            architectures = [native, *(entry.get("subArchitectures") or [])]
            break
    if architectures:
        result["architectures"] = architectures
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if profile.get(key):
            result[key] = profile[key]
    calls = []
    for call in profile.get("syscalls") or []:
        if not _applies(call, arch, capabilities, kernel):
            continue
        rule: dict[str, Any] = {"names": _names(call), "action": call["action"]}
        if call.get("errnoRet") is not None:
            rule["errnoRet"] = call["errnoRet"]
        if call.get("args"):
            rule["args"] = [
                {"index": a.get("index", 0), "value": a.get("value", 0), "valueTwo": a.get("valueTwo", 0), "op": a["op"]}
                for a in call["args"]
            ]
        if rule["names"]:
            calls.append(rule)
    result["syscalls"] = calls
    return result


def _applies(call: dict[str, Any], arch: str, capabilities: frozenset[str] | set[str], kernel: tuple[int, int]) -> bool:
    excludes, includes = call.get("excludes") or {}, call.get("includes") or {}
    if arch in (excludes.get("arches") or ()) or any(c in capabilities for c in excludes.get("caps") or ()):
        return False
    if excludes.get("minKernel") and _at_least(excludes["minKernel"], kernel):
        return False
    if includes.get("arches") and arch not in includes["arches"]:
        return False
    if not all(c in capabilities for c in includes.get("caps") or ()):
        return False
    return not includes.get("minKernel") or _at_least(includes["minKernel"], kernel)

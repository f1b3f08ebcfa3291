"""What this machine can build, as BuildKit's WorkerRecord: platforms (its own, older ones of its kind, emulated ones) and labels."""

import socket
from pathlib import Path
from typing import Any

from scow.build.session.messages import PB, TYPES
from scow.images.platforms import host_platform

_PREFIX = "org.mobyproject.buildkit.worker."
_LEVELS = (
    ("v2", {"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"}),
    ("v3", {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}),
    ("v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}),
)
_EMULATORS = {
    "aarch64": ("arm64", ""),
    "arm": ("arm", "v7"),
    "riscv64": ("riscv64", ""),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "x86_64": ("amd64", ""),
    "mips64el": ("mips64le", ""),
    "loongarch64": ("loong64", ""),
}


def platforms(cpuinfo: str, handlers: set[str]) -> list[tuple[str, str]]:
    """(architecture, variant) pairs, the machine's own first. `handlers`: names of registered emulators (`qemu-arm`)."""
    own = host_platform().architecture
    found = [(own, "")]
    if own == "amd64":
        line = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
        flags = set(line.partition(":")[2].split())
        for name, needed in _LEVELS:
            if not needed <= flags:
                break
            found.append((own, name))
        found.append(("386", ""))
    elif own == "arm64":
        found += [("arm", "v7"), ("arm", "v6")]
    for name, pair in _EMULATORS.items():
        if f"qemu-{name}" in handlers and pair not in found:
            found.append(pair)
            if pair == ("arm", "v7"):
                found.append(("arm", "v6"))
    return found


def _handlers() -> set[str]:
    try:
        return {one.name for one in Path("/proc/sys/fs/binfmt_misc").iterdir()}
    except OSError:
        return set()


def record(id: str, gateway: str) -> Any:
    """The record. `gateway`: the host's address as containers see it, "" = unknown."""
    labels = {
        _PREFIX + "executor": "oci",
        _PREFIX + "snapshotter": "overlayfs",
        _PREFIX + "hostname": socket.gethostname(),
        _PREFIX + "network": "host",
    }
    if gateway:
        labels[_PREFIX + "moby.host-gateway-ip"] = gateway
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(errors="replace")[: 64 << 10]
    except OSError:
        cpuinfo = ""
    made = [
        PB.Platform(OS="linux", Architecture=architecture, Variant=variant) for architecture, variant in platforms(cpuinfo, _handlers())
    ]
    return TYPES.WorkerRecord(ID=id, Labels=labels, platforms=made, BuildkitVersion=version())


def version() -> Any:
    """The BuildKit whose protocol is spoken here."""
    return TYPES.BuildkitVersion(package="github.com/moby/buildkit", version="v0.16.0+scow", revision="")

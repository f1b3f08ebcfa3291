"""What `/version` says."""

import os
import sys
from typing import Any

from scow.system.names import DOCKER_VERSION, ENGINE_VERSION, SCOW_VERSION

_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}
_BUILT = "2026-11-28T00:00:00.000000000+00:00"
_COMMIT = "scow"


def architecture() -> str:
    """The machine in Go's words."""
    machine = os.uname().machine
    return _ARCH.get(machine, machine)


def version(api: str, minimum: str, runtime_version: str = "") -> dict[str, Any]:
    """The document of /version for the API versions `api` (newest) and `minimum`."""
    uname = os.uname()
    python = f"python{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    details = {
        "ApiVersion": api,
        "Arch": architecture(),
        "BuildTime": _BUILT,
        "Experimental": "false",
        "GitCommit": _COMMIT,
        "GoVersion": python,
        "KernelVersion": uname.release,
        "MinAPIVersion": minimum,
        "Os": "linux",
    }
    components = [
        {"Name": "Engine", "Version": ENGINE_VERSION, "Details": details},
        {"Name": "scow", "Version": SCOW_VERSION, "Details": {"GitCommit": _COMMIT, "DockerVersion": DOCKER_VERSION}},
    ]
    if runtime_version:
        components.append({"Name": "crun", "Version": runtime_version, "Details": {"GitCommit": ""}})
    return {
        "Platform": {"Name": "Scow - a container engine that speaks Docker"},
        "Components": components,
        "Version": ENGINE_VERSION,
        "ApiVersion": api,
        "MinAPIVersion": minimum,
        "GitCommit": _COMMIT,
        "GoVersion": python,
        "Os": "linux",
        "Arch": architecture(),
        "KernelVersion": uname.release,
        "BuildTime": _BUILT,
    }

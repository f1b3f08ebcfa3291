"""Platforms: `linux/arm64/v8` in words and as JSON. Pure."""

import json
import platform as host
import re
from dataclasses import dataclass

from scow.errors import InvalidArgument

_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")
_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armv7l": "arm", "armhf": "arm"}
_ARCHITECTURES = frozenset(
    ("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le", "riscv64", "s390x", "wasm")
)
_SYSTEMS = frozenset(("linux", "windows", "darwin", "freebsd", "wasi"))


@dataclass(frozen=True, slots=True)
class Platform:
    """A system, an architecture, and its variant ("" mostly)."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normal_architecture(name: str) -> str:
    """Docker's name of an architecture."""
    return _NAMES.get(name.lower(), name.lower())


def host_platform() -> Platform:
    """That of this machine."""
    return Platform("linux", normal_architecture(host.machine()))


def normal(platform: Platform) -> Platform:
    """A platform without the variants that say nothing (arm64/v8, amd64/v1) and with the one that arm means."""
    variant = platform.variant
    if platform.architecture == "arm64" and variant in ("8", "v8"):
        variant = ""
    elif platform.architecture == "arm":
        variant = "v" + (variant.removeprefix("v") or "7")
    elif platform.architecture == "amd64" and variant == "v1":
        variant = ""
    return Platform(platform.os, platform.architecture, variant)


def parse_platform(text: str) -> Platform:
    """`linux/arm64/v8`, `arm64`, `linux`, or the JSON form of the API. Raises InvalidArgument."""
    if text.startswith("{"):
        try:
            found = json.loads(text)
            parts = [found.get("os") or "linux", found.get("architecture") or "", found.get("variant") or ""]
        except (ValueError, AttributeError):
            raise InvalidArgument(f"invalid platform: {text[:100]!r}") from None
        if not all(isinstance(part, str) for part in parts) or not parts[1]:
            raise InvalidArgument(f"invalid platform: {text[:100]!r}")
        return Platform(parts[0], normal_architecture(parts[1]), parts[2])
    parts = text.split("/")
    if len(parts) > 3 or not all(_PART.match(part) for part in parts):
        raise InvalidArgument(f'"{text[:100]}": invalid platform: must be os/architecture[/variant]')
    if len(parts) == 1:
        if parts[0].lower() in _SYSTEMS:
            return Platform(parts[0].lower(), host_platform().architecture)
        if normal_architecture(parts[0]) in _ARCHITECTURES:
            return Platform("linux", normal_architecture(parts[0]))
        raise InvalidArgument(f'"{text[:100]}": unknown operating system or architecture: invalid argument')
    return Platform(parts[0].lower(), normal_architecture(parts[1]), parts[2].lower() if len(parts) == 3 else "")

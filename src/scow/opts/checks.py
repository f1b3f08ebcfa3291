"""Checks of single words that docker's command line makes before it asks the engine. Each returns the word as the API wants it, or
raises InvalidArgument with docker's text. Called by the flags of run, create, exec, volume, network and image commands."""

from __future__ import annotations

from scow.errors import InvalidArgument

_SYSCTLS = ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")
_SYSCTL_TREES = ("net.", "fs.mqueue.")
_MAC_BYTES = (6, 8, 20)


def label(word: str) -> str:
    """`name=value` or `name`."""
    name = word.partition("=")[0].lstrip(" \t")
    if not name:
        raise InvalidArgument(f"invalid label '{word}': empty name")
    if " " in name or "\t" in name:
        raise InvalidArgument(f"label '{name}' contains whitespaces")
    return word


def variable(word: str) -> str:
    """`NAME=value` or `NAME`."""
    if not word or word.startswith("="):
        raise InvalidArgument(f"invalid environment variable: {word}")
    return word


def link(word: str) -> str:
    """`container` or `container:alias`."""
    if not word:
        raise InvalidArgument("empty string specified for links")
    if word.count(":") > 1:
        raise InvalidArgument(f"bad format for links: {word}")
    return word


def address(word: str) -> str:
    """An IP address."""
    import ipaddress

    try:
        ipaddress.ip_address(word.strip())
    except ValueError:
        raise InvalidArgument(f"IP address is not correctly formatted: {word}") from None
    return word.strip()


def domain(word: str) -> str:
    """A search domain, or `.` for none."""
    name = word.strip(" ")
    if name == ".":
        return name
    plain = name.removesuffix(".")
    good = plain.isascii() and len(plain) < 255 and any(char.isalpha() for char in plain)
    if not good or not all(part and all(char.isalnum() or char in "-_" for char in part) for part in plain.split(".")):
        raise InvalidArgument(f"{name} is not a valid domain")
    return plain


def device_rule(word: str) -> str:
    """`c 1:3 rwm`."""
    kind, _, rest = word.partition(" ")
    numbers, _, modes = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    good = kind in ("a", "b", "c") and colon and all(one == "*" or (one.isascii() and one.isdigit()) for one in (major, minor))
    if not good or not 1 <= len(modes) <= 3 or modes.strip("rwm"):
        raise InvalidArgument(f"invalid device cgroup format '{word}'")
    return word


def sysctl(word: str) -> str:
    """`name=value` of a parameter that a container has for itself."""
    name, sep, _ = word.partition("=")
    if not sep or not (name.startswith(_SYSCTL_TREES) or name in {f"kernel.{one}" for one in _SYSCTLS}):
        raise InvalidArgument(f"sysctl '{word}' is not allowed")
    return word


def mac(text: str) -> str:
    """A MAC address in any of its three spellings."""
    for mark, width in ((":", 2), ("-", 2), (".", 4)):
        parts = text.split(mark)
        good = len(parts) > 1 and all(len(part) == width and not part.strip("0123456789abcdefABCDEF") for part in parts)
        if good and len(parts) * width // 2 in _MAC_BYTES:
            return text
    raise InvalidArgument(f"{text} is not a valid mac address")


def namespace(flag: str, text: str, words: tuple[str, ...]) -> str:
    """A namespace mode of --pid, --uts…: one of `words`, "" or (where `words` has `container:`) `container:NAME`."""
    if not text or (text in words and not text.endswith(":")):
        return text
    if "container:" in words and text.startswith("container:") and len(text) > len("container:"):
        return text
    kind = {"pid": "PID", "uts": "UTS", "userns": "USER", "cgroupns": "CGROUP"}[flag]
    raise InvalidArgument(f"--{flag}: invalid {kind} mode")


def platform(text: str) -> str:
    """`os[/architecture[/variant]]`."""
    parts = text.split("/")
    good = len(parts) <= 3 and all(
        part and part.isascii() and part.replace("_", "").replace("-", "").replace(".", "").isalnum() for part in parts
    )
    if not good:
        raise InvalidArgument(f'"{text}": cannot parse platform specifier: invalid argument')
    return text

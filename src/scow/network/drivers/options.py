"""Checking driver options: names to checks that raise ValueError for a bad value."""

import ipaddress
import re
from collections.abc import Callable, Mapping

from scow.errors import InvalidArgument

MTU = "com.docker.network.driver.mtu"
_LINK = re.compile(r"[^/\s:]{1,15}\Z")


def check(options: Mapping[str, str], checks: Mapping[str, Callable[[str], object]]) -> None:
    """Raise InvalidArgument naming the first option with a bad value; options nobody knows are kept, as by dockerd."""
    for name, value in options.items():
        try:
            if name in checks and value:
                checks[name](value)
        except ValueError:
            raise InvalidArgument(f'invalid value for option "{name}": {value!r}') from None


def mtu(text: str) -> None:
    """The MTU of links."""
    if not 68 <= int(text) <= 65535:
        raise ValueError(text)


def link(text: str) -> None:
    """The name of a link."""
    if not _LINK.match(text) or text in (".", ".."):
        raise ValueError(text)


def links(text: str) -> None:
    """Names of links, with colons between."""
    for name in text.split(":"):
        link(name)


def one_of(*words: str) -> Callable[[str], object]:
    """One of these words."""

    def test(text: str) -> None:
        if text not in words:
            raise ValueError(text)

    return test


def ipv4(text: str) -> None:
    """An IPv4 address."""
    ipaddress.IPv4Address(text)


def ipv6(text: str) -> None:
    """An IPv6 address."""
    ipaddress.IPv6Address(text)

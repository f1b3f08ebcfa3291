"""`--network NAME` or its long form, `--add-host`, `--link-local-ip`: what a container asks of networks."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

from scow.errors import InvalidArgument
from scow.opts.mounts import fields_of


class NetworkFlag:
    """One --network: the target and its options."""

    __slots__ = ("aliases", "driver_opts", "gw_priority", "ip", "ip6", "link_local", "links", "mac", "target")

    def __init__(self, target: str) -> None:
        self.target = target
        self.aliases: list[str] = []
        self.links: list[str] = []
        self.link_local: list[str] = []
        self.driver_opts: dict[str, str] = {}
        self.ip = self.ip6 = self.mac = ""
        self.gw_priority = 0

    def endpoint(self) -> dict[str, Any]:
        """The API's EndpointSettings."""
        found: dict[str, Any] = {}
        if self.aliases:
            found["Aliases"] = list(self.aliases)
        if self.links:
            found["Links"] = list(self.links)
        if self.driver_opts:
            found["DriverOpts"] = dict(self.driver_opts)
        if self.mac:
            found["MacAddress"] = self.mac
        if self.gw_priority:
            found["GwPriority"] = self.gw_priority
        ipam: dict[str, Any] = {}
        if self.ip:
            ipam["IPv4Address"] = self.ip
        if self.ip6:
            ipam["IPv6Address"] = self.ip6
        if self.link_local:
            ipam["LinkLocalIPs"] = list(self.link_local)
        if ipam:
            found["IPAMConfig"] = ipam
        return found


def parse_network(text: str) -> NetworkFlag:
    """One --network. Raises InvalidArgument."""
    if "=" not in text:
        return NetworkFlag(text)
    flag = NetworkFlag("")
    for field in fields_of(text):
        key, sep, value = field.strip().partition("=")
        key, value = key.strip().lower(), value.strip()
        if not sep:
            raise InvalidArgument(f"invalid field {field}")
        if key == "name":
            flag.target = value
        elif key == "alias":
            flag.aliases.append(value)
        elif key == "ip":
            flag.ip = value
        elif key == "ip6":
            flag.ip6 = value
        elif key == "link-local-ip":
            flag.link_local.append(value)
        elif key == "mac-address":
            flag.mac = value
        elif key == "driver-opt":
            name, eq, setting = value.partition("=")
            if not eq:
                raise InvalidArgument("invalid key value pair format in driver options")
            flag.driver_opts[name.lower()] = setting
        elif key == "gw-priority":
            try:
                flag.gw_priority = int(value)
            except ValueError:
                raise InvalidArgument(f"invalid gw-priority ({value}): invalid syntax") from None
        else:
            raise InvalidArgument(f"invalid field key {key}")
    if not flag.target:
        raise InvalidArgument("network name is not specified")
    return flag


def parse_host(text: str) -> str:
    """One --add-host as `name:ip`. Raises InvalidArgument."""
    name, sep, address = text.partition("=") if "=" in text else text.partition(":")
    if not sep or not name or not address:
        raise InvalidArgument(f"bad format for add-host: {text!r}".replace("'", '"'))
    if address != "host-gateway":
        import ipaddress

        try:
            ipaddress.ip_address(address.strip("[]") if address.startswith("[") else address)
        except ValueError:
            raise InvalidArgument(f'invalid IP address in add-host: "{address}"') from None
        address = address.strip("[]")
    return f"{name}:{address}"

"""Networks and volumes that are there, but not as the files want them; containers that left their networks. Pure. Called by `reconcile.py`
and `commands/preparing.py`."""

from __future__ import annotations

from scow.compose import create
from scow.compose.model.project import Project, Volume
from scow.compose.model.service import Service
from scow.compose.observe import ContainerInfo, Observed

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    Json = dict[str, Any]


def network(project: Project, key: str, found: Json) -> str:
    """What of a network, as the engine describes it, differs from what the file says of it ("internal, ipam"); "" for nothing. What the
    file leaves open may be as it is, and labels don't count."""
    wanted = create.network(project, key)
    differs = []
    if wanted["Driver"] and wanted["Driver"] != found.get("Driver"):
        differs.append("driver")
    options = found.get("Options") or {}
    if any(options.get(name) != value for name, value in wanted["Options"].items()):
        differs.append("driver_opts")
    for word, name in (("internal", "Internal"), ("attachable", "Attachable")):
        if bool(wanted[name]) != bool(found.get(name)):
            differs.append(word)
    ipv6 = project.networks[key].enable_ipv6
    if ipv6 is not None and ipv6 != bool(found.get("EnableIPv6")):
        differs.append("enable_ipv6")
    pools = [pool for pool in (wanted.get("IPAM") or {}).get("Config") or [] if pool.get("Subnet")]
    have = (found.get("IPAM") or {}).get("Config") or []
    if any(not any(_same_pool(pool, other) for other in have) for pool in pools):
        differs.append("ipam")
    return ", ".join(differs)


def _same_pool(wanted: Json, found: Json) -> bool:
    import ipaddress

    def plain(text: str) -> object:
        try:
            return ipaddress.ip_network(text, strict=False)
        except ValueError:
            return text

    return all(plain(str(found.get(name) or "")) == plain(wanted[name]) for name in ("Subnet", "Gateway", "IPRange") if wanted.get(name))


def left(project: Project, service: Service, observed: Observed, one: ContainerInfo) -> str:
    """The network of a service in which its container is not, or not in the one that has the name now; "" for none."""
    have = (one.summary.get("NetworkSettings") or {}).get("Networks")
    if have is None or service.network_mode:
        return ""
    for key in service.networks:
        if key not in project.networks:
            continue
        name = project.networks[key].name
        mine = (have.get(name) or {}).get("NetworkID") or ""
        now = (observed.networks.get(name) or {}).get("Id") or ""
        if name not in have or (mine and now and mine != now):
            return name
    return ""


def volumes(project: Project, observed: Observed) -> list[str]:
    """A sentence for each volume that differs from what the file says of it: it holds data, so nobody makes it anew unasked."""
    return [
        f'volume "{one.name}" is not as the files want it ({what}) and stays as it is: to have it made anew, remove it; its data is lost'
        for one in project.volumes.values()
        if not one.external and one.name in observed.volumes and (what := _volume(one, observed.volumes[one.name]))
    ]


def _volume(wanted: Volume, found: Json) -> str:
    if wanted.driver and wanted.driver != found.get("Driver"):
        return "driver"
    return "driver_opts" if dict(wanted.driver_opts) != (found.get("Options") or {}) else ""

"""Docker's JSON forms of a container's parts: Config, HostConfig, State, endpoints, ports.

Pure functions of model objects; `view.py` puts them together. Which empty value is null, [], {} or left out follows Docker 28 (API 1.51).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scow.model.codec import encode
from scow.model.container import ContainerConfig, HostConfig
from scow.model.network import EndpointSettings

_CONFIG_OMIT = ("ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "StopSignal", "StopTimeout", "Shell")
_CONFIG_NULL = ("Volumes", "Cmd", "Entrypoint", "OnBuild")
_HOST_OMIT = ("Annotations", "StorageOpt", "Tmpfs", "Sysctls", "Mounts", "KernelMemory", "KernelMemoryTCP")
_HOST_NULL = (
    "Binds", "VolumesFrom", "CapAdd", "CapDrop", "ExtraHosts", "GroupAdd", "Links", "SecurityOpt", "DeviceCgroupRules", "DeviceRequests",
)  # fmt: skip
_MOUNT_OPTIONS = ("BindOptions", "VolumeOptions", "ImageOptions", "TmpfsOptions", "ClusterOptions")
_ENDPOINT_NULL = ("Links", "Aliases", "DriverOpts", "DNSNames")


def config(value: ContainerConfig) -> dict[str, Any]:
    """A container's (or image's) Config."""
    out: dict[str, Any] = encode(value)
    for name in ("HostConfig", "NetworkingConfig"):
        out.pop(name, None)
    if value.healthcheck is not None:
        out["Healthcheck"] = {name: item for name, item in out["Healthcheck"].items() if item}
    for name in _CONFIG_OMIT:
        if name == "StopTimeout":
            if value.stop_timeout is None:
                del out[name]
        elif not out[name] and not (name == "Healthcheck" and value.healthcheck is not None):
            del out[name]
    for name in _CONFIG_NULL:
        out[name] = out[name] or None
    return out


def mount(value: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of HostConfig.Mounts from its encoded form: empty members are left out, given option groups stay."""
    out = {name: item for name, item in value.items() if item}
    for group in _MOUNT_OPTIONS:
        if value.get(group) is not None:
            out[group] = {name: item for name, item in value[group].items() if item}
    return out


def host_config(value: HostConfig, name: str = "") -> dict[str, Any]:
    """A container's HostConfig. `name` is the container's, which Docker writes into Links (`/db:/web/alias`)."""
    out: dict[str, Any] = encode(value)
    out["Mounts"] = [mount(item) for item in out["Mounts"]]
    out["Links"] = [link_text(link, name) for link in value.links]
    for omitted in _HOST_OMIT:
        if not out[omitted]:
            del out[omitted]
    for nulled in _HOST_NULL:
        out[nulled] = out[nulled] or None
    if value.init is None:
        del out["Init"]
    return out


def link_text(link: str, name: str) -> str:
    """`db:alias` of container `web` as Docker shows it: `/db:/web/alias`."""
    target, _, alias = link.partition(":")
    target = target.lstrip("/")
    alias = (alias or target).rpartition("/")[2]
    return f"/{target}:/{name}/{alias}"


def endpoint(value: EndpointSettings, live: bool, brief: bool = False) -> dict[str, Any]:
    """A network of a container. What only a running container has is empty unless `live`; `brief` is the form of lists."""
    out: dict[str, Any] = encode(value)
    if value.ipam_config is not None:
        out["IPAMConfig"] = {name: item for name, item in out["IPAMConfig"].items() if item}
    if not live:
        out.update(EndpointID="", Gateway="", IPAddress="", IPPrefixLen=0, IPv6Gateway="", GlobalIPv6Address="", GlobalIPv6PrefixLen=0)
    for name in _ENDPOINT_NULL:
        out[name] = out[name] or None
    if brief:
        out.update(Links=None, Aliases=None, DNSNames=None)
    return out


def split_port(port: str) -> tuple[int, str]:
    """`80/tcp` as (80, "tcp")."""
    number, _, protocol = port.partition("/")
    return int(number), protocol or "tcp"


def port_list(ports: Mapping[str, list[dict[str, str]] | None]) -> list[dict[str, Any]]:
    """Ports as lists have them, from inspect's form."""
    out: list[dict[str, Any]] = []
    for port, bindings in sorted(ports.items(), key=lambda item: split_port(item[0])):
        number, protocol = split_port(port)
        if not bindings:
            out.append({"PrivatePort": number, "Type": protocol})
            continue
        for binding in bindings:
            entry: dict[str, Any] = {"PrivatePort": number, "PublicPort": int(binding.get("HostPort") or 0), "Type": protocol}
            out.append({"IP": binding["HostIp"], **entry} if binding.get("HostIp") else entry)
    return out


def command(path: str, args: list[str] | tuple[str, ...]) -> str:
    """The command line of a list entry: arguments with blanks are quoted, nothing is escaped."""
    return " ".join([path, *(f"'{arg}'" if " " in arg else arg for arg in args)])


def overlay_data(trees: Sequence[Path], merged: Path) -> dict[str, str]:
    """GraphDriver.Data from the directories of a root file system (the container's own first) and the place where it is mounted."""
    if not trees:
        return {}
    own, *lower = trees
    out = {"MergedDir": str(merged), "UpperDir": str(own), "WorkDir": str(own.with_name("work"))}
    return {"LowerDir": ":".join(map(str, lower)), **out} if lower else out

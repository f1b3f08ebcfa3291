"""Services, networks and volumes of a project become requests of the Engine API: the JSON of /containers/create, /networks/create and
/volumes/create. Pure but for reading seccomp profiles and what configs hold (`contents.py`). Called by `execute/`."""

from __future__ import annotations

import os

from scow.compose import contents, labels
from scow.compose import hash as hashing
from scow.compose.model.project import Network, Project, Volume
from scow.compose.model.service import Mount, Service
from scow.compose.records import record, replace
from scow.compose.resources import resources
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Json = dict[str, Any]


@record(frozen=True, slots=True, kw_only=True)
class Want:
    """What is asked for beyond the service: `containers` are the IDs of other services' first containers, `names` the names of all their
    containers, `inherit` the mounts of the container that is replaced (as in /containers/json), `image_volumes` the image's own."""

    number: int = 1
    name: str = ""
    image_id: str = ""
    oneoff: bool = False
    slug: str = ""
    aliases: bool = True
    ports: bool = True
    expose: bool = False  # the service's ports, although they are not published
    hashed: Service | None = None  # whose hash the label says, where that is not the service as it is given
    auto_remove: bool = False
    stdin: bool = False
    replaces: str = ""
    containers: Mapping[str, str] | None = None
    names: Mapping[str, tuple[str, ...]] | None = None
    inherit: tuple[Json, ...] = ()
    image_volumes: tuple[str, ...] = ()
    api: tuple[int, int] = (1, 45)


def container_name(project: Project, service: Service, number: int, separator: str = "-") -> str:
    """`project-service-1`, or what the file says."""
    return service.container_name or separator.join((project.name, service.name, str(number)))


def image_name(project: Project, service: Service, separator: str = "-") -> str:
    """The image that a service runs: named, or that of its build."""
    return service.image or f"{project.name}{separator}{service.name}"


def references(service: Service) -> set[str]:
    """Services whose containers this one's request names, so that they must exist before it."""
    found = set()
    for text in (service.network_mode, service.ipc, service.pid):
        kind, _, name = text.partition(":")
        if kind == "service" and name:
            found.add(name)
    for text in service.volumes_from:
        if not text.startswith("container:"):
            found.add(text.partition(":")[0])
    found |= {text.partition(":")[0] for text in service.links}
    return found


def shared(service: Service) -> set[str]:
    """The services among `references` whose new containers make this one's obsolete: it lives in their namespaces or volumes."""
    return references(service) - {text.partition(":")[0] for text in service.links}


def resolved(service: Service, containers: Mapping[str, str], modes: bool = True) -> Service:
    """The service with `service:x` replaced by `container:ID`; unknown ones stay. `modes` are those of `volumes_from`."""

    def one(text: str) -> str:
        kind, _, name = text.partition(":")
        return f"container:{containers[name]}" if kind == "service" and name in containers else text

    def volumes(text: str) -> str:
        foreign = text.startswith("container:")
        name, sep, mode = text.removeprefix("container:").partition(":")
        return (name if foreign else containers.get(name, name)) + (sep + mode if modes else "")

    if not references(service) and not service.volumes_from:
        return service
    return replace(
        service,
        network_mode=one(service.network_mode),
        ipc=one(service.ipc),
        pid=one(service.pid),
        volumes_from=tuple(volumes(text) for text in service.volumes_from),
    )


def digest(service: Service, containers: Mapping[str, str]) -> str:
    """The hash for the label, given which containers its references are. The plugin loses the `:ro` of `volumes_from`, so its hash is
    without."""
    return hashing.digest(resolved(service, containers, modes=False))


def plain_digest(project: Project, service: Service, containers: Mapping[str, str]) -> str:
    """The hash without what env files hold; "" where changed env files make a new container anyway. Raises ScowError."""
    theirs = project.from_env_files.get(service.name)
    if theirs is None or contents.on_change(service.name, service.extensions)[0] == "recreate":
        return ""
    own = {name: value for name, value in service.environment.items() if name not in theirs}
    return digest(replace(service, environment=own), containers)


def network(project: Project, key: str) -> Json:
    """The request for a network of the project."""
    one: Network = project.networks[key]
    pools = [
        {
            name: value
            for name, value in (
                ("Subnet", pool.subnet),
                ("Gateway", pool.gateway),
                ("IPRange", pool.ip_range),
                ("AuxiliaryAddresses", pool.aux_addresses),
            )
            if value
        }
        for pool in one.ipam.config
    ]
    body: Json = {
        "Name": one.name,
        "CheckDuplicate": True,
        "Driver": one.driver,
        "Options": dict(one.driver_opts),
        "Internal": one.internal,
        "Attachable": one.attachable,
        "EnableIPv6": bool(one.enable_ipv6),
        "Labels": labels.of_network(project.name, key, one.labels),
    }
    if one.enable_ipv4 is not None:
        body["EnableIPv4"] = one.enable_ipv4
    if pools or one.ipam.driver or one.ipam.options:
        body["IPAM"] = {"Driver": one.ipam.driver, "Config": pools, "Options": dict(one.ipam.options)}
    return body


def volume(project: Project, key: str) -> Json:
    """The request for a volume of the project."""
    one: Volume = project.volumes[key]
    body: Json = {"Name": one.name, "Labels": labels.of_volume(project.name, key, one.labels)}
    if one.driver:
        body["Driver"] = one.driver
    if one.driver_opts:
        body["DriverOpts"] = dict(one.driver_opts)
    return body


# ---------------------------------------------------------------- containers


def container(project: Project, service: Service, want: Want) -> Json:
    """The request for a container. Raises ScowError for what an engine can't be asked for."""
    containers, hashed = want.containers or {}, want.hashed or service
    service = resolved(service, containers)
    marks = labels.of_container(project, service, want.number, digest(hashed, containers), want.image_id, want.oneoff, want.slug)
    if want.replaces:
        marks[labels.REPLACE] = want.replaces
    for label, reaction in ((labels.CONTENT, "recreate"), (labels.TOLD, "signal")):
        if content := contents.digest(project, service, reaction):
            marks[label] = content
    if plain := plain_digest(project, hashed, containers):
        marks[labels.PLAIN] = plain
    networks, mode = _networks(project, service, want)
    body: Json = {
        "Image": image_name(project, service),
        "Hostname": service.hostname,
        "Domainname": service.domainname,
        "User": service.user,
        "AttachStdin": want.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": service.tty,
        "OpenStdin": service.stdin_open,
        "StdinOnce": want.stdin and service.stdin_open,
        "Env": [name if value is None else f"{name}={value}" for name, value in service.environment.items()],
        "WorkingDir": service.working_dir,
        "Labels": marks,
        "HostConfig": _host(project, service, want, mode),
    }
    exposed: dict[str, Any] = {_port_key(one, "tcp"): {} for one in service.expose} | {
        f"{one.target}/{one.protocol or 'tcp'}": {} for one in service.ports if want.ports or want.expose
    }
    if exposed:
        body["ExposedPorts"] = exposed
    if service.command is not None:
        body["Cmd"] = list(service.command)
    if service.entrypoint is not None:
        body["Entrypoint"] = list(service.entrypoint)
    if service.stop_signal:
        body["StopSignal"] = service.stop_signal
    if service.stop_grace_period is not None:
        body["StopTimeout"] = -(-service.stop_grace_period // 1_000_000_000)
    if service.healthcheck is not None:
        body["Healthcheck"] = _health(service)
    if service.mac_address and want.api < (1, 44):
        body["MacAddress"] = service.mac_address
    if networks:
        body["NetworkingConfig"] = {"EndpointsConfig": networks}
    return body


def _port_key(text: str, protocol: str) -> str:
    return text if "/" in text else f"{text}/{protocol}"


def _health(service: Service) -> Json:
    check = service.healthcheck
    assert check is not None
    if check.disable:
        return {"Test": ["NONE"]}
    found: Json = {"Test": list(check.test)}
    for name, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("Retries", check.retries),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):
        if value:
            found[name] = value
    return found


def _networks(project: Project, service: Service, want: Want) -> tuple[Json, str]:
    """(EndpointsConfig, NetworkMode): the networks by priority, the first is the container's main one."""
    mode = service.network_mode
    if mode:
        return {}, mode
    order = sorted(service.networks, key=lambda key: (-(one.priority if (one := service.networks[key]) else 0), key))
    if not order:
        return {}, "none"
    found: Json = {}
    for index, key in enumerate(order):
        one = service.networks[key]
        names = [want.name, *([service.name] if want.aliases else []), *(one.aliases if one and want.aliases else ())]
        config: Json = {"Aliases": list(dict.fromkeys(name for name in names if name))}
        links = _links(project, service, want)
        if links:
            config["Links"] = links
        if one is not None:
            ipam = {
                name: value
                for name, value in (
                    ("IPv4Address", one.ipv4_address),
                    ("IPv6Address", one.ipv6_address),
                    ("LinkLocalIPs", list(one.link_local_ips)),
                )
                if value
            }
            config["IPAMConfig"] = ipam
            if one.driver_opts or one.interface_name:
                config["DriverOpts"] = dict(one.driver_opts)
                if one.interface_name:
                    config["DriverOpts"]["com.docker.network.endpoint.ifname"] = one.interface_name
            if one.gw_priority:
                config["GwPriority"] = one.gw_priority
            if one.mac_address:
                config["MacAddress"] = one.mac_address
        if service.mac_address and index == 0 and want.api >= (1, 44):
            config.setdefault("MacAddress", service.mac_address)
        found[project.networks[key].name if key in project.networks else key] = config
    return found, next(iter(found))


def _links(project: Project, service: Service, want: Want) -> list[str]:
    found: list[str] = []
    for text in service.links:
        name, _, alias = text.partition(":")
        for number, container in enumerate((want.names or {}).get(name, ()), 1):
            short = f"{name}-{number}"
            found += [f"{container}:{alias or name}", f"{container}:{short}", f"{container}:{project.name}-{short}"]
    for text in service.external_links:
        name, _, alias = text.partition(":")
        found.append(f"{name}:{alias or name}")
    return found


def _host(project: Project, service: Service, want: Want, mode: str) -> Json:
    binds, mounts = _mounts(project, service, want)
    host: Json = {
        "NetworkMode": mode,
        "RestartPolicy": _restart(service) if not want.oneoff else {"Name": "", "MaximumRetryCount": 0},
        "AutoRemove": want.auto_remove,
        "Privileged": service.privileged,
        "ReadonlyRootfs": service.read_only,
        "PortBindings": _bindings(service) if want.ports else {},
        **resources(service),
    }
    plain: Json = {
        "Binds": binds,
        "Mounts": mounts,
        "CapAdd": list(service.cap_add),
        "CapDrop": list(service.cap_drop),
        "IpcMode": service.ipc,
        "PidMode": service.pid,
        "UTSMode": service.uts,
        "UsernsMode": service.userns_mode,
        "CgroupnsMode": service.cgroup,
        "CgroupParent": service.cgroup_parent,
        "Runtime": service.runtime,
        "Isolation": service.isolation,
        "ShmSize": service.shm_size,
        "Sysctls": dict(service.sysctls),
        "StorageOpt": dict(service.storage_opt),
        "Annotations": dict(service.annotations),
        "VolumeDriver": service.volume_driver,
        "VolumesFrom": list(service.volumes_from),
        "Dns": list(service.dns),
        "DnsOptions": list(service.dns_opt),
        "DnsSearch": list(service.dns_search),
        "ExtraHosts": [f"{name}:{address}" for name, addresses in service.extra_hosts.items() for address in addresses],
        "GroupAdd": list(service.group_add),
        "OomScoreAdj": service.oom_score_adj,
        "Tmpfs": {path: options for path, _, options in (text.partition(":") for text in service.tmpfs)},
    }
    host |= {name: value for name, value in plain.items() if value}
    security = _security(project, service)
    if security.pop("open", None):
        host["MaskedPaths"], host["ReadonlyPaths"] = [], []
    if security:
        host["SecurityOpt"] = security["opts"]
    if service.init is not None:
        host["Init"] = service.init
    driver, options = (service.logging.driver, service.logging.options) if service.logging else (service.log_driver, service.log_opt)
    if driver or options:
        host["LogConfig"] = {"Type": driver, "Config": dict(options)}
    return host


def _security(project: Project, service: Service) -> Json:
    found, open_paths = [], False
    for text in service.security_opt:
        if text == "systempaths=unconfined":
            open_paths = True
            continue
        name, sep, value = text.partition("=")
        if not sep:
            name, sep, value = text.partition(":")
        if name == "seccomp" and value not in ("unconfined", "builtin", ""):
            path = os.path.join(project.working_dir, value)
            try:
                with open(path, encoding="utf-8") as file:
                    value = file.read(16 * 1024 * 1024)
            except (OSError, UnicodeDecodeError) as exc:
                raise ScowError(f"opening seccomp profile ({value}) failed: {exc}") from None
        found.append(f"{name}{'=' if sep else ''}{value}" if name == "seccomp" else text)
    return ({"opts": found} if found else {}) | ({"open": True} if open_paths else {})


def _restart(service: Service) -> Json:
    name, count = "", 0
    if service.restart:
        name, _, number = service.restart.partition(":")
        count = int(number) if number.isdigit() else 0
    elif service.deploy and service.deploy.restart_policy:
        policy = service.deploy.restart_policy
        name = {"none": "no", "on-failure": "on-failure", "any": "always", "": ""}.get(policy.condition, policy.condition)
        count = policy.max_attempts or 0
    return {"Name": name, "MaximumRetryCount": count if name == "on-failure" else 0}


def _bindings(service: Service) -> Json:
    found: dict[str, list[Json]] = {}
    for one in service.ports:
        found.setdefault(f"{one.target}/{one.protocol or 'tcp'}", []).append({"HostIp": one.host_ip, "HostPort": one.published})
    return found


# ---------------------------------------------------------------- mounts


def _mounts(project: Project, service: Service, want: Want) -> tuple[list[str], list[Json]]:
    binds: list[str] = []
    mounts: dict[str, Json] = {}
    for one in contents.files(project, service):
        mounts[one.target] = {"Type": "bind", "Source": one.source, "Target": one.target, "ReadOnly": True}
    held = {str(one.get("Destination")): one for one in want.inherit if one.get("Type") == "volume" and one.get("Name")}
    for target in want.image_volumes:
        if target in held:
            mounts[target] = _inherited(held[target])
    for mount in service.volumes:
        if mount.type == "volume" and not mount.source and mount.target in held:
            mounts[mount.target] = _inherited(held[mount.target])
            continue
        if mount.type == "bind" and mount.bind and mount.bind.create_host_path and not mount.bind.recursive:
            binds.append(_bind(mount))
            mounts.pop(mount.target, None)
            continue
        mounts[mount.target] = _mount(project, mount)
    return binds, list(mounts.values())


def _inherited(held: Json) -> Json:
    return {"Type": "volume", "Source": held["Name"], "Target": held["Destination"], "ReadOnly": not held.get("RW", True)}


def _bind(mount: Mount) -> str:
    options = ["ro"] if mount.read_only else ["rw"]
    if mount.bind and mount.bind.propagation:
        options.append(mount.bind.propagation)
    if mount.bind and mount.bind.selinux:
        options.append(mount.bind.selinux)
    return f"{mount.source}:{mount.target}:{','.join(options)}"


def _mount(project: Project, mount: Mount) -> Json:
    source = mount.source
    if mount.type == "volume" and source in project.volumes:
        source = project.volumes[source].name
    made: Json = {
        "Type": mount.type,
        "Source": source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
        "Consistency": mount.consistency,
    }
    made = {name: value for name, value in made.items() if value}
    if mount.type == "bind" and mount.bind:
        made["BindOptions"] = {
            name: value
            for name, value in (
                ("Propagation", mount.bind.propagation),
                ("CreateMountpoint", mount.bind.create_host_path),
                ("NonRecursive", mount.bind.recursive == "disabled"),
                ("ReadOnlyNonRecursive", mount.bind.recursive == "writable"),
                ("ReadOnlyForceRecursive", mount.bind.recursive == "readonly"),
            )
            if value
        }
    if mount.type == "volume":
        held = mount.volume
        made["VolumeOptions"] = (
            {name: value for name, value in (("NoCopy", held.nocopy), ("Subpath", held.subpath), ("Labels", dict(held.labels))) if value}
            if held
            else {}
        )
    if mount.type == "tmpfs" and mount.tmpfs:
        made["TmpfsOptions"] = {name: value for name, value in (("SizeBytes", mount.tmpfs.size), ("Mode", mount.tmpfs.mode)) if value}
    if mount.type == "image" and mount.image and mount.image.subpath:
        made["ImageOptions"] = {"Subpath": mount.image.subpath}
    return made

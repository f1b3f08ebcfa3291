"""A task as a container: the create request, pure."""

from collections.abc import Mapping
from typing import Any

from scow.errors import InvalidArgument
from scow.swarm import templates
from scow.swarm.agent.executor import Dependencies
from scow.swarm.objects import Task

LABEL = "com.docker.swarm."
_PREDEFINED = ("host", "bridge", "none")
_GRACE_NS = 10_000_000_000


def labels(task: Task) -> dict[str, str]:
    """What a task's container is found by."""
    return {
        LABEL + "node.id": task.node_id,
        LABEL + "service.id": task.service_id,
        LABEL + "service.name": task.service_name,
        LABEL + "task": "",
        LABEL + "task.id": task.id,
        LABEL + "task.name": task.name,
    }


def create(task: Task, needs: Dependencies, image: str) -> dict[str, Any]:
    """The body of /containers/create. Raises InvalidArgument for a placeholder that makes no sense."""
    spec: Mapping[str, Any] = task.spec.get("ContainerSpec") or {}
    known = templates.values(task, needs)

    def filled(text: Any) -> str:
        return templates.fill(str(text or ""), known)

    env = [filled(entry) for entry in spec.get("Env") or ()] + resource_env(task)
    request: dict[str, Any] = {
        "Image": image,
        "Labels": {**(spec.get("Labels") or {}), **labels(task)},
        "Env": env,
        "Hostname": filled(spec.get("Hostname")),
        "User": spec.get("User") or "",
        "WorkingDir": spec.get("Dir") or "",
        "Tty": bool(spec.get("TTY")),
        "OpenStdin": bool(spec.get("OpenStdin")),
        "StopSignal": spec.get("StopSignal") or "",
        "StopTimeout": int(_GRACE_NS if spec.get("StopGracePeriod") is None else spec["StopGracePeriod"]) // 1_000_000_000,
        "HostConfig": host_config(task, spec, filled),
    }
    if spec.get("Command"):
        request["Entrypoint"] = list(spec["Command"])
    if spec.get("Args"):
        request["Cmd"] = list(spec["Args"])
    if spec.get("Healthcheck"):
        request["Healthcheck"] = dict(spec["Healthcheck"])
    ports = [row for row in task.endpoint.get("Ports") or () if row.get("PublishMode") == "host"]
    if ports:
        request["ExposedPorts"] = {_port(row): {} for row in ports}
    request["NetworkingConfig"] = {"EndpointsConfig": endpoints(task)}
    return request


def _port(row: Mapping[str, Any]) -> str:
    return f"{row['TargetPort']}/{row.get('Protocol') or 'tcp'}"


def resource_env(task: Task) -> list[str]:
    """Generic resources that the task was given, as variables."""
    named: dict[str, list[str]] = {}
    for row in task.generic_resources:
        if (one := row.get("NamedResourceSpec")) is not None:
            named.setdefault(str(one["Kind"]), []).append(str(one["Value"]))
        elif (counted := row.get("DiscreteResourceSpec")) is not None:
            named.setdefault(str(counted["Kind"]), []).append(str(counted["Value"]))
    return [f"DOCKER_RESOURCE_{kind.upper()}={','.join(values)}" for kind, values in named.items()]


def networks(task: Task) -> list[Mapping[str, Any]]:
    """The task's attachments, the ingress network last: the first is what names resolve to."""
    return sorted(task.networks, key=lambda row: bool((row["Network"].get("Spec") or {}).get("Ingress")))


def network_name(row: Mapping[str, Any]) -> str:
    """The name of an attachment's network."""
    return str((row["Network"].get("Spec") or {}).get("Name") or row["Network"]["ID"])


def endpoints(task: Task) -> dict[str, Any]:
    """Docker's EndpointsConfig for what the swarm attaches."""
    found: dict[str, Any] = {}
    for row in networks(task):
        name = network_name(row)
        if name in _PREDEFINED:
            continue
        # on overlay networks the cluster knows the service by its name
        overlay = bool(row.get("Addresses"))
        config: dict[str, Any] = {"Aliases": [*(row.get("Aliases") or ()), *(() if overlay else (task.service_name,))]}
        addresses = [str(address).partition("/")[0] for address in row.get("Addresses") or ()]
        ipam = {}
        for address in addresses:
            ipam["IPv6Address" if ":" in address else "IPv4Address"] = address
        if ipam:
            config["IPAMConfig"] = ipam
        found[name] = config
    return found


def host_config(task: Task, spec: Mapping[str, Any], filled: Any) -> dict[str, Any]:
    """Docker's HostConfig."""
    resources = task.spec.get("Resources") or {}
    limits = resources.get("Limits") or {}
    dns = spec.get("DNSConfig") or {}
    privileges = spec.get("Privileges") or {}
    names = [network_name(row) for row in networks(task)]
    log = task.spec.get("LogDriver")
    ports = [row for row in task.endpoint.get("Ports") or () if row.get("PublishMode") == "host"]
    found: dict[str, Any] = {
        "NetworkMode": names[0] if names else "default",
        "Memory": int(limits.get("MemoryBytes") or 0),
        "NanoCpus": int(limits.get("NanoCPUs") or 0),
        "MemoryReservation": 0,
        "ReadonlyRootfs": bool(spec.get("ReadOnly")),
        "GroupAdd": list(spec.get("Groups") or ()),
        "ExtraHosts": [entry for line in spec.get("Hosts") or () for entry in _hosts(str(line))],
        "Dns": list(dns.get("Nameservers") or ()),
        "DnsSearch": list(dns.get("Search") or ()),
        "DnsOptions": list(dns.get("Options") or ()),
        "Sysctls": dict(spec.get("Sysctls") or {}),
        "CapAdd": list(spec.get("CapabilityAdd") or ()),
        "CapDrop": list(spec.get("CapabilityDrop") or ()),
        "Ulimits": list(spec.get("Ulimits") or ()),
        "OomScoreAdj": int(spec.get("OomScoreAdj") or 0),
        "Isolation": spec.get("Isolation") or "",
        "Mounts": [mount(row, filled, task) for row in spec.get("Mounts") or ()],
        "SecurityOpt": security(privileges),
        "PortBindings": {},
    }
    if limits.get("Pids"):
        found["PidsLimit"] = int(limits["Pids"])
    if resources.get("SwapBytes") is not None:
        found["MemorySwap"] = int(resources["SwapBytes"])
    if resources.get("MemorySwappiness") is not None:
        found["MemorySwappiness"] = int(resources["MemorySwappiness"])
    if spec.get("Init") is not None:
        found["Init"] = bool(spec["Init"])
    if log:
        found["LogConfig"] = {"Type": log.get("Name") or "", "Config": dict(log.get("Options") or {})}
    for row in ports:
        binding = {"HostIp": "", "HostPort": str(row.get("PublishedPort") or "")}
        found["PortBindings"].setdefault(_port(row), []).append(binding)
    return found


def _hosts(line: str) -> list[str]:
    """`address name [name…]` of a service as `name:address` of a container."""
    address, *names = line.split()
    return [f"{name}:{address}" for name in names]


def mount(row: Mapping[str, Any], filled: Any, task: Task) -> dict[str, Any]:
    """A mount of the service as a container's, labels of its volume included."""
    found = {**row, "Source": filled(row.get("Source")), "Target": filled(row.get("Target"))}
    kind = str(row.get("Type") or "bind")
    if kind == "cluster":
        raise InvalidArgument("cluster volumes are not supported by this engine")
    if kind == "volume":
        options = dict(row.get("VolumeOptions") or {})
        driver = dict(options.get("DriverConfig") or {})
        if driver.get("Options"):
            driver["Options"] = {key: filled(value) for key, value in driver["Options"].items()}
            options["DriverConfig"] = driver
        if options:
            found["VolumeOptions"] = options
    return found


def security(privileges: Mapping[str, Any]) -> list[str]:
    """Privileges as security options."""
    found: list[str] = []
    if privileges.get("NoNewPrivileges"):
        found.append("no-new-privileges=true")
    selinux = privileges.get("SELinuxContext") or {}
    if selinux.get("Disable"):
        found.append("label=disable")
    found += [f"label={key.lower()}:{selinux[key]}" for key in ("User", "Role", "Type", "Level") if selinux.get(key)]
    seccomp = privileges.get("Seccomp") or {}
    if seccomp.get("Mode") == "unconfined":
        found.append("seccomp=unconfined")
    elif seccomp.get("Mode") == "custom":
        import base64

        profile = base64.b64decode(str(seccomp.get("Profile") or ""))
        found.append("seccomp=" + profile.decode("utf-8", "replace"))
    if (privileges.get("AppArmor") or {}).get("Mode") == "disabled":
        found.append("apparmor=unconfined")
    return found

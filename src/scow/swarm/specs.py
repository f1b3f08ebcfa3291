"""What users ask for, checked: names, service specs, secrets, cluster settings. Pure; texts are Docker's where clients read them."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from scow.errors import InvalidArgument
from scow.opts import servicelabels, signals
from scow.reference import Reference
from scow.swarm import templates
from scow.swarm.manager.orchestrator import constraints
from scow.swarm.wording import invalid

Json = dict[str, Any]

_SERVICE_NAME = re.compile(r"^[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*$")
_PAYLOAD_NAME = re.compile(r"^[a-zA-Z0-9]+(?:[a-zA-Z0-9-_.]*[a-zA-Z0-9])?$")
_MAX_NAME = 63
_MAX_TASKS = 1_000_000
_MIN_HEALTH_NS = 1_000_000
_MAX_PAYLOAD_NAME = 64
SECRET_MAX = 500 << 10
CONFIG_MAX = 1000 << 10
_MOUNTS = ("bind", "volume", "tmpfs", "cluster", "npipe", "image")
_PROPAGATIONS = ("", "private", "rprivate", "shared", "rshared", "slave", "rslave")
_ISOLATIONS = ("default", "process", "hyperv")
_SECURITY_MODES = {"Seccomp": ("default", "unconfined", "custom"), "AppArmor": ("default", "disabled")}
_PROTOCOLS = ("tcp", "udp", "sctp")
_CONDITIONS = ("", "none", "on-failure", "any")
_ACTIONS = ("", "pause", "continue", "rollback")
_ORDERS = ("", "stop-first", "start-first")


def service(spec: Mapping[str, Any]) -> Json:
    """A service's spec, checked and with Docker's defaults. Raises InvalidArgument."""
    found = dict(spec)
    name = str(found.get("Name") or "")
    if not name:
        raise invalid("meta: name must be provided")
    if len(name) > _MAX_NAME:
        raise invalid(f"name must be {_MAX_NAME} characters or fewer")
    if not _SERVICE_NAME.match(name):
        raise invalid("name must be valid as a DNS name component")
    found["Labels"] = dict(found.get("Labels") or {})
    template = dict(found.get("TaskTemplate") or {})
    _task(template)
    found["TaskTemplate"] = template
    found["Mode"] = _mode(found.get("Mode") or {})
    servicelabels.check(found)
    if "ReplicatedJob" in found["Mode"] or "GlobalJob" in found["Mode"]:
        if found.get("UpdateConfig") or found.get("RollbackConfig"):
            raise invalid("job-mode services cannot have an update config")
    else:
        for key in ("UpdateConfig", "RollbackConfig"):
            if found.get(key) is not None:
                found[key] = _update_config(dict(found[key]), key)
    found["EndpointSpec"] = _endpoint(dict(found.get("EndpointSpec") or {}))
    templates.check(found)
    return found


def _mode(mode: Mapping[str, Any]) -> Json:
    given = [key for key in ("Replicated", "Global", "ReplicatedJob", "GlobalJob") if mode.get(key) is not None]
    if len(given) > 1:
        raise InvalidArgument("must specify only one service mode")
    if not given:
        return {"Replicated": {"Replicas": 1}}
    key = given[0]
    value = dict(mode[key])
    if key == "Replicated":
        replicas = value.get("Replicas")
        value["Replicas"] = _count(1 if replicas is None else int(replicas))
    elif key == "ReplicatedJob":
        most = 1 if value.get("MaxConcurrent") is None else int(value["MaxConcurrent"])
        total = most if value.get("TotalCompletions") is None else int(value["TotalCompletions"])
        value = {"MaxConcurrent": _count(most), "TotalCompletions": _count(total)}
    return {key: value}


def _count(tasks: int) -> int:
    if tasks < 0:
        raise invalid("Number of replicas must be non-negative")
    if tasks > _MAX_TASKS:
        raise invalid(f"{tasks} tasks are more than one service can have here: at most {_MAX_TASKS}")
    return tasks


def _task(template: Json) -> None:
    container, runtime = template.get("ContainerSpec"), str(template.get("Runtime") or "container")
    if runtime not in ("container", "plugin", "attachment"):
        raise InvalidArgument("unsupported runtime")
    if runtime == "plugin" and template.get("PluginSpec") is not None and container is None:
        raise InvalidArgument("plugins as services are not supported by this engine")
    if container is None or runtime != "container" or template.get("PluginSpec") is not None:
        raise InvalidArgument("mismatched Runtime and *Spec fields")
    container = {**container, "Isolation": str(container.get("Isolation") or "default").lower()}
    if container["Isolation"] not in _ISOLATIONS:
        raise invalid(f"invalid isolation: {container['Isolation']}: use {' or '.join(_ISOLATIONS)}")
    template["ContainerSpec"], template["Runtime"] = container, runtime
    template.setdefault("ForceUpdate", 0)
    _image(container)
    if container.get("StopSignal"):
        signals.parse(str(container["StopSignal"]))
    if int(container.get("StopGracePeriod") or 0) < 0:
        raise invalid("ContainerSpec: StopGracePeriod cannot be negative")
    _health(container.get("Healthcheck") or {})
    _mounts(container)
    _privileges(container)
    _references(container, "Secret")
    _references(container, "Config")
    _resources(template.get("Resources") or {})
    policy = template.get("RestartPolicy") or {}
    if str(policy.get("Condition") or "") not in _CONDITIONS:
        raise InvalidArgument(f'invalid RestartCondition: "{policy["Condition"]}"')
    for key in ("Delay", "Window"):
        if int(policy.get(key) or 0) < 0:
            raise invalid(f"TaskSpec: restart-{key.lower()} cannot be negative")
    placement = template.get("Placement") or {}
    constraints.parse(constraints.of(template))
    if int(placement.get("MaxReplicas") or 0) < 0:
        raise invalid("Placement: MaxReplicas must be non-negative")


def _image(container: Json) -> None:
    image = str(container.get("Image") or "")
    if not image:
        raise invalid("ContainerSpec: image reference must be provided")
    try:
        Reference.parse(image)
    except InvalidArgument as error:
        raise invalid(f'ContainerSpec: "{image}" is not a valid repository/tag') from error


def _health(check: Mapping[str, Any]) -> None:
    for key in ("Interval", "Timeout", "StartPeriod", "StartInterval"):
        value = int(check.get(key) or 0)
        if value and value < _MIN_HEALTH_NS:
            raise invalid(f"ContainerSpec: {key} in HealthConfig cannot be less than 1ms")
    if int(check.get("Retries") or 0) < 0:
        raise invalid("ContainerSpec: Retries in HealthConfig cannot be negative")


def _mounts(container: Json) -> None:
    targets: set[str] = set()
    rows: list[Json] = []
    for given in container.get("Mounts") or ():
        row = {**given, "Type": str(given.get("Type") or "bind").lower()}
        kind = row["Type"]
        if kind not in _MOUNTS:
            raise InvalidArgument(f'invalid MountType: "{given["Type"]}"')
        target = str(row.get("Target") or "")
        if not target:
            raise invalid("ContainerSpec: invalid mount target, must be an absolute path: ")
        if target in targets:
            raise invalid(f"ContainerSpec: duplicate mount point: {target}")
        targets.add(target)
        if kind == "bind" and not str(row.get("Source") or "").startswith(("/", "{{")):
            raise InvalidArgument(f"invalid bind mount source, must be an absolute path: {row.get('Source') or ''}")
        if kind == "tmpfs" and row.get("Source"):
            raise invalid("invalid tmpfs source, source must be empty")
        if int((row.get("TmpfsOptions") or {}).get("SizeBytes") or 0) < 0:
            raise invalid("invalid tmpfs size: it must not be negative")
        propagation = str((row.get("BindOptions") or {}).get("Propagation") or "")
        if propagation not in _PROPAGATIONS:
            raise InvalidArgument(f'invalid MountPropagation: "{propagation}"')
        rows.append(row)
    if rows:
        container["Mounts"] = rows


def _privileges(container: Mapping[str, Any]) -> None:
    privileges = container.get("Privileges") or {}
    for key, modes in _SECURITY_MODES.items():
        if (mode := str((privileges.get(key) or {}).get("Mode") or "default")) not in modes:
            raise invalid(f"invalid mode of {key}: {mode}: use {' or '.join(modes)}")
    credentials = privileges.get("CredentialSpec")
    if credentials is None:
        return
    given = [key for key in ("Config", "File", "Registry") if credentials.get(key)]
    if not given:
        raise InvalidArgument('invalid CredentialSpec: must either provide "file", "registry", or "config" for credential spec')
    if len(given) > 1:
        one, two = given[0].lower(), given[1].lower()
        raise InvalidArgument(f'invalid CredentialSpec: cannot specify both "{one}" and "{two}" credential specs')
    if given == ["Config"]:
        name = credentials["Config"]
        if not any(row.get("ConfigID") == name and row.get("Runtime") is not None for row in container.get("Configs") or ()):
            raise invalid(f"CredentialSpec references config '{name}', but that config isn't in config references with RuntimeTarget")


def _references(container: Json, kind: str) -> None:
    seen: dict[str, str] = {}
    for row in container.get(f"{kind}s") or ():
        if kind == "Config" and row.get("File") is None and row.get("Runtime") is None:
            raise InvalidArgument("invalid Config: either File or Runtime should be set")
        id, name = str(row.get(f"{kind}ID") or ""), str(row.get(f"{kind}Name") or "")
        if not id or not name:
            raise invalid(f"malformed {kind.lower()} reference")
        file = row.get("File")
        if file is None:
            if kind == "Config" and row.get("Runtime") is not None:
                continue
            raise invalid(f"malformed {kind.lower()} reference, no target provided")
        target = str(file.get("Name") or "")
        if not target:
            raise invalid(f"malformed file {kind.lower()} reference, invalid target file name provided")
        if target in seen:
            raise invalid(f"{kind.lower()} references '{seen[target]}' and '{name}' have a conflicting target: '{target}'")
        seen[target] = name


def _resources(resources: Mapping[str, Any]) -> None:
    for part in ("Limits", "Reservations"):
        row = resources.get(part) or {}
        cpus, memory = int(row.get("NanoCPUs") or 0), int(row.get("MemoryBytes") or 0)
        if cpus and cpus < 1_000_000:
            raise invalid(f"invalid cpu value {cpus / 1e9:g}: Must be at least 0.001")
        if memory and memory < 4 << 20:
            raise invalid(f"invalid memory value {memory}: Must be at least 4MiB")
    for one in (resources.get("Reservations") or {}).get("GenericResources") or ():
        discrete = one.get("DiscreteResourceSpec")
        if discrete is None and one.get("NamedResourceSpec") is None:
            raise invalid("a generic resource needs a DiscreteResourceSpec or a NamedResourceSpec")
        if discrete is not None and int(discrete.get("Value") or 0) < 0:
            raise invalid(f"invalid number of the generic resource {discrete.get('Kind') or ''}: it must not be negative")


def _update_config(config: Json, key: str) -> Json:
    word = "update" if key == "UpdateConfig" else "rollback"
    action, order = str(config.get("FailureAction") or ""), str(config.get("Order") or "")
    if action not in _ACTIONS or (word == "rollback" and action == "rollback"):
        raise InvalidArgument(f"unrecognized update failure action {action}")
    if order not in _ORDERS:
        raise InvalidArgument(f"unrecognized update order {order}")
    if int(config.get("Delay") or 0) < 0:
        raise invalid(f"TaskSpec: {word}-delay cannot be negative")
    if int(config.get("Monitor") or 0) < 0:
        raise invalid(f"TaskSpec: {word}-monitor cannot be negative")
    if not 0 <= float(config.get("MaxFailureRatio") or 0) <= 1:
        raise invalid(f"TaskSpec: {word}-maxfailureratio cannot be less than 0 or bigger than 1")
    return {
        "Parallelism": 0,
        **config,
        "FailureAction": action or "pause",
        "Order": order or "stop-first",
        "MaxFailureRatio": config.get("MaxFailureRatio") or 0,
    }


def _endpoint(spec: Json) -> Json:
    mode = str(spec.get("Mode") or "vip")
    if mode not in ("vip", "dnsrr"):
        raise InvalidArgument(f'invalid resolution mode: "{mode}"')
    ports: list[Json] = []
    taken: set[tuple[str, int]] = set()
    for given in spec.get("Ports") or ():
        row = dict(given)
        row["Protocol"] = str(row.get("Protocol") or "tcp").lower()
        row["PublishMode"] = str(row.get("PublishMode") or "ingress")
        if row["Protocol"] not in _PROTOCOLS:
            raise invalid(f"invalid protocol: {row['Protocol']}")
        if row["PublishMode"] not in ("ingress", "host"):
            raise invalid(f"invalid publish mode: {row['PublishMode']}: use ingress or host")
        target, published = int(row.get("TargetPort") or 0), int(row.get("PublishedPort") or 0)
        if not 0 < target < 65536 or not 0 <= published < 65536:
            raise invalid("EndpointSpec: ports must be between 1 and 65535")
        if mode == "dnsrr" and row["PublishMode"] == "ingress":
            raise invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
        key = (row["Protocol"], published)
        if published and key in taken:
            raise invalid("EndpointSpec: duplicate published ports provided")
        taken.add(key)
        row["TargetPort"] = target
        if published:
            row["PublishedPort"] = published
        ports.append(row)
    found: Json = {"Mode": mode}
    if ports:
        found["Ports"] = ports
    return found


def payload(spec: Mapping[str, Any], kind: str) -> tuple[Json, str]:
    """(spec without its content, content in base64) of a secret or config. Raises InvalidArgument."""
    found = dict(spec)
    name = str(found.get("Name") or "")
    if not name:
        raise invalid("name must be provided")
    if len(name) > _MAX_PAYLOAD_NAME or not _PAYLOAD_NAME.match(name):
        raise invalid("invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]")
    data = str(found.pop("Data", None) or "")
    try:
        content = base64.b64decode(data.replace("-", "+").replace("_", "/") + "=" * (-len(data) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise InvalidArgument(f"invalid JSON: the data of the {kind} is no base64") from None
    driver = found.get("Driver")
    if driver is not None:
        if not driver.get("Name"):
            raise invalid(f"{kind} driver must have a name")
        raise invalid(f'plugin "{driver["Name"]}" not found: this engine has no plugins that keep {kind}s')
    most = SECRET_MAX if kind == "secret" else CONFIG_MAX
    if not 1 <= len(content) < most:
        raise invalid(f"{kind} data must be larger than 0 and less than {most} bytes")
    found["Labels"] = dict(found.get("Labels") or {})
    return found, base64.b64encode(content).decode()


def node(spec: Mapping[str, Any]) -> Json:
    """A node's spec. Raises InvalidArgument."""
    found = {**dict(spec), "Labels": dict(spec.get("Labels") or {})}
    for key in ("Role", "Availability"):
        found[key] = str(found.get(key) or "").lower()
    if found.get("Role") not in ("worker", "manager"):
        raise InvalidArgument(f'invalid Role: "{found.get("Role") or ""}"')
    if found.get("Availability") not in ("active", "pause", "drain"):
        raise InvalidArgument(f'invalid Availability: "{found.get("Availability") or ""}"')
    return found


def cluster(spec: Mapping[str, Any] | None, before: Mapping[str, Any] | None = None) -> Json:
    """Settings of the swarm with Docker's defaults. Raises InvalidArgument."""
    base = before or {}

    def part(key: str, defaults: Json) -> Json:
        return {
            **defaults,
            **dict(base.get(key) or {}),
            **{name: value for name, value in dict((spec or {}).get(key) or {}).items() if value is not None},
        }

    found: Json = {
        "Name": str((spec or {}).get("Name") or "default"),
        "Labels": dict((spec or {}).get("Labels") or {}),
        "Orchestration": part("Orchestration", {"TaskHistoryRetentionLimit": 5}),
        "Raft": part(
            "Raft",
            {"SnapshotInterval": 10000, "KeepOldSnapshots": 0, "LogEntriesForSlowFollowers": 500, "ElectionTick": 10, "HeartbeatTick": 1},
        ),
        "Dispatcher": part("Dispatcher", {"HeartbeatPeriod": 5_000_000_000}),
        "CAConfig": part("CAConfig", {"NodeCertExpiry": 7_776_000_000_000_000}),
        "TaskDefaults": part("TaskDefaults", {}),
        "EncryptionConfig": part("EncryptionConfig", {"AutoLockManagers": False}),
    }
    _cluster_values(found)
    if not int(found["Dispatcher"].get("HeartbeatPeriod") or 0):
        found["Dispatcher"]["HeartbeatPeriod"] = 5_000_000_000
    expiry = int(found["CAConfig"].get("NodeCertExpiry") or 0)
    if expiry and expiry < 3_600_000_000_000:
        raise invalid("minimum certificate expiry time is: 1h0m0s")
    return found


def _cluster_values(found: Mapping[str, Any]) -> None:
    if found["Name"] != "default":
        raise InvalidArgument('swarm spec must be named "default"')
    if int(found["Dispatcher"].get("HeartbeatPeriod") or 0) < 0:
        raise invalid("heartbeat time period cannot be a negative duration")
    authority = found["CAConfig"]
    for row in authority.get("ExternalCAs") or ():
        if str(row.get("Protocol") or "").lower() != "cfssl":
            raise InvalidArgument(f'invalid protocol: "{row.get("Protocol") or ""}"')
    if authority.get("SigningCAKey") and not authority.get("SigningCACert"):
        raise invalid("if a signing CA key is provided, the signing CA cert must also be provided")

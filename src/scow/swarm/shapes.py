"""The shapes of what clients send about a swarm, and reading them as Go's encoding/json does.

`read(value, shape)` gives the value with canonical keys, without unknown ones, every leaf of its type; wrong types end with Go's sentence.
Nothing here judges values (`specs` does). Pure; asked by the routes of the API, before anything else sees the request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.errors import InvalidArgument

_MANY = 65_536  # entries of one list or object: more is no request but a way to keep the engine busy


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf. `go`: Go's name; `kind`: str, bool, int or float; `low`, `high`: bounds of an int."""

    go: str
    kind: type = str
    low: int = 0
    high: int = 0


@dataclass(frozen=True, slots=True)
class Many:
    """A list of `of`. `pointers`: Go holds pointers (its name has a star, null elements are nothing)."""

    of: "Shape"
    pointers: bool = False

    @property
    def go(self) -> str:
        """Go's name."""
        return f"[]{'*' if self.pointers else ''}{self.of.go}"


@dataclass(frozen=True, slots=True)
class Table:
    """A map from strings to strings."""

    go: str = "map[string]string"


@dataclass(frozen=True, slots=True)
class Struct:
    """An object. `outer`: keys that Go has in an embedded struct of that name."""

    go: str
    fields: Mapping[str, "Shape"]
    outer: Mapping[str, str] = field(default_factory=dict)
    by_lower: dict[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self.by_lower.update({name.lower(): name for name in self.fields})

    @property
    def name(self) -> str:
        """Go's name without its package."""
        return self.go.rpartition(".")[2]


Shape = Scalar | Many | Table | Struct

STRING = Scalar("string")
BOOL = Scalar("bool", bool)
FLOAT = Scalar("float32", float)
INT = Scalar("int", int, -(1 << 63), (1 << 63) - 1)
INT64 = Scalar("int64", int, -(1 << 63), (1 << 63) - 1)
UINT64 = Scalar("uint64", int, 0, (1 << 64) - 1)
UINT32 = Scalar("uint32", int, 0, (1 << 32) - 1)
DURATION = Scalar("time.Duration", int, -(1 << 63), (1 << 63) - 1)
FILE_MODE = Scalar("fs.FileMode", int, 0, (1 << 32) - 1)
BYTES = Scalar("[]uint8")
STRINGS = Many(STRING)
TABLE = Table()

_ANNOTATIONS = {"Name": "Annotations", "Labels": "Annotations"}
_NAMED: dict[str, Shape] = {"Name": STRING, "Labels": TABLE}
DRIVER = Struct("swarm.Driver", {"Name": STRING, "Options": TABLE})


def _file(kind: str) -> Struct:
    return Struct(f"swarm.{kind}ReferenceFileTarget", {"Name": STRING, "UID": STRING, "GID": STRING, "Mode": FILE_MODE})


_MOUNT_DRIVER = Struct("mount.Driver", {"Name": STRING, "Options": TABLE})
MOUNT = Struct(
    "mount.Mount",
    {
        "Type": Scalar("mount.Type"),
        "Source": STRING,
        "Target": STRING,
        "ReadOnly": BOOL,
        "Consistency": Scalar("mount.Consistency"),
        "BindOptions": Struct(
            "mount.BindOptions",
            {
                "Propagation": Scalar("mount.Propagation"),
                "NonRecursive": BOOL,
                "CreateMountpoint": BOOL,
                "ReadOnlyNonRecursive": BOOL,
                "ReadOnlyForceRecursive": BOOL,
            },
        ),
        "VolumeOptions": Struct("mount.VolumeOptions", {"NoCopy": BOOL, "Labels": TABLE, "Subpath": STRING, "DriverConfig": _MOUNT_DRIVER}),
        "ImageOptions": Struct("mount.ImageOptions", {"Subpath": STRING}),
        "TmpfsOptions": Struct("mount.TmpfsOptions", {"SizeBytes": INT64, "Mode": FILE_MODE, "Options": Many(STRINGS)}),
        "ClusterOptions": Struct("mount.ClusterOptions", {}),
    },
)

PRIVILEGES = Struct(
    "swarm.Privileges",
    {
        "CredentialSpec": Struct("swarm.CredentialSpec", {"Config": STRING, "File": STRING, "Registry": STRING}),
        "SELinuxContext": Struct(
            "swarm.SELinuxContext", {"Disable": BOOL, "User": STRING, "Role": STRING, "Type": STRING, "Level": STRING}
        ),
        "Seccomp": Struct("swarm.SeccompOpts", {"Mode": Scalar("swarm.SeccompMode"), "Profile": BYTES}),
        "AppArmor": Struct("swarm.AppArmorOpts", {"Mode": Scalar("swarm.AppArmorMode")}),
        "NoNewPrivileges": BOOL,
    },
)

CONTAINER = Struct(
    "swarm.ContainerSpec",
    {
        "Image": STRING,
        "Labels": TABLE,
        "Command": STRINGS,
        "Args": STRINGS,
        "Hostname": STRING,
        "Env": STRINGS,
        "Dir": STRING,
        "User": STRING,
        "Groups": STRINGS,
        "Privileges": PRIVILEGES,
        "Init": BOOL,
        "StopSignal": STRING,
        "TTY": BOOL,
        "OpenStdin": BOOL,
        "ReadOnly": BOOL,
        "Mounts": Many(MOUNT),
        "StopGracePeriod": DURATION,
        "Healthcheck": Struct(
            "v1.HealthcheckConfig",
            {
                "Test": STRINGS,
                "Interval": DURATION,
                "Timeout": DURATION,
                "StartPeriod": DURATION,
                "StartInterval": DURATION,
                "Retries": INT,
            },
        ),
        "Hosts": STRINGS,
        "DNSConfig": Struct("swarm.DNSConfig", {"Nameservers": STRINGS, "Search": STRINGS, "Options": STRINGS}),
        "Secrets": Many(
            Struct("swarm.SecretReference", {"File": _file("Secret"), "SecretID": STRING, "SecretName": STRING}), pointers=True
        ),
        "Configs": Many(
            Struct(
                "swarm.ConfigReference",
                {
                    "File": _file("Config"),
                    "Runtime": Struct("swarm.ConfigReferenceRuntimeTarget", {}),
                    "ConfigID": STRING,
                    "ConfigName": STRING,
                },
            ),
            pointers=True,
        ),
        "Isolation": Scalar("container.Isolation"),
        "Sysctls": TABLE,
        "CapabilityAdd": STRINGS,
        "CapabilityDrop": STRINGS,
        "Ulimits": Many(Struct("units.Ulimit", {"Name": STRING, "Hard": INT64, "Soft": INT64}), pointers=True),
        "OomScoreAdj": INT64,
    },
)

_GENERIC = Struct(
    "swarm.GenericResource",
    {
        "NamedResourceSpec": Struct("swarm.NamedGenericResource", {"Kind": STRING, "Value": STRING}),
        "DiscreteResourceSpec": Struct("swarm.DiscreteGenericResource", {"Kind": STRING, "Value": INT64}),
    },
)
ROOM = Struct("swarm.Resources", {"NanoCPUs": INT64, "MemoryBytes": INT64, "GenericResources": Many(_GENERIC)})
RESOURCES = Struct(
    "swarm.ResourceRequirements",
    {
        "Limits": Struct("swarm.Limit", {"NanoCPUs": INT64, "MemoryBytes": INT64, "Pids": INT64}),
        "Reservations": ROOM,
        "SwapBytes": INT64,
        "MemorySwappiness": INT64,
    },
)
PLATFORM = Struct("swarm.Platform", {"Architecture": STRING, "OS": STRING})
PLACEMENT = Struct(
    "swarm.Placement",
    {
        "Constraints": STRINGS,
        "Preferences": Many(Struct("swarm.PlacementPreference", {"Spread": Struct("swarm.SpreadOver", {"SpreadDescriptor": STRING})})),
        "MaxReplicas": UINT64,
        "Platforms": Many(PLATFORM),
    },
)
NETWORKS = Many(Struct("swarm.NetworkAttachmentConfig", {"Target": STRING, "Aliases": STRINGS, "DriverOpts": TABLE}))
TASK = Struct(
    "swarm.TaskSpec",
    {
        "ContainerSpec": CONTAINER,
        "PluginSpec": Struct("runtime.PluginSpec", {"Name": STRING, "Remote": STRING, "Disabled": BOOL, "Env": STRINGS}),
        "NetworkAttachmentSpec": Struct("swarm.NetworkAttachmentSpec", {"ContainerID": STRING}),
        "Resources": RESOURCES,
        "RestartPolicy": Struct(
            "swarm.RestartPolicy",
            {"Condition": Scalar("swarm.RestartPolicyCondition"), "Delay": DURATION, "MaxAttempts": UINT64, "Window": DURATION},
        ),
        "Placement": PLACEMENT,
        "Networks": NETWORKS,
        "LogDriver": DRIVER,
        "ForceUpdate": UINT64,
        "Runtime": Scalar("swarm.RuntimeType"),
    },
)
_UPDATE = Struct(
    "swarm.UpdateConfig",
    {
        "Parallelism": UINT64,
        "Delay": DURATION,
        "FailureAction": STRING,
        "Monitor": DURATION,
        "MaxFailureRatio": FLOAT,
        "Order": STRING,
    },
)
PORT = Struct(
    "swarm.PortConfig",
    {
        "Name": STRING,
        "Protocol": Scalar("swarm.PortConfigProtocol"),
        "TargetPort": UINT32,
        "PublishedPort": UINT32,
        "PublishMode": Scalar("swarm.PortConfigPublishMode"),
    },
)
SERVICE = Struct(
    "swarm.ServiceSpec",
    {
        **_NAMED,
        "TaskTemplate": TASK,
        "Mode": Struct(
            "swarm.ServiceMode",
            {
                "Replicated": Struct("swarm.ReplicatedService", {"Replicas": UINT64}),
                "Global": Struct("swarm.GlobalService", {}),
                "ReplicatedJob": Struct("swarm.ReplicatedJob", {"MaxConcurrent": UINT64, "TotalCompletions": UINT64}),
                "GlobalJob": Struct("swarm.GlobalJob", {}),
            },
        ),
        "UpdateConfig": _UPDATE,
        "RollbackConfig": _UPDATE,
        "Networks": NETWORKS,
        "EndpointSpec": Struct("swarm.EndpointSpec", {"Mode": Scalar("swarm.ResolutionMode"), "Ports": Many(PORT)}),
    },
    _ANNOTATIONS,
)
NODE = Struct(
    "swarm.NodeSpec",
    {**_NAMED, "Role": Scalar("swarm.NodeRole"), "Availability": Scalar("swarm.NodeAvailability")},
    _ANNOTATIONS,
)
SECRET = Struct("swarm.SecretSpec", {**_NAMED, "Data": BYTES, "Driver": DRIVER, "Templating": DRIVER}, _ANNOTATIONS)
CONFIG = Struct("swarm.ConfigSpec", {**_NAMED, "Data": BYTES, "Templating": DRIVER}, _ANNOTATIONS)
CLUSTER = Struct(
    "swarm.Spec",
    {
        **_NAMED,
        "Orchestration": Struct("swarm.OrchestrationConfig", {"TaskHistoryRetentionLimit": INT64}),
        "Raft": Struct(
            "swarm.RaftConfig",
            {
                "SnapshotInterval": UINT64,
                "KeepOldSnapshots": UINT64,
                "LogEntriesForSlowFollowers": UINT64,
                "ElectionTick": INT,
                "HeartbeatTick": INT,
            },
        ),
        "Dispatcher": Struct("swarm.DispatcherConfig", {"HeartbeatPeriod": DURATION}),
        "CAConfig": Struct(
            "swarm.CAConfig",
            {
                "NodeCertExpiry": DURATION,
                "ExternalCAs": Many(
                    Struct(
                        "swarm.ExternalCA",
                        {"Protocol": Scalar("swarm.ExternalCAProtocol"), "URL": STRING, "Options": TABLE, "CACert": STRING},
                    ),
                    pointers=True,
                ),
                "SigningCACert": STRING,
                "SigningCAKey": STRING,
                "ForceRotate": UINT64,
            },
        ),
        "TaskDefaults": Struct("swarm.TaskDefaults", {"LogDriver": DRIVER}),
        "EncryptionConfig": Struct("swarm.EncryptionConfig", {"AutoLockManagers": BOOL}),
    },
    _ANNOTATIONS,
)
INIT = Struct(
    "swarm.InitRequest",
    {
        "ListenAddr": STRING,
        "AdvertiseAddr": STRING,
        "DataPathAddr": STRING,
        "DataPathPort": UINT32,
        "ForceNewCluster": BOOL,
        "Spec": CLUSTER,
        "AutoLockManagers": BOOL,
        "Availability": Scalar("swarm.NodeAvailability"),
        "DefaultAddrPool": STRINGS,
        "SubnetSize": UINT32,
    },
)
JOIN = Struct(
    "swarm.JoinRequest",
    {
        "ListenAddr": STRING,
        "AdvertiseAddr": STRING,
        "DataPathAddr": STRING,
        "RemoteAddrs": STRINGS,
        "JoinToken": STRING,
        "Availability": Scalar("swarm.NodeAvailability"),
    },
)
UNLOCK = Struct("swarm.UnlockRequest", {"UnlockKey": STRING})


def read(value: Any, shape: Struct) -> dict[str, Any]:
    """A parsed request as a shape has it; null is nothing. Raises InvalidArgument in Go's words."""
    if value is None:
        return {}
    found: dict[str, Any] = _struct(value, shape, "", "")
    return found


def _read(value: Any, shape: Shape, struct: str, path: str) -> Any:
    """`struct`: Go's name of the innermost object; `path`: keys from the outermost to here."""
    match shape:
        case Scalar():
            return _scalar(value, shape, struct, path)
        case Struct():
            return _struct(value, shape, struct, path)
        case Table():
            if not isinstance(value, dict):
                raise _mismatch(value, shape.go, struct, path)
            _bounded(value, path)
            return {key: "" if one is None else _scalar(one, STRING, struct, path) for key, one in value.items()}
    if not isinstance(value, list):
        raise _mismatch(value, shape.go, struct, path)
    _bounded(value, path)
    if shape.pointers:
        return [_read(one, shape.of, struct, path) for one in value if one is not None]
    return [_zero(shape.of) if one is None else _read(one, shape.of, struct, path) for one in value]


def _zero(shape: Shape) -> Any:
    if isinstance(shape, Scalar):
        return {str: "", bool: False}.get(shape.kind, 0)
    return [] if isinstance(shape, Many) else {}


def _struct(value: Any, shape: Struct, struct: str, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch(value, shape.go, struct, path)
    found: dict[str, Any] = {}
    for key, one in value.items():
        name = key if key in shape.fields else shape.by_lower.get(key.lower(), "")
        if not name or one is None:
            continue
        step = f"{shape.outer[name]}.{name}" if name in shape.outer else name
        found[name] = _read(one, shape.fields[name], shape.name, f"{path}.{step}" if path else step)
    return found


def _scalar(value: Any, shape: Scalar, struct: str, path: str) -> Any:
    if shape.kind is str:
        if isinstance(value, str):
            return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    elif shape.kind is bool:
        if isinstance(value, bool):
            return value
    elif shape.kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 3.4e38:
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, int) and shape.low <= value <= shape.high:
            return value
        raise _mismatch(value, shape.go, struct, path, f" {value}")
    raise _mismatch(value, shape.go, struct, path)


def _bounded(value: list[Any] | dict[str, Any], path: str) -> None:
    if len(value) > _MANY:
        raise InvalidArgument(f"{path} has too many entries: {len(value)} (at most {_MANY})")


def _mismatch(value: Any, want: str, struct: str, path: str, number: str = "") -> InvalidArgument:
    kind = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}.get(type(value), "value")
    where = f"Go struct field {struct}.{path}" if path else "Go value"
    return InvalidArgument(f"invalid JSON: json: cannot unmarshal {kind}{number} into {where} of type {want}")

"""The objects of a cluster: frozen dataclasses that the store keeps.

`spec` is Docker's JSON of what the user asked for (normalised and validated by `specs.py`) and is never changed by the system; status and
decisions lie beside it. `version` is the store's counter at the last change: Docker's `Version.Index`, which a writer must name. It moves
with everything that is reported of an object, too; `spec_index` is where it stood when the spec last changed.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import IntEnum
from operator import attrgetter
from typing import Any, ClassVar, Self

Doc = Mapping[str, Any]


class TaskState(IntEnum):
    """States only grow, so a task can be moved on without a race; gaps as in swarmkit."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    ORPHANED = 832
    REMOVE = 896

    @property
    def text(self) -> str:
        """Docker's word."""
        return self._name_.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What all objects have. `version` 0: not stored yet; `spec_index` (the store keeps it) 0: stored by an engine that had none."""

    kind: ClassVar[str] = ""
    wishes: ClassVar[tuple[str, ...]] = ()
    """The fields that only change when somebody is to know before he writes: what users set, whoever changes it."""

    id: str
    version: int = 0
    spec_index: int = 0
    created_ns: int = 0
    updated_ns: int = 0

    def changed(self, **values: Any) -> Self:
        """A copy with other values. Raises KeyError for a field that there is not."""
        read, slots, named = _layout(type(self))
        made = _bare(type(self))
        for put, value in zip(slots, read(self), strict=False):
            put(made, value)
        for name, value in values.items():
            named[name](made, value)
        return made

    def unseen(self, version: int) -> bool:
        """Whether who read this object at `version` does not know its present wishes, or never read it."""
        return not (self.spec_index or self.version) <= version <= self.version


_bare = object.__new__
_Put = Callable[[Any, Any], None]
_Layout = tuple[Callable[[Any], tuple[Any, ...]], tuple[_Put, ...], dict[str, _Put]]


def _made_layout(cls: Any) -> _Layout:
    """How objects of a class are copied: what reads all fields, what sets each. `dataclasses.replace` takes three times as long, and
    most of what a manager does is copying."""
    names = [one.name for one in fields(cls)]
    named: dict[str, _Put] = {name: getattr(cls, name).__set__ for name in names}
    return attrgetter(*names), tuple(named.values()), named


_layout: Callable[[Any], _Layout] = functools.cache(_made_layout)


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """The container of a task, as its agent reported it."""

    container_id: str = ""
    pid: int = 0
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """Where a task is, since when and why. `ports`: Docker's PortStatus rows. `applied_by`: the node that said so."""

    state: TaskState = TaskState.NEW
    at_ns: int = 0
    message: str = ""
    error: str = ""
    container: ContainerStatus | None = None
    ports: tuple[Doc, ...] = ()
    applied_by: str = ""


_MODES = (("Global", "global"), ("ReplicatedJob", "replicated-job"), ("GlobalJob", "global-job"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Object):
    """`endpoint`: Docker's Endpoint (Spec, Ports, VirtualIPs) as allocated; `update_status`, `job_status`: Docker's documents."""

    kind: ClassVar[str] = "service"
    wishes: ClassVar[tuple[str, ...]] = ("spec", "spec_version", "registry_auth")

    spec: Doc = field(default_factory=dict)
    previous_spec: Doc | None = None
    spec_version: int = 0
    endpoint: Doc = field(default_factory=dict)
    update_status: Doc | None = None
    job_iteration: int = 0
    job_executed_ns: int = 0
    scheduled_ns: int = 0
    """Since when a job runs by the clock as it does now (`manager/cron.py`)."""
    scaling: Doc | None = None
    """The last decision of the autoscaler: {"From", "To", "Reason", "At"}, and why there is none now: {"Held"}."""
    registry_auth: str = ""
    """An X-Registry-Auth text for this service's image. Encrypted at rest, never shown."""

    @property
    def name(self) -> str:
        """The service's name."""
        return str(self.spec.get("Name") or "")

    @property
    def labels(self) -> Mapping[str, str]:
        """The service's labels."""
        return self.spec.get("Labels") or {}

    @property
    def mode(self) -> str:
        """One of replicated, global, replicated-job, global-job."""
        given = self.spec.get("Mode") or {}
        for key, word in _MODES:
            if given.get(key) is not None:
                return word
        return "replicated"

    @property
    def replicas(self) -> int:
        """What a replicated service is to have; 0 for other modes."""
        found = ((self.spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas")
        return 1 if found is None and self.mode == "replicated" else int(found or 0)

    @property
    def task_spec(self) -> Doc:
        """The TaskTemplate."""
        return self.spec.get("TaskTemplate") or {}

    @property
    def network_ids(self) -> tuple[str, ...]:
        """The networks that the spec names."""
        rows = self.task_spec.get("Networks") or self.spec.get("Networks") or ()
        return tuple(str(row.get("Target")) for row in rows if row.get("Target"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Object):
    """One try at running one instance. `slot` 0 for global services. `spec`: Docker's TaskSpec, frozen when the task was made."""

    kind: ClassVar[str] = "task"

    service_id: str = ""
    service_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    slot: int = 0
    node_id: str = ""
    spec: Doc = field(default_factory=dict)
    spec_version: int = 0
    status: TaskStatus = TaskStatus()
    desired_state: TaskState = TaskState.RUNNING
    networks: tuple[Doc, ...] = ()
    """Docker's NetworkAttachment rows: {"Network": …, "Addresses": ["10.0.0.5/24"]}."""
    endpoint: Doc = field(default_factory=dict)
    generic_resources: tuple[Doc, ...] = ()
    job_iteration: int | None = None
    restarts_ns: tuple[int, ...] = ()
    """When earlier tasks of this slot were restarted, within the policy's window."""
    not_before_ns: int = 0
    """A restart with a delay: wanted state READY until then."""

    @property
    def name(self) -> str:
        """As its container is called: `service.slot.id`, `service.node.id`."""
        return f"{self.service_name}.{self.slot or self.node_id}.{self.id}"

    @property
    def slot_key(self) -> str:
        """Which of its service's places it fills: the service and the slot, for a global service the node. The key of the index `slot`."""
        return f"{self.service_id}/{self.slot or self.node_id}"

    @property
    def over(self) -> bool:
        """Whether it has ended, or will never run."""
        return self.status.state > TaskState.RUNNING

    @property
    def wanted(self) -> bool:
        """Whether it is to run, now or later; a job's, which is to end by itself, is not."""
        return self.desired_state <= TaskState.RUNNING

    @property
    def active(self) -> bool:
        """Whether it runs or may come to run: neither over nor told to end."""
        return not self.over and self.wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Object):
    """`spec`: Docker's NodeSpec (Name, Labels, Role, Availability). `status_state`: unknown, down, ready, disconnected."""

    kind: ClassVar[str] = "node"
    wishes: ClassVar[tuple[str, ...]] = ("spec",)

    spec: Doc = field(default_factory=dict)
    description: Doc = field(default_factory=dict)
    status_state: str = "unknown"
    status_message: str = ""
    down_hours: int = 0
    """How long it is down, as one leader after another has measured it: no host's clock says so."""
    address: str = ""
    manager: Doc | None = None
    """Docker's ManagerStatus: {"Leader", "Reachability", "Addr"}; None for a worker."""
    certificate: str = ""
    member_id: str = ""
    """Its member in etcd, for managers."""
    peer_mark: str = ""
    """What that member works with, see `ca/peers.py`."""
    tunnel: tuple[Doc, ...] = ()
    """Its public keys for encrypted networks, see `manager/keymanager.py`; none: it cannot encrypt."""

    @property
    def role(self) -> str:
        """Worker or manager, as wished."""
        return str(self.spec.get("Role") or "worker")

    @property
    def availability(self) -> str:
        """One of active, pause, drain."""
        return str(self.spec.get("Availability") or "active")

    @property
    def hostname(self) -> str:
        """The host's name."""
        return str(self.description.get("Hostname") or "")

    @property
    def manager_address(self) -> str:
        """Where it listens as a manager; "" for a worker."""
        return str((self.manager or {}).get("Addr") or "")

    @property
    def usable(self) -> bool:
        """Whether tasks may stay on it."""
        return self.status_state != "down" and self.availability != "drain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Object):
    """A network of swarm scope. `spec`: the create request's document; `ipam`: what was allocated; `vni`: its VXLAN id; `attachments`:
    addresses of plain containers that joined an attachable one, by container id."""

    kind: ClassVar[str] = "network"

    spec: Doc = field(default_factory=dict)
    ipam: Doc = field(default_factory=dict)
    vni: int = 0
    ingress: bool = False
    leases: Mapping[str, str] = field(default_factory=dict)
    """Address (without length) → who has it: `node:<node id>`, `container:<node id>:<container id>:<names>`. Tasks and services hold their
    own."""

    @property
    def name(self) -> str:
        """The network's name."""
        return str(self.spec.get("Name") or "")

    @property
    def encrypted(self) -> bool:
        """Whether its packets go between hosts encrypted."""
        return wants_encryption(self.spec.get("Options") or {})


def wants_encryption(options: Mapping[str, Any]) -> bool:
    """Whether a network's options say `encrypted`, with any value but false."""
    return str(options.get("encrypted", "false")) != "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret(Object):
    """`data` is base64 text, encrypted at rest and never shown; `spec` has no Data."""

    kind: ClassVar[str] = "secret"
    wishes: ClassVar[tuple[str, ...]] = ("spec",)

    spec: Doc = field(default_factory=dict)
    data: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The secret's name."""
        return str(self.spec.get("Name") or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Object):
    """As a secret, but it may be read back."""

    kind: ClassVar[str] = "config"
    wishes: ClassVar[tuple[str, ...]] = ("spec",)

    spec: Doc = field(default_factory=dict)
    data: str = ""

    @property
    def name(self) -> str:
        """The config's name."""
        return str(self.spec.get("Name") or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster(Object):
    """There is one. `spec`: Docker's swarm Spec. Keys are PEM, encrypted at rest."""

    kind: ClassVar[str] = "cluster"
    wishes: ClassVar[tuple[str, ...]] = ("spec", "tokens", "unlock_key", "forced_rotation")

    spec: Doc = field(default_factory=dict)
    root_certificate: str = ""
    root_key: str = field(default="", repr=False)
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secret parts of the join tokens, by role."""
    unlock_key: str = field(default="", repr=False)
    rotation: Doc | None = field(default=None, repr=False)
    """A new root on its way: {"Certificate", "Key", "CrossSigned" (by the present root)}; see `manager/certificates.py`."""
    forced_rotation: int = 0
    """The last CAConfig.ForceRotate that was obeyed."""
    peers: Doc | None = field(default=None, repr=False)
    """The root of etcd's members in exchange, see `ca/peers.py`."""
    default_addr_pool: tuple[str, ...] = ("10.0.0.0/8",)
    subnet_size: int = 24
    data_path_port: int = 4789
    leader: str = ""


KINDS: dict[str, type[Object]] = {cls.kind: cls for cls in (Service, Task, Node, Network, Secret, Config, Cluster)}


def to_json(value: Any) -> Any:
    """An object as JSON-ready data; fields that have their default are left out."""
    shape = _shape(type(value))
    if shape is not None:
        return {
            name: part if type(part) in _PLAIN else to_json(part) for name, default in shape if (part := getattr(value, name)) != default
        }
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | list):
        return [to_json(part) for part in value]
    return value


_PLAIN = frozenset({str, int, bool, type(None), float})


def _made_shape(cls: Any) -> tuple[tuple[str, Any], ...] | None:
    """The fields of a dataclass with their defaults, None for other types."""
    return tuple((one.name, _default(one)) for one in fields(cls)) if is_dataclass(cls) else None


_shape: Callable[[Any], tuple[tuple[str, Any], ...] | None] = functools.cache(_made_shape)


def _default(one: "Field[Any]") -> Any:
    return one.default_factory() if one.default_factory is not MISSING else one.default


def from_json(kind: str, data: Mapping[str, Any]) -> Object:
    """The object that `to_json` made `data` of; fields of a newer engine are left out."""
    cls = KINDS[kind]
    known = _layout(cls)[2]
    values: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            continue
        if name == "status" and cls is Task:
            value = _status(value)
        elif name == "desired_state":
            value = TaskState(value)
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    return cls(**values)


def _status(data: Mapping[str, Any]) -> TaskStatus:
    container = data.get("container")
    return TaskStatus(
        TaskState(data.get("state", 0)),
        int(data.get("at_ns", 0)),
        str(data.get("message", "")),
        str(data.get("error", "")),
        ContainerStatus(**container) if container else None,
        tuple(data.get("ports", ())),
        str(data.get("applied_by", "")),
    )

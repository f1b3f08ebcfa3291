"""How many containers a service has and where, what they may use, how they are replaced: `deploy`."""

from __future__ import annotations

from scow.compose.records import field, record

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.compose.model.kinds import Bytes, Count, Cpus, Duration, Extensions, Mapping, Words


@record(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """Devices by capability, as GPUs; `count` -1 is all, 0 not given."""

    capabilities: Words = ()
    driver: str = ""
    count: Count = 0
    device_ids: Words = ()
    options: Mapping = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class GenericResource:
    """So many of a kind of resource that nodes tell of."""

    kind: str = ""
    value: int = 0


@record(frozen=True, slots=True, kw_only=True)
class DiscreteResource:
    """The form in which files write a generic resource."""

    discrete_resource_spec: GenericResource | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Resource:
    """What may be used, or is set aside; 0 is not given."""

    cpus: Cpus = 0.0
    memory: Bytes = 0
    pids: int = 0
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: tuple[DiscreteResource, ...] = ()
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Resources:
    """`limits` may not be passed, `reservations` are set aside."""

    limits: Resource | None = None
    reservations: Resource | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class UpdateConfig:
    """How tasks are replaced; `parallelism` 0 is all at once, None the default, `monitor` how long a new one is watched."""

    parallelism: int | None = None
    delay: Duration = 0
    failure_action: str = ""
    monitor: Duration = 0
    max_failure_ratio: Cpus = 0.0
    order: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """When a task that has ended is replaced; `window` is the time in which `max_attempts` count."""

    condition: str = ""
    delay: Duration | None = None
    max_attempts: int | None = None
    window: Duration | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Preference:
    """The label whose values tasks are spread over."""

    spread: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Placement:
    """Which nodes may have tasks, and how many each; `max_replicas_per_node` 0 is any number."""

    constraints: Words = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Deploy:
    """The whole; `mode` is replicated, global, replicated-job or global-job."""

    mode: str = ""
    replicas: int | None = None
    labels: Mapping = field(default_factory=dict)
    update_config: UpdateConfig | None = None
    rollback_config: UpdateConfig | None = None
    resources: Resources = field(default_factory=Resources)
    restart_policy: RestartPolicy | None = None
    placement: Placement = field(default_factory=Placement)
    endpoint_mode: str = ""
    extensions: Extensions = field(default_factory=dict)

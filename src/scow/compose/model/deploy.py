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
    kind: str = ""
    value: int = 0


@record(frozen=True, slots=True, kw_only=True)
class DiscreteResource:
    discrete_resource_spec: GenericResource | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Resource:
    cpus: Cpus = 0.0
    memory: Bytes = 0
    pids: int = 0
    devices: tuple[DeviceRequest, ...] = ()
    generic_resources: tuple[DiscreteResource, ...] = ()
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Resources:
    limits: Resource | None = None
    reservations: Resource | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class UpdateConfig:
    parallelism: int | None = None
    delay: Duration = 0
    failure_action: str = ""
    monitor: Duration = 0
    max_failure_ratio: Cpus = 0.0
    order: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    condition: str = ""
    delay: Duration | None = None
    max_attempts: int | None = None
    window: Duration | None = None
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Preference:
    spread: str = ""
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Placement:
    constraints: Words = ()
    preferences: tuple[Preference, ...] = ()
    max_replicas_per_node: int = 0
    extensions: Extensions = field(default_factory=dict)


@record(frozen=True, slots=True, kw_only=True)
class Deploy:
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

"""Objects as Docker's API shows them. Pure."""

from collections.abc import Mapping
from typing import Any

from scow import units
from scow.opts.autoscale import PREFIX
from scow.swarm.objects import Cluster, Config, Network, Node, Object, Secret, Service, Task, TaskState

Json = dict[str, Any]

_ZERO = "0001-01-01T00:00:00Z"


def _meta(one: Object) -> Json:
    return {
        "ID": one.id,
        "Version": {"Index": one.version},
        "CreatedAt": units.rfc3339nano(one.created_ns) if one.created_ns else _ZERO,
        "UpdatedAt": units.rfc3339nano(one.updated_ns) if one.updated_ns else _ZERO,
    }


def service(one: Service, status: Mapping[str, int] | None = None) -> Json:
    """A service; `status`: counts of its tasks, where asked for."""
    found = {**_meta(one), "Spec": dict(one.spec)}
    if one.previous_spec is not None:
        found["PreviousSpec"] = dict(one.previous_spec)
    found["Endpoint"] = {"Spec": {}, **dict(one.endpoint)}
    if one.update_status is not None:
        found["UpdateStatus"] = dict(one.update_status)
    if one.mode.endswith("-job"):
        executed = units.rfc3339nano(one.job_executed_ns) if one.job_executed_ns else _ZERO
        found["JobStatus"] = {"JobIteration": {"Index": one.job_iteration}, "LastExecution": executed}
    if status is not None:
        found["ServiceStatus"] = dict(status)
    if one.scaling is not None and any(key.startswith(PREFIX) for key in one.labels):
        found["Autoscale"] = dict(one.scaling)
    return found


def task(one: Task) -> Json:
    """A task."""
    status: Json = {
        "Timestamp": units.rfc3339nano(one.status.at_ns) if one.status.at_ns else _ZERO,
        "State": one.status.state.text,
        "Message": one.status.message,
    }
    if one.status.error:
        status["Err"] = one.status.error
    if one.status.container is not None:
        container = one.status.container
        status["ContainerStatus"] = {"ContainerID": container.container_id, "PID": container.pid, "ExitCode": container.exit_code}
    status["PortStatus"] = {"Ports": [dict(row) for row in one.status.ports]} if one.status.ports else {}
    found: Json = {**_meta(one), "Labels": {}, "Spec": {**dict(one.spec)}, "ServiceID": one.service_id}
    if one.slot:
        found["Slot"] = one.slot
    if one.node_id:
        found["NodeID"] = one.node_id
    found["Status"] = status
    found["DesiredState"] = one.desired_state.text
    if one.networks:
        found["NetworksAttachments"] = [
            {"Network": {**dict(row["Network"])}, "Addresses": list(row.get("Addresses") or ())} for row in one.networks
        ]
    if one.generic_resources:
        found["GenericResources"] = [dict(row) for row in one.generic_resources]
    if one.job_iteration is not None:
        found["JobIteration"] = {"Index": one.job_iteration}
    found["Volumes"] = None
    return found


def node(one: Node) -> Json:
    """A node."""
    description = {**dict(one.description)}
    spec = {"Labels": {}, "Role": one.role, "Availability": one.availability, **dict(one.spec)}
    found: Json = {**_meta(one), "Spec": spec, "Description": description, "Status": {"State": one.status_state, "Addr": one.address}}
    if one.status_message:
        found["Status"]["Message"] = one.status_message
    if one.manager is not None:
        found["ManagerStatus"] = dict(one.manager)
    return found


def secret(one: Secret) -> Json:
    """A secret; its content is never shown."""
    return {**_meta(one), "Spec": dict(one.spec)}


def config(one: Config) -> Json:
    """A config with its content."""
    return {**_meta(one), "Spec": {**dict(one.spec), "Data": one.data}}


def network(one: Network) -> Json:
    """A network of swarm scope as `network inspect` shows it where no task of it runs."""
    spec = one.spec
    rows = [
        {
            key: value
            for key, value in (("Subnet", row.get("Subnet")), ("IPRange", row.get("IPRange")), ("Gateway", row.get("Gateway")))
            if value
        }
        for row in one.ipam.get("Config") or ()
    ]
    ipam = spec.get("IPAM") or {}
    options = {**(spec.get("Options") or {})}
    if one.vni:
        options["com.docker.network.driver.overlay.vxlanid_list"] = str(one.vni)
    return {
        "Name": one.name,
        "Id": one.id,
        "Created": units.rfc3339nano(one.created_ns) if one.created_ns else _ZERO,
        "Scope": "swarm",
        "Driver": str(spec.get("Driver") or "overlay"),
        "EnableIPv4": True,
        "EnableIPv6": bool(spec.get("EnableIPv6")),
        "IPAM": {"Driver": str(ipam.get("Driver") or "default"), "Options": ipam.get("Options"), "Config": [row for row in rows if row]},
        "Internal": bool(spec.get("Internal")),
        "Attachable": bool(spec.get("Attachable")),
        "Ingress": one.ingress,
        "ConfigFrom": {"Network": str((spec.get("ConfigFrom") or {}).get("Network") or "")},
        "ConfigOnly": False,
        "Containers": None,
        "Options": options,
        "Labels": dict(spec.get("Labels") or {}),
    }


def cluster(one: Cluster, tls: Mapping[str, str], tokens: Mapping[str, str] | None = None) -> Json:
    """The swarm; `tokens` (whole join tokens) only for /swarm."""
    found = {
        **_meta(one),
        "Spec": dict(one.spec),
        "TLSInfo": dict(tls),
        "RootRotationInProgress": one.rotation is not None,
        "DefaultAddrPool": list(one.default_addr_pool),
        "SubnetSize": one.subnet_size,
        "DataPathPort": one.data_path_port,
    }
    if tokens is not None:
        found["JoinTokens"] = {"Worker": tokens["worker"], "Manager": tokens["manager"]}
    return found


def counts(tasks: list[Task], nodes_up: set[str], one: Service, eligible: int) -> dict[str, int]:
    """ServiceStatus: running, wanted and completed tasks. `eligible`: nodes that a global service is to be on."""
    running = sum(
        task.status.state is TaskState.RUNNING and task.desired_state <= TaskState.COMPLETE and task.node_id in nodes_up for task in tasks
    )
    completed = 0
    mode = one.mode
    if mode == "replicated":
        desired = one.replicas
    elif mode == "global":
        desired = sum(task.wanted for task in tasks) or eligible
    else:
        mine = [task for task in tasks if task.job_iteration == one.job_iteration]
        completed = sum(task.status.state is TaskState.COMPLETE for task in mine)
        running = sum(task.status.state is TaskState.RUNNING for task in mine)
        job = (one.spec.get("Mode") or {}).get("ReplicatedJob") or {}
        most = job.get("MaxConcurrent")
        desired = (
            (1 if most is None else int(most))
            if mode == "replicated-job"
            # as Docker: those that have yet to be done, which its CLI adds to those that are
            else sum(task.desired_state <= TaskState.COMPLETE and task.status.state is not TaskState.COMPLETE for task in mine)
        )
    return {"RunningTasks": running, "DesiredTasks": desired, "CompletedTasks": completed}

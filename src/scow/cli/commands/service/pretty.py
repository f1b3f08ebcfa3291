"""`scow service inspect --pretty`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli

from scow.cli.commands.swarm.tasks import ago
from scow.client.api import quote
from scow.client.transport import ApiError
from scow.units import NANO, bytes_size, format_duration

_MODES = {"Replicated": "Replicated", "Global": "Global", "ReplicatedJob": "ReplicatedJob", "GlobalJob": "GlobalJob"}


def text(cli: Cli, service: dict[str, Any]) -> str:
    """The lines of one service, as docker's."""
    spec = service.get("Spec") or {}
    task = spec.get("TaskTemplate") or {}
    container = task.get("ContainerSpec") or {}
    lines = ["", f"ID:\t\t{service['ID']}", f"Name:\t\t{spec.get('Name') or ''}"]
    labels = spec.get("Labels") or {}
    lines += ["Labels:", *(f" {key}={labels[key]}" for key in sorted(labels))] if labels else []
    lines += _mode(spec.get("Mode") or {})
    scaled = service.get("Autoscale") or {}
    if scaled:
        lines.append("Autoscale:")
        if scaled.get("At"):
            lines.append(f" Last:\t\t{scaled.get('From')} -> {scaled.get('To')}, {ago(scaled['At']).lower()}")
            lines.append(f" Reason:\t{scaled.get('Reason') or ''}")
        if scaled.get("Held"):
            lines.append(f" Held:\t\t{scaled['Held']}")
    lines += _update_status(service.get("UpdateStatus") or {})
    lines += _placement(task.get("Placement") or {})
    for key, name, order in (
        ("UpdateConfig", "UpdateConfig", "Update order:     "),
        ("RollbackConfig", "RollbackConfig", "Rollback order:   "),
    ):
        lines += _policy(spec.get(key), name, order)
    lines += _container(container)
    lines += _files(container)
    log = task.get("LogDriver") or {}
    if log.get("Name"):
        lines += ["Log Driver:", f" Name:\t\t{log['Name']}"]
        options = log.get("Options") or {}
        lines += [f" LogOpts:\t{' '.join(f'{key}={options[key]}' for key in sorted(options))}"] if options else []
    lines += _resources(task.get("Resources") or {})
    networks = [_network(cli, one.get("Target") or "") for one in task.get("Networks") or spec.get("Networks") or []]
    lines += [f"Networks: {' '.join(networks)} "] if networks else []
    endpoint = service.get("Endpoint") or {}
    mode = (spec.get("EndpointSpec") or {}).get("Mode") or (endpoint.get("Spec") or {}).get("Mode") or ""
    lines.append(f"Endpoint Mode:\t{mode}")
    ports = endpoint.get("Ports") or []
    if ports:
        lines.append("Ports:")
    for port in ports:
        lines += [
            f" PublishedPort = {port.get('PublishedPort') or 0}",
            f"  Protocol = {port.get('Protocol') or ''}",
            f"  TargetPort = {port.get('TargetPort') or 0}",
            f"  PublishMode = {port.get('PublishMode') or ''} ",
        ]
    health = container.get("Healthcheck") or {}
    if health:
        lines.append(" Healthcheck:")
        for key, label in (("Interval", "Interval"), ("Retries", "Retries"), ("StartPeriod", "StartPeriod"), ("Timeout", "Timeout")):
            if health.get(key):
                lines.append(f"  {label} = {health[key] if key == 'Retries' else format_duration(health[key])}")
        if health.get("Test"):
            lines += ["  Tests:", *(f"\t Test = {one}" for one in health["Test"])]
    return "\n".join(lines) + "\n"


def _network(cli: Cli, ident: str) -> str:
    try:
        return str(cli.client.get(f"/networks/{quote(ident)}")["Name"])
    except (ApiError, KeyError):
        return ident


def _mode(mode: dict[str, Any]) -> list[str]:
    name = next((text for key, text in _MODES.items() if mode.get(key) is not None), "")
    lines = [f"Service Mode:\t{name}"]
    if mode.get("Replicated") is not None and mode["Replicated"].get("Replicas") is not None:
        lines.append(f" Replicas:\t{mode['Replicated']['Replicas']}")
    if mode.get("ReplicatedJob") is not None:
        job = mode["ReplicatedJob"]
        lines += [f" MaxConcurrent:\t{job.get('MaxConcurrent') or 0}", f" TotalCompletions:\t{job.get('TotalCompletions') or 0}"]
    return lines


def _update_status(status: dict[str, Any]) -> list[str]:
    if not status.get("State"):
        return []
    lines = ["UpdateStatus:", f" State:\t\t{status['State']}"]
    if status.get("StartedAt"):
        lines.append(f" Started:\t{ago(status['StartedAt']).lower()}")
    if status["State"] == "completed" and status.get("CompletedAt"):
        lines.append(f" Completed:\t{ago(status['CompletedAt']).lower()}")
    return [*lines, f" Message:\t{status.get('Message') or ''}"]


def _placement(placement: dict[str, Any]) -> list[str]:
    lines = ["Placement:"]
    if placement.get("Constraints"):
        lines.append(f" Constraints:\t[{' '.join(placement['Constraints'])}]")
    spread = [(one.get("Spread") or {}).get("SpreadDescriptor") or "" for one in placement.get("Preferences") or []]
    if spread:
        lines.append(f" Preferences:\t[{' '.join(f'spread={one}' for one in spread)}]")
    if placement.get("MaxReplicas"):
        lines.append(f" Max Replicas Per Node:\t{placement['MaxReplicas']}")
    return lines


def _policy(policy: dict[str, Any] | None, name: str, order: str) -> list[str]:
    if policy is None:
        return []
    lines = [f"{name}:", f" Parallelism:\t{policy.get('Parallelism') or 0}"]
    if policy.get("Delay"):
        lines.append(f" Delay:\t\t{format_duration(policy['Delay'])}")
    lines.append(f" On failure:\t{policy.get('FailureAction') or ''}")
    if policy.get("Monitor"):
        lines.append(f" Monitoring Period: {format_duration(policy['Monitor'])}")
    return [*lines, f" Max failure ratio: {policy.get('MaxFailureRatio') or 0:g}", f" {order} {policy.get('Order') or ''}"]


def _container(container: dict[str, Any]) -> list[str]:
    lines = ["ContainerSpec:", f" Image:\t\t{container.get('Image') or ''}"]
    for key, label in (("Command", "Command"), ("Args", "Args"), ("Env", "Env")):
        if container.get(key):
            lines.append(f" {label}:\t{'' if key == 'Command' else chr(9)}{' '.join(container[key])} ")
    for key, label in (("Dir", "Dir"), ("User", "User")):
        if container.get(key):
            lines.append(f" {label}:\t\t{container[key]}")
    if "Init" in container and container["Init"] is not None:
        lines.append(f" Init:\t\t{'true' if container['Init'] else 'false'}")
    for key, label in (("CapabilityAdd", "CapAdd"), ("CapabilityDrop", "CapDrop")):
        if container.get(key):
            lines.append(f" {label}:\t{', '.join(container[key])}")
    if container.get("Sysctls"):
        lines += ["SysCtls:", *(f" {key}: {container['Sysctls'][key]}" for key in sorted(container["Sysctls"]))]
    if container.get("Ulimits"):
        lines += ["Ulimits:", *(f" {one['Name']}: {one.get('Soft') or 0}:{one.get('Hard') or 0}" for one in container["Ulimits"])]
    return lines


def _files(container: dict[str, Any]) -> list[str]:
    lines = []
    if container.get("Mounts"):
        lines.append("Mounts:")
        for one in container["Mounts"]:
            read_only = "true" if one.get("ReadOnly") else "false"
            lines += [
                f" Target:\t{one.get('Target') or ''}",
                f"  Source:\t{one.get('Source') or ''}",
                f"  ReadOnly:\t{read_only}",
                f"  Type:\t\t{one.get('Type') or ''}",
            ]
    for key, kind in (("Configs", "Config"), ("Secrets", "Secret")):
        if container.get(key):
            lines.append(f"{key}:")
            for one in container[key]:
                lines += [f" Target:\t{(one.get('File') or {}).get('Name') or ''}", f"  Source:\t{one.get(f'{kind}Name') or ''}"]
    return lines


def _resources(resources: dict[str, Any]) -> list[str]:
    lines = ["Resources:"]
    for key in ("Reservations", "Limits"):
        held = resources.get(key) or {}
        if not held:
            continue
        lines.append(f" {key}:")
        if held.get("NanoCPUs"):
            lines.append(f"  CPU:\t\t{held['NanoCPUs'] / NANO:g}")
        if held.get("MemoryBytes"):
            lines.append(f"  Memory:\t{bytes_size(held['MemoryBytes'])}")
        if held.get("Pids"):
            lines.append(f"  PIDs:\t\t{held['Pids']}")
    return lines

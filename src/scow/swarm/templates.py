"""Placeholders of a service in hostnames, variables and mounts, and in the content of secrets and configs. Pure."""

from collections.abc import Mapping
from typing import Any

from scow.errors import InvalidArgument
from scow.gotemplate import Template
from scow.swarm.agent.executor import Dependencies
from scow.swarm.objects import Task
from scow.swarm.wording import invalid


def values(task: Task, needs: Dependencies) -> dict[str, Any]:
    """What a placeholder may name."""
    platform = needs.node.get("Platform") or {}
    return {
        "Service": {"ID": task.service_id, "Name": task.service_name, "Labels": dict(needs.service.get("Labels") or {})},
        "Node": {
            "ID": task.node_id,
            "Hostname": str(needs.node.get("Hostname") or ""),
            "Platform": {"Architecture": str(platform.get("Architecture") or ""), "OS": str(platform.get("OS") or "")},
        },
        "Task": {"ID": task.id, "Name": task.name, "Slot": str(task.slot or task.node_id)},
    }


def fill(text: str, known: Mapping[str, Any]) -> str:
    """A text with its placeholders replaced. Raises InvalidArgument."""
    return Template(text).render(dict(known), missing="error") if "{{" in text else text


def check(service: Mapping[str, Any]) -> None:
    """Whether the placeholders of a service's spec can be filled in. Raises InvalidArgument as swarmkit words it."""
    container = service["TaskTemplate"]["ContainerSpec"]
    known = {
        "Service": {"ID": "", "Name": str(service["Name"]), "Labels": dict(service.get("Labels") or {})},
        "Node": {"ID": "", "Hostname": "", "Platform": {"Architecture": "", "OS": ""}},
        "Task": {"ID": "", "Name": "", "Slot": ""},
    }

    def attempt(text: str, what: str) -> None:
        if "{{" not in text:
            return
        try:
            Template(text).render(known, missing="error", kind="*template.Context")
        except InvalidArgument as error:
            reason = error.message.removeprefix("template parsing error: ")
            reason = reason.replace("template: :", "template: expansion:", 1).replace('executing ""', 'executing "expansion"', 1)
            raise invalid(f"{what}: {reason}") from None

    attempt(str(container.get("Hostname") or ""), "expanding hostname failed")
    for row in container.get("Mounts") or ():
        for key in ("Source", "Target"):
            text = str(row.get(key) or "")
            attempt(text, f'expanding mounts failed: expanding mount {key.lower()} "{text}"')
    for line in container.get("Env") or ():
        attempt(str(line), f'expanding env failed: expanding env "{line}"')


def fill_payload(data: bytes, known: Mapping[str, Any], task: Task, needs: Dependencies, env: Mapping[str, str]) -> bytes:
    """The content of a secret or config whose template driver is golang; it may name other secrets and configs of the task, and `env`."""
    container = task.spec.get("ContainerSpec") or {}

    def named(rows: Any, key: str, stored: Mapping[str, tuple[str, bytes]]) -> Any:
        def look(target: str) -> str:
            for row in rows or ():
                file = row.get("File") or {}
                if target in (file.get("Name"), row.get(key.replace("ID", "Name"))):
                    found = stored.get(str(row.get(key)))
                    if found is not None:
                        return found[1].decode("utf-8", "replace")
            raise InvalidArgument(f"{key.removesuffix('ID').lower()} target {target} not found")

        return look

    functions = {
        "secret": named(container.get("Secrets"), "SecretID", needs.secrets),
        "config": named(container.get("Configs"), "ConfigID", needs.configs),
        "env": lambda name: env.get(name, ""),
    }
    return Template(data.decode("utf-8"), functions).render(dict(known), missing="error").encode()

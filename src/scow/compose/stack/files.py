"""Stack files read: the loader's stack dialect, what docker's stacks ignore or refuse, and the checks of references. Called by `deploy.py`
and `diff.py`."""

from __future__ import annotations

from scow.cli.command import ExitCode
from scow.compose.load.errors import LoadError
from scow.compose.load.loader import load
from scow.compose.load.options import LoadOptions
from scow.compose.records import columns
from scow.compose.stack.convert import service_labels
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.compose.model.project import Project
    from scow.compose.model.service import Service


IGNORED = (
    *("build", "cgroup_parent", "devices", "domainname", "external_links", "ipc", "links", "mac_address", "network_mode", "pid"),
    *("privileged", "restart", "security_opt", "shm_size", "userns_mode"),
)
DEPRECATED = {
    "container_name": "Setting the container name is not supported.",
    "expose": "Exposing ports is unnecessary - services on the same network can access each other's containers on any port.",
}
REFUSED = {
    "volume_driver": "Instead of setting the volume driver on the service, define a volume using the top-level `volumes` option and "
    "specify the driver there.",
    "volumes_from": "To share a volume between services, define it using the top-level `volumes` option and reference it from each service "
    "that shares it using the service-level `volumes` option.",
    "cpu_quota": "Set resource limits using deploy.resources",
    "cpu_shares": "Set resource limits using deploy.resources",
    "cpuset": "Set resource limits using deploy.resources",
    "mem_limit": "Set resource limits using deploy.resources",
    "memswap_limit": "Set resource limits using deploy.resources",
}


def project(cli: Cli, files: list[str], interpolate: bool = True) -> Project:
    """The project of stack files. Raises ScowError."""
    if not files:
        raise ScowError("Specify a Compose file (with --compose-file)")
    options = LoadOptions(
        files=tuple(files),
        project_name="stack",
        environ=cli.environ(),
        dialect="stack",
        consistency=False,
        interpolate=interpolate,
        resolve_environment=interpolate,
    )
    try:
        found = load(options)
    except LoadError as exc:
        raise ExitCode(1, str(exc)) from None
    for name, service in found.services.items():
        wrong = _wrong(found, service)
        if wrong:
            raise ScowError(f"service {name}: {wrong}")
        if interpolate:
            service_labels(service)
    return found


def _wrong(found: Project, service: Service) -> str:
    """What can't be in a stack; "" where all is well."""
    refused = [name for name in REFUSED if _given(service, name)]
    if refused:
        lines = "\n".join(f"{name}: {REFUSED[name]}" for name in refused)
        return f"Compose file contains unsupported options:\n\n{lines}"
    if not service.image:
        return "invalid image reference: no image specified"
    for network in service.networks:
        if network != "default" and network not in found.networks:
            return f'undefined network "{network}"'
    for kind, used, there in (("secret", service.secrets, found.secrets), ("config", service.configs, found.configs)):
        for one in used:
            if one.source not in there:
                return f'undefined {kind} "{one.source}"'
    for mount in service.volumes:
        if mount.type == "volume" and mount.source and mount.source not in found.volumes:
            return f'undefined volume "{mount.source}"'
    return ""


def _given(service: Service, name: str) -> bool:
    return bool(getattr(service, name))


def warnings(found: Project) -> str:
    """What is said of options that stacks do not know."""
    known = {name for name, _, _ in columns(type(next(iter(found.services.values()))))} if found.services else set()
    ignored = sorted({name for service in found.services.values() for name in IGNORED if name in known and _given(service, name)})
    old = sorted({name for service in found.services.values() for name in DEPRECATED if _given(service, name)})
    text = f"Ignoring unsupported options: {', '.join(ignored)}\n\n" if ignored else ""
    if old:
        text += "Ignoring deprecated options:\n\n" + "".join(f"{name}: {DEPRECATED[name]}\n\n" for name in old)
    return text

"""Whether a project holds together: references that lead somewhere, attributes that don't contradict, no dependency in a circle; and
warnings for what a single engine can't do. The sentences are the plugin's. Called by `loader.py`; errors are BadValue."""

from __future__ import annotations

from scow.compose.load.errors import BadValue
from scow.compose.model.project import Project
from scow.compose.model.service import Service

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterator

    Path = tuple[str, ...]


def check(project: Project) -> None:
    """Raises BadValue for the first thing that does not hold."""
    names: dict[str, str] = {}
    for name, service in project.services.items():
        here: Path = ("services", name)
        for path, message in _problems(project, name, service):
            raise BadValue((*here, *path), message)
        if service.container_name:
            other = names.setdefault(service.container_name, name)
            if other != name:
                message = f'services.{name}: container name "{service.container_name}" is already in use by service {other}'
                raise BadValue((*here, "container_name"), message)
    for name, secret in project.secrets.items():
        if not (secret.external or secret.file or secret.environment or secret.driver):
            raise BadValue(("secrets", name), f'secret "{name}" must declare either `file` or `environment`')
    _check_cycles(project)


def _problems(project: Project, name: str, service: Service) -> Iterator[tuple[Path, str]]:
    yield from _image(project, name, service)
    yield from _references(project, name, service)
    yield from _contradictions(name, service)
    yield from _mounts(name, service)


def _image(project: Project, name: str, service: Service) -> Iterator[tuple[Path, str]]:
    build = service.build
    if build is None:
        if not service.image and service.provider is None:
            yield (), f'service "{name}" has neither an image nor a build context specified'
        return
    if build.dockerfile_inline and build.dockerfile:
        yield ("build",), f'service "{name}" declares mutualy exclusive dockerfile and dockerfile_inline'
    if build.platforms and service.platform and service.platform not in build.platforms:
        yield ("build", "platforms"), f'service.build.platforms MUST include service.platform "{service.platform}"'
    for key, context in build.additional_contexts.items():
        target = context.removeprefix("service:")
        if target != context:
            other = project.services.get(target)
            if other is None:
                yield ("build", "additional_contexts"), f'service "{name}" declares unknown service "{target}" as additional contexts {key}'
            elif other.build is None:
                yield (
                    ("build", "additional_contexts"),
                    f'service "{name}" declares non-buildable service "{target}" as additional contexts {key}',
                )
    for secret in build.secrets:
        if secret.source not in project.secrets:
            yield ("build", "secrets"), f'service "{name}" refers to undefined build secret {secret.source}'


def _references(project: Project, name: str, service: Service) -> Iterator[tuple[Path, str]]:
    if service.network_mode and service.networks:
        yield ("network_mode",), f"service {name} declares mutually exclusive `network_mode` and `networks`"
    for network in service.networks:
        if network not in project.networks:
            yield ("networks", network), f'service "{name}" refers to undefined network {network}'
    for other, dependency in service.depends_on.items():
        if other not in project.services and not (other in project.disabled and not dependency.required):
            yield ("depends_on", other), f'service "{name}" depends on undefined service "{other}"'
    shared = service.network_mode.removeprefix("service:")
    if shared != service.network_mode and shared not in project.services:
        yield ("network_mode",), f"service \"{shared}\" not found for network_mode 'service:{shared}'"
    for index, mount in enumerate(service.volumes):
        if mount.type == "volume" and mount.source and mount.source not in project.volumes:
            yield ("volumes", str(index)), f'service "{name}" refers to undefined volume {mount.source}'
    for kind, uses, there in (("config", service.configs, project.configs), ("secret", service.secrets, project.secrets)):
        for index, use in enumerate(uses):
            if use.source not in there:
                yield (f"{kind}s", str(index)), f'service "{name}" refers to undefined {kind} {use.source}'
    for key in service.models:
        if key not in project.models:
            yield ("models", key), f'service "{name}" refers to undefined model {key}'


def _contradictions(name: str, service: Service) -> Iterator[tuple[Path, str]]:
    where = f"services.{name}"
    health = service.healthcheck
    if health and health.test and health.test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        yield ("healthcheck", "test"), 'healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"'
    deploy = service.deploy
    if service.scale is not None and service.scale < 0:
        yield ("scale",), f"{where}.scale: must be greater than or equal to 0"
    if deploy:
        if deploy.replicas is not None and deploy.replicas < 0:
            yield ("deploy", "replicas"), f"{where}.deploy.replicas: must be greater than or equal to 0"
        if service.scale is not None and deploy.replicas is not None and service.scale != deploy.replicas:
            yield ("scale",), f"{where}: can't set distinct values on 'scale' and 'deploy.replicas'"
        limits, reservations = deploy.resources.limits, deploy.resources.reservations
        pairs = (
            ("cpus", service.cpus, "limits.cpus", limits.cpus if limits else None),
            ("mem_limit", service.mem_limit, "limits.memory", limits.memory if limits else None),
            ("mem_reservation", service.mem_reservation, "reservations.memory", reservations.memory if reservations else None),
            ("pids_limit", service.pids_limit, "limits.pids", limits.pids if limits else None),
        )
        for key, own, other, there in pairs:
            if own and there is not None and own != there:
                yield (key,), f"{where}: can't set distinct values on '{key}' and 'deploy.resources.{other}'"
    if service.replicas > 1 and service.container_name:
        attribute = "deploy.replicas" if service.scale is None else "scale"
        yield ("container_name",), f"services.{name}: can't set container_name and {attribute} as container name must be unique"
    for index, watch in enumerate(service.develop.watch if service.develop else ()):
        if watch.action not in ("rebuild", "restart") and not watch.target:
            yield ("develop", "watch", str(index)), f"{where}.develop.watch: target is required for non-rebuild actions"


def _mounts(name: str, service: Service) -> Iterator[tuple[Path, str]]:
    taken: dict[str, str] = {}
    for index, text in enumerate(service.tmpfs):
        taken.setdefault(text.partition(":")[0], f"services.{name}.tmpfs[{index}]")
    for index, mount in enumerate(service.volumes):
        here = f"services.{name}.volumes[{index}]"
        other = taken.setdefault(mount.target, here)
        if other != here:
            yield ("volumes", str(index)), f"{here}: target {mount.target} already mounted as {other}"


def _check_cycles(project: Project) -> None:
    done: set[str] = set()
    for start in project.services:
        trail: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(_needed(project, start)))] if start not in done else []
        if stack:
            trail.append(start)
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                done.add(name)
            elif following in trail:
                circle = [*trail[trail.index(following) :], following]
                raise BadValue(("services", following, "depends_on", circle[1]), f"dependency cycle detected: {' -> '.join(circle)}")
            elif following not in done:
                trail.append(following)
                stack.append((following, iter(_needed(project, following))))


def _needed(project: Project, name: str) -> list[str]:
    return [other for other in project.services[name].depends_on if other in project.services]


# ---------------------------------------------------------------- what no engine does

_IGNORED = (
    ("credential_spec", "Windows only"),
    ("isolation", "Windows only"),
    ("cpu_count", "Windows only"),
    ("cpu_percent", "Windows only"),
    ("volume_driver", "volumes name their driver at the top level"),
)


def warnings(project: Project) -> list[str]:
    """Sentences about what is written but does nothing on one Linux engine."""
    found = []
    for name, service in project.services.items():
        for key, why in _IGNORED:
            if getattr(service, key):
                found.append(f"services.{name}.{key} has no effect on Linux engines: {why}")
        deploy = service.deploy
        if deploy is None:
            continue
        if deploy.mode.endswith("-job"):
            found.append(f"services.{name}.deploy.mode {deploy.mode} is for a swarm: the service runs as any other")
        for key in ("placement", "update_config", "rollback_config", "endpoint_mode"):
            value = getattr(deploy, key)
            if value and value != type(value)():
                found.append(f"services.{name}.deploy.{key} is for a swarm and has no effect on one engine")
    return found

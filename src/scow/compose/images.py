"""Images of services: which are there, which must be fetched or built before containers can be made. Called by `commands/`."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scow.cli.command import ExitCode
from scow.client.api import image_path, json_values
from scow.client.transport import ApiError
from scow.compose import create, labels
from scow.compose.project import Build, Project, Service
from scow.errors import ScowError
from scow.reference import Reference

if TYPE_CHECKING:
    from scow.compose.commands.session import Session

BUILD_FAILED, PULL_FAILED = 17, 18  # exit statuses
AT_ONCE = 8


class PullFailed(ScowError):
    """An image can't be had."""

    code = PULL_FAILED


@dataclass(slots=True)
class Found:
    """What the engine has: name -> image ID, name -> the paths that the image declares as volumes."""

    ids: dict[str, str] = field(default_factory=dict)
    volumes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def look(session: Session, names: Iterable[str], found: Found) -> None:
    """Asks the engine about images."""
    for name in names:
        try:
            facts: Any = session.client.get(image_path(name, "json"))
        except ApiError as exc:
            if exc.status != 404:
                raise
            continue
        found.ids[name] = str(facts.get("Id") or "")
        found.volumes[name] = tuple(((facts.get("Config") or {}).get("Volumes")) or {})


def ensure(
    session: Session,
    project: Project,
    build: bool = False,
    no_build: bool = False,
    pull: str = "",
    quiet: bool = False,
) -> Found:
    """Fetches and builds what is missing, or asked for by `pull` (always, missing, never, build; "" leaves it to the files) and `build`.
    Raises ScowError and ExitCode."""
    names = {create.image_name(project, service, session.separator): service for service in project.services.values()}
    found = Found()
    look(session, names, found)
    fetch: list[tuple[str, Service]] = []
    make: list[Service] = []
    for name, service in names.items():
        policy = pull if pull not in ("", "policy") else service.pull_policy
        here = name in found.ids
        if service.build and not no_build and (build or policy == "build"):
            make.append(service)
        elif policy == "never" and not here and not service.build:
            raise ScowError(f"Error response from daemon: No such image: {name}")
        elif service.image and ((policy == "always" and not service.build) or (not here and policy not in ("never", "build"))):
            fetch.append((name, service))
        elif not here and service.build:
            make.append(service)
    if session.dry:
        for name, _ in fetch:
            session.would(f"pull image {name}: it is not there" if name not in found.ids else f"pull image {name}: asked for")
        for service in make:
            session.would(f"build image {create.image_name(project, service, session.separator)}")
        return found
    failed = fetch_all(session, fetch, quiet, optional={name for name, service in fetch if service.build and not no_build})
    make += [service for name, service in fetch if name in failed]
    if make:
        unbuilt = [service for service in make if no_build]
        if unbuilt:
            raise ScowError(
                f"No such image: {create.image_name(project, unbuilt[0], session.separator)}, and --no-build forbids building it"
            )
        build_all(session, project, make, quiet=session.environ.get("COMPOSE_PROGRESS") == "quiet")
    changed = [name for name, _ in fetch] + [create.image_name(project, service, session.separator) for service in make]
    if changed:
        look(session, changed, found)
    return found


# ---------------------------------------------------------------- pull


def fetch_all(session: Session, wanted: list[tuple[str, Service]], quiet: bool = False, optional: set[str] | None = None) -> set[str]:
    """Pulls images side by side; the names of the optional ones that could not be had. Raises the first error of the others."""
    failed: set[str] = set()
    errors: list[ScowError] = []
    todo = list(reversed(wanted))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not todo:
                    return
                name, service = todo.pop()
            try:
                pull_one(session, name, service, quiet)
            except (ScowError, OSError) as exc:
                if optional and name in optional:
                    failed.add(name)
                    continue
                errors.append(exc if isinstance(exc, ScowError) else ScowError(str(exc)))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(len(wanted), AT_ONCE))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return failed


def pull_one(session: Session, name: str, service: Service, quiet: bool = False) -> None:
    """Pulls an image with the user's credentials. Raises ScowError."""
    from scow.cli import credentials

    reference = Reference.parse(name).tagged()
    progress = session.progress
    progress.event(service.name, "Pulling")
    platform = service.platform or session.environ.get("DOCKER_DEFAULT_PLATFORM")
    params = {"fromImage": reference.name, "tag": reference.digest or reference.tag, "platform": platform or None}
    try:
        with session.dial().call("POST", "/images/create", params, headers=credentials.headers(session.cli, reference.domain)) as response:
            for line in json_values(response.iterate()):
                error = line.get("error") or (line.get("errorDetail") or {}).get("message")
                if error:
                    raise ScowError(str(error))
                if not quiet:
                    progress.part(service.name, line)
    except ScowError as exc:
        progress.event(service.name, "Error", exc.message, True, True)
        raise PullFailed(
            exc.message if exc.message.startswith("Error response") else f"Error response from daemon: {exc.message}"
        ) from None
    progress.event(service.name, "Pulled", "", True)


def push_one(session: Session, name: str, service: Service) -> None:
    """Pushes an image with the user's credentials. Raises ScowError."""
    from scow.cli import credentials

    reference = Reference.parse(name).tagged()
    progress = session.progress
    progress.event(f"{service.name}", "Pushing", reference.familiar())
    with session.dial().call(
        "POST",
        image_path(reference.familiar_name, "push"),
        {"tag": reference.tag},
        headers=credentials.headers(session.cli, reference.domain),
    ) as response:
        for line in json_values(response.iterate()):
            error = line.get("error") or (line.get("errorDetail") or {}).get("message")
            if error:
                progress.event(service.name, "Error", "", True, True)
                raise ScowError(str(error))
            progress.part(service.name, line)
    progress.event(service.name, "Pushed", "", True)


# ---------------------------------------------------------------- build


def in_order(project: Project, services: Iterable[Service]) -> list[Service]:
    """Services so that whose image is a context of another's build comes first. Raises ScowError for a circle."""
    wanted = {service.name: service for service in services}
    done: dict[str, Service] = {}

    def visit(service: Service, chain: tuple[str, ...]) -> None:
        if service.name in done:
            return
        if service.name in chain:
            raise ScowError(f"build contexts in a circle: {' -> '.join([*chain, service.name])}")
        for value in (service.build or Build()).additional_contexts.values():
            other = project.services.get(value.removeprefix("service:")) if value.startswith("service:") else None
            if other is not None and other.build:
                visit(other, (*chain, service.name))
        done[service.name] = service

    for service in wanted.values():
        visit(service, ())
    return list(done.values())


def build_all(session: Session, project: Project, services: Iterable[Service], quiet: bool = False, **more: Any) -> None:
    """Builds the images of services. Raises ExitCode for a build that failed."""
    from scow.cli import libraries

    libraries.load()
    for service in in_order(project, services):
        if service.build:
            session.end()
            build_one(session, project, service, quiet, **more)


def build_one(
    session: Session,
    project: Project,
    service: Service,
    quiet: bool = False,
    flags: dict[str, Any] | None = None,
) -> None:
    """Builds with `scow build`'s own client. `flags` are its flags, over those of the file."""
    from scow.cli.commands.builder import build as builder
    from scow.cli.flags import Options

    made = service.build
    assert made is not None
    given = {**_flags(session, project, service, made), **(flags or {})}
    mode = session.setting("progress", "COMPOSE_PROGRESS", "auto")
    given["progress"] = "quiet" if quiet or mode == "quiet" else {"json": "rawjson"}.get(mode, mode)
    if given["progress"] == "auto" and session.ansi == "never":
        given["progress"] = "plain"
    values = {flag[0]: list(flag[3]) if isinstance(flag[3], tuple) else flag[3] for flag in builder.BUILD.flags}
    with tempfile.TemporaryDirectory(prefix="scow-compose") as folder:
        if made.dockerfile_inline:
            path = os.path.join(folder, "Dockerfile")
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(made.dockerfile_inline)
            given["file"] = path
        try:
            code = builder.BUILD.run(session.cli, Options({**values, **given}, set(given)), [made.context])
        except ExitCode as exc:
            raise ExitCode(BUILD_FAILED, f"{exc.message}\nservice {service.name}: its image can't be built") from None
        except ScowError as exc:
            raise ExitCode(BUILD_FAILED, f"service {service.name}: {exc.message}") from None
    if code:
        raise ExitCode(BUILD_FAILED, f"service {service.name}: its image can't be built")


def _flags(session: Session, project: Project, service: Service, made: Build) -> dict[str, Any]:
    name = create.image_name(project, service, session.separator)
    marks = {**made.labels, labels.VERSION: labels.SPOKEN, labels.PROJECT: project.name, labels.SERVICE: service.name}
    given: dict[str, Any] = {
        "tag": [name, *made.tags],
        "label": [f"{key}={value}" for key, value in marks.items()],
        "build-arg": _arguments(project, made),
    }
    remote = "://" in made.context or made.context.startswith("git@")
    if made.dockerfile and not made.dockerfile_inline:
        given["file"] = made.dockerfile if remote or os.path.isabs(made.dockerfile) else os.path.join(made.context, made.dockerfile)
    texts = {"target": made.target, "network": made.network, "isolation": made.isolation, "provenance": made.provenance, "sbom": made.sbom}
    lists: dict[str, list[str]] = {
        "cache-from": [_cache(word) for word in made.cache_from],
        "cache-to": list(made.cache_to),
        "no-cache-filter": list(made.no_cache_filter),
        "add-host": [f"{host}:{address}" for host, addresses in made.extra_hosts.items() for address in addresses],
        "secret": [_secret(project, use.source, use.target) for use in made.secrets],
        "ssh": [f"{one.id}={one.path}" if one.path else one.id for one in made.ssh],
        "ulimit": [f"{key}={limit.single or limit.soft}:{limit.single or limit.hard}" for key, limit in made.ulimits.items()],
        "build-context": [f"{key}={_context(session, project, value)}" for key, value in made.additional_contexts.items()],
        "allow": [*made.entitlements, *(["security.insecure"] if made.privileged else [])],
    }
    given |= {key: value for key, value in texts.items() if value}
    given |= {key: value for key, value in lists.items() if value}
    if made.shm_size:
        given["shm-size"] = made.shm_size
    platforms = [service.platform] if service.platform and not made.platforms else list(made.platforms)
    platform = session.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    if platforms or platform:
        given["platform"] = ",".join(platforms) or platform
    given |= {key: True for key, value in (("no-cache", made.no_cache), ("pull", made.pull)) if value}
    return given


def _arguments(project: Project, made: Build) -> list[str]:
    found = []
    for name, value in made.args.items():
        if value is None:
            value = project.environment.get(name)
        if value is not None:
            found.append(f"{name}={value}")
    return found


def _cache(word: str) -> str:
    return word


def _secret(project: Project, source: str, target: str) -> str:
    one = project.secrets.get(source)
    if one is None or one.external:
        raise ScowError(f"build.secrets only supports environment or file-based secrets: {source}")
    name = target or source
    return f"id={name},env={one.environment}" if one.environment else f"id={name},src={one.file}"


def _context(session: Session, project: Project, value: str) -> str:
    if not value.startswith("service:"):
        return value
    other = project.services.get(value.removeprefix("service:"))
    if other is None:
        raise ScowError(f"additional_contexts: no such service: {value.removeprefix('service:')}")
    return f"docker-image://{create.image_name(project, other, session.separator)}"

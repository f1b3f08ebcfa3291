"""Builds of services' images, by the client of `scow build`: side by side, each with a session of its own with the engine, what another's
build starts from before it; all shown in one display. Called by `images.py`, `watching` and `commands/`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from scow.cli.command import ExitCode
from scow.compose import create, labels
from scow.compose.model.build import Build
from scow.compose.model.project import Project
from scow.compose.model.service import Service
from scow.compose.records import record
from scow.errors import ScowError
from scow.reference import Reference

if TYPE_CHECKING:
    from scow.cli.flags import Options
    from scow.compose.session import Session

BUILD_FAILED = 17  # exit status
MAX_DOCKERFILE = 1 << 20
_NAMES_IMAGE = re.compile(r"^\s*(?:FROM\s+(?:--\S+\s+)*|(?:COPY|ADD)\s+(?:--\S+\s+)*?--from=|RUN\s+.*?from=)([^\s,]+)", re.IGNORECASE)
_ARGUMENT = re.compile(r"^\s*ARG\s+(\w+)=(\S+)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")


@record(frozen=True, slots=True, kw_only=True)
class Job:
    """A build: `after` are the services whose images it needs."""

    service: Service
    after: frozenset[str]


def plan(project: Project, services: Iterable[Service], separator: str = "-") -> list[Job]:
    """The builds of services and of those whose images they take as contexts, what is needed first. Raises ScowError for a circle."""
    wanted = {service.name: service for service in services if service.build}
    found: dict[str, Job] = {}

    def visit(service: Service, chain: tuple[str, ...]) -> None:
        if service.name in found:
            return
        if service.name in chain:
            raise ScowError(f"build contexts in a circle: {' -> '.join([*chain, service.name])}")
        after = set()
        for value in (service.build or Build()).additional_contexts.values():
            other = project.services.get(value.removeprefix("service:")) if value.startswith("service:") else None
            if other is not None and other.build:
                visit(other, (*chain, service.name))
                after.add(other.name)
        images = named_images(service)
        for other in wanted.values() if images else ():
            if other.name in (*chain, service.name) or not _tags(project, other, separator) & images:
                continue
            visit(other, (*chain, service.name))
            after.add(other.name)
        found[service.name] = Job(service=service, after=frozenset(after))

    for service in wanted.values():
        visit(service, ())
    return list(found.values())


def _tags(project: Project, service: Service, separator: str) -> set[str]:
    return {_whole(name) for name in (create.image_name(project, service, separator), *(service.build.tags if service.build else ()))}


def _whole(name: str) -> str:
    try:
        return Reference.parse(name).tagged().familiar()
    except ScowError:
        return name


def named_images(service: Service) -> set[str]:
    """The images that a service's Dockerfile starts from or copies out of, where that can be read here: only the order of builds hangs on
    it, so what is not seen is no error."""
    build = service.build
    assert build is not None
    text = build.dockerfile_inline
    if not text:
        try:
            with open(os.path.join(build.context, build.dockerfile or "Dockerfile"), encoding="utf-8", errors="replace") as file:
                text = file.read(MAX_DOCKERFILE)
        except (OSError, ValueError):
            return set()
    values: dict[str, str] = {}
    found = set()
    for line in text.splitlines():
        if (argument := _ARGUMENT.match(line)) is not None:
            values.setdefault(argument[1], argument[2].strip("\"'"))
        elif (match := _NAMES_IMAGE.match(line)) is not None:
            given = {**values, **{key: value for key, value in build.args.items() if value}}
            found.add(_whole(_VARIABLE.sub(lambda one, given=given: given.get(one[1] or one[2]) or one[3] or "", match[1])))
    return found


def build_all(
    session: Session, project: Project, services: Iterable[Service], quiet: bool = False, flags: dict[str, Any] | None = None
) -> None:
    """Builds the images of services; `flags` are those of `scow build`, over those of the file. Raises ExitCode for a build that failed:
    then the others are ended."""
    from scow.cli import libraries
    from scow.cli.commands.builder.build import classic_asked

    libraries.load()
    jobs = plan(project, services, session.separator)
    session.end()
    if len(jobs) > 1 and session.parallel > 1 and not classic_asked(session.cli) and not (flags or {}).get("check"):
        _side_by_side(session, project, jobs, quiet, flags or {})
        return
    for job in jobs:
        _alone(session, project, job.service, quiet, flags or {})


def _alone(session: Session, project: Project, service: Service, quiet: bool, flags: dict[str, Any]) -> None:
    from scow.cli.commands.builder import build as builder

    with _failing(service), _options(session, project, service, quiet, flags) as options:
        assert service.build is not None
        code = builder.BUILD.run(session.cli, options, [service.build.context])
        if code:
            raise ExitCode(BUILD_FAILED, "")


def _side_by_side(session: Session, project: Project, jobs: list[Job], quiet: bool, flags: dict[str, Any]) -> None:
    from scow.cli.commands.builder import buildkit, display
    from scow.cli.commands.builder.plan import Plan
    from scow.compose.display.builds import Part

    mode = _mode(session, quiet)
    shown = display.make(mode, mode == "quiet")

    async def build(job: Job) -> None:
        service = job.service
        with _failing(service), ExitStack() as stack:
            options = stack.enter_context(_options(session, project, service, quiet, flags))
            assert service.build is not None
            what = await asyncio.to_thread(Plan, session.cli, options, service.build.context, stack)
            if await buildkit.Build(session.cli, options, what, Part(service.name, shown)).run():
                raise ExitCode(BUILD_FAILED, "")

    async def all_of_them() -> None:
        limit = asyncio.Semaphore(session.parallel)
        done = {job.service.name: asyncio.Event() for job in jobs}

        async def one(job: Job) -> None:
            for name in job.after:
                await done[name].wait()
            async with limit:
                await build(job)
            done[job.service.name].set()

        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(one(job))

    try:
        asyncio.run(all_of_them())
    except BaseExceptionGroup as several:
        error: BaseException = several
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        shown.end()
        raise error from None
    except BaseException:
        shown.end()
        raise
    shown.end()
    if mode != "quiet":
        session.cli.err(shown.warned())


@contextlib.contextmanager
def _failing(service: Service) -> Iterator[None]:
    """Errors of a build say of which service. Raises ExitCode."""
    try:
        yield
    except ExitCode as exc:
        message = f"{exc.message}\n" if exc.message else ""
        raise ExitCode(BUILD_FAILED, f"{message}service {service.name}: its image can't be built") from None
    except ScowError as exc:
        raise ExitCode(BUILD_FAILED, f"service {service.name}: {exc.message}") from None


def _mode(session: Session, quiet: bool) -> str:
    mode = session.setting("progress", "COMPOSE_PROGRESS", "auto")
    mode = "quiet" if quiet or mode == "quiet" else {"json": "rawjson"}.get(mode, mode)
    return "plain" if mode == "auto" and session.ansi == "never" else mode


@contextlib.contextmanager
def _options(session: Session, project: Project, service: Service, quiet: bool, flags: dict[str, Any]) -> Iterator[Options]:
    """The command line of `scow build` that is meant. An inline Dockerfile lies in a folder until the end."""
    from scow.cli.commands.builder import build as builder
    from scow.cli.flags import Options

    made = service.build
    assert made is not None
    given = {**_flags(session, project, service, made), **flags, "progress": _mode(session, quiet)}
    values = {flag[0]: list(flag[3]) if isinstance(flag[3], tuple) else flag[3] for flag in builder.BUILD.flags}
    with tempfile.TemporaryDirectory(prefix="scow-compose") as folder:
        if made.dockerfile_inline:
            path = os.path.join(folder, "Dockerfile")
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(made.dockerfile_inline)
            given["file"] = path
        yield Options({**values, **given}, set(given))


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
        "cache-from": list(made.cache_from),
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

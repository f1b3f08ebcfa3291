"""Images of services: which are there, which must be fetched or built before containers are made; pull, push. Called by `commands/`."""

from __future__ import annotations

import threading

from scow.client.api import image_path, json_values
from scow.client.transport import ApiError
from scow.compose import create
from scow.compose.model.project import Project
from scow.compose.model.service import Service
from scow.compose.records import field, record
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from scow.compose.session import Session

PULL_FAILED = 18  # exit status
AT_ONCE = 8
PULLS = ("", "policy", "always", "missing", "if_not_present", "never", "build")


class PullFailed(ScowError):
    """An image can't be had."""

    code = PULL_FAILED


@record(slots=True)
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
    if pull not in PULLS:
        raise ScowError(f'invalid --pull option "{pull}": use always, missing, never or build')
    names: dict[str, Service] = {}  # image -> who can build it, else who uses it
    for service in project.services.values():
        name = create.image_name(project, service, session.separator)
        if service.build or name not in names:
            names[name] = service
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
        for name, service in fetch:
            either = ", or build it" if service.build and not no_build else ""
            session.would(f"pull image {name}{either}: {'asked for' if name in found.ids else 'it is not there'}")
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
        from scow.compose import building

        building.build_all(session, project, make, quiet=session.environ.get("COMPOSE_PROGRESS") == "quiet")
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

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(len(wanted), AT_ONCE, session.parallel))]
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
    from scow.reference import Reference

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
    from scow.reference import Reference

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

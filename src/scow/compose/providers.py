"""Services of a `provider:`: not containers, but what a program of this machine makes (`PROGRAM compose --project-name=P up --OPTION=…
SERVICE`), and releases (`down`) or halts (`stop`). The program tells by JSON lines how it goes and which variables those get that depend
on the service. The protocol is the compose plugin's. Called by `commands/`."""

from __future__ import annotations

from collections.abc import Iterable

from scow import fastjson
from scow.compose import programs
from scow.compose.model.service import Provider, Service
from scow.compose.reconcile import order
from scow.compose.records import replace
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.compose.model.project import Project
    from scow.compose.session import Session

MAX_VARIABLES = 1000
_WORDS = {"up": ("Creating", "Created"), "down": ("Removing", "Removed"), "stop": ("Stopping", "Stopped")}


def of(project: Project) -> list[Service]:
    """The services that providers make, what others depend on first."""
    if not any(service.provider for service in project.services.values()):
        return []
    return [project.services[name] for name in order(project.services) if project.services[name].provider]


def up(session: Session, project: Project) -> Project:
    """Has providers make their services. The project without these, but with the variables that they gave to services that depend on them.
    Raises ScowError."""
    found = of(project)
    if not found:
        return project
    services = dict(project.services)
    for one in found:
        assert one.provider is not None
        service = services.pop(one.name)
        if session.would(f"have {one.provider.type} provide service {one.name}"):
            continue
        prefixed, plain = run(session, project, service, "up")
        given = {**{f"{one.name.upper()}_{key}": value for key, value in prefixed.items()}, **plain}
        for name, other in services.items():
            if one.name not in other.depends_on:
                continue
            for key in plain:
                if other.environment.get(key, plain[key]) != plain[key]:
                    session.warn(f'provider "{one.name}" overrides environment variable "{key}" in service "{name}"')
            services[name] = replace(other, environment={**other.environment, **given})
    session.end()
    return project.with_services(services)


def down(session: Session, project: Project | None, verb: str = "down", names: Iterable[str] = ()) -> int:
    """Has providers release (`down`) or halt (`stop`) their services, dependents first; how many did. Raises ScowError."""
    wanted = set(names)
    count = 0
    for one in reversed(of(project)) if project else ():
        assert one.provider is not None and project is not None
        if wanted and one.name not in wanted:
            continue
        count += 1
        if not session.would(f"have {one.provider.type} {'release' if verb == 'down' else verb} service {one.name}"):
            run(session, project, one, verb)
    session.end()
    return count


def run(session: Session, project: Project, service: Service, verb: str) -> tuple[dict[str, str], dict[str, str]]:
    """Runs a provider's verb; (variables to be prefixed with the service's name, variables as they are). Raises ScowError."""
    provider = service.provider
    assert provider is not None
    path = "" if provider.type == "compose" else programs.find(session, provider.type)
    if not path:
        raise ScowError(
            f"service {service.name}: no provider {provider.type!r}: it is neither a plugin (docker-{provider.type}) nor a program in PATH"
        )
    env = programs.environment(session, project)
    words = arguments(provider, metadata(path, env), verb)
    if words is None:
        return {}, {}
    begins, ends = _WORDS[verb]
    session.progress.event(service.name, begins)
    prefixed: dict[str, str] = {}
    plain: dict[str, str] = {}
    said = programs.lines(path, ["compose", f"--project-name={project.name}", verb, *words, service.name], env)
    try:
        for line in said:
            kind, text = _message(provider, line)
            if kind == "info":
                session.progress.event(service.name, text.partition("\n")[0][:200])
            elif kind == "error":
                raise ScowError(f"service {service.name}: {text}")
            elif kind in ("setenv", "rawsetenv"):
                name, sep, value = text.partition("=")
                if not sep or not name or len(prefixed) + len(plain) >= MAX_VARIABLES:
                    raise ScowError(f"service {service.name}: provider {provider.type} gives no variable: {text[:200]!r} is no NAME=value")
                (prefixed if kind == "setenv" else plain)[name] = value
            elif kind == "debug":
                if session.given.flag("verbose"):
                    session.cli.err(f"{service.name}: {text}\n")
            else:
                raise ScowError(f"service {service.name}: invalid response from provider {provider.type}: {kind or line[:200]}")
    except ScowError as exc:
        session.progress.event(service.name, "Error", exc.message.partition("\n")[0], True, True)
        raise
    finally:
        said.close()
    session.progress.event(service.name, ends, "", True)
    return prefixed, plain


def _message(provider: Provider, line: str) -> tuple[str, str]:
    try:
        found = fastjson.loads(line)
    except ValueError:
        raise ScowError(f"provider {provider.type}: its answer is no JSON: {line[:200]!r}") from None
    if not isinstance(found, dict):
        return "", ""
    return str(found.get("type") or ""), str(found.get("message") or "")


def metadata(path: str, env: dict[str, str]) -> dict[str, Any]:
    """What a provider says of its verbs and their parameters; {} for one that says nothing."""
    try:
        found = fastjson.loads(programs.output(path, ["compose", "metadata"], env))
    except (ScowError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def arguments(provider: Provider, facts: dict[str, Any], verb: str) -> list[str] | None:
    """A verb's options: those that the provider knows (all, where it tells of none); None for a `stop` that it does not have. Raises
    ScowError for one that must be given."""
    if verb == "stop" and not isinstance(facts.get("stop"), dict):
        return None
    told = any(facts.get(key) for key in ("description", "up", "down"))
    block = facts.get(verb)
    rows = block.get("parameters") if isinstance(block, dict) else None
    parameters = {str(one.get("name")): one for one in rows if isinstance(one, dict)} if isinstance(rows, list) else {}
    if told:
        for name, one in parameters.items():
            if one.get("required") and name not in provider.options:
                raise ScowError(f'required parameter "{name}" is missing from provider "{provider.type}" definition')
    return [f"--{name}={value}" for name, values in provider.options.items() if not told or name in parameters for value in values]

"""`models:`: AI models that docker's model runner serves. They are fetched and set up by its plugin (`docker model`), and the services that
use them are told by variables where they are. Called by `commands/preparing.py` and its like."""

from __future__ import annotations

from scow import fastjson
from scow.cli import plugins
from scow.compose import programs
from scow.compose.model.project import Model, Project
from scow.compose.records import replace
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.compose.session import Session


def provide(session: Session, project: Project, quiet: bool = False) -> Project:
    """Fetches and sets up the models that services use; the project with the variables that tell of them. Raises ScowError."""
    used = dict.fromkeys(name for service in project.services.values() for name in service.models)
    if not used:
        return project
    if session.dry:
        for name in used:
            session.would(f"set up model {name}")
        return project
    path = plugins.find(session.cli, "model")
    if not path:
        raise ScowError(
            f"models ({', '.join(used)}): 'models' support requires the Docker Model plugin: put docker-model into "
            f"{session.cli.config_dir}/cli-plugins"
        )
    env = programs.environment(session, project)
    here = {tag for one in _json(path, ["ls", "--json"], env, list) if isinstance(one, dict) for tag in one.get("tags") or []}
    for name in used:
        _set_up(session, path, env, name, project.models[name], here, quiet)
    session.end()
    endpoint = str(_json(path, ["status", "--json"], env, dict).get("endpoint") or "")
    services = dict(project.services)
    for key, service in services.items():
        told = {}
        for name, use in service.models.items():
            prefix = name.upper().replace("-", "_")
            told[(use.model_var if use else "") or f"{prefix}_MODEL"] = project.models[name].model
            told[(use.endpoint_var if use else "") or f"{prefix}_URL"] = endpoint
        if told:
            services[key] = replace(service, environment={**service.environment, **told})
    return project.with_services(services)


def _set_up(session: Session, path: str, env: dict[str, str], name: str, model: Model, here: set[str], quiet: bool) -> None:
    progress = session.progress
    try:
        if model.model not in here:
            progress.event(name, "Pulling")
            for line in programs.lines(path, ["pull", model.model], env):
                if not quiet:
                    progress.event(name, "Pulling", line[-100:])
        progress.event(name, "Configuring")
        words = ["--context-size", str(model.context_size)] if model.context_size > 0 else []
        flags = ["--", *model.runtime_flags] if model.runtime_flags else []
        programs.output(path, ["configure", *words, model.model, *flags], env)
    except ScowError as exc:
        progress.event(name, "Error", exc.message.partition("\n")[0], True, True)
        raise
    progress.event(name, "Configured", "", True)


def _json(path: str, words: list[str], env: dict[str, str], kind: type) -> Any:
    try:
        found = fastjson.loads(programs.output(path, words, env))
    except ValueError:
        found = None
    if not isinstance(found, kind):
        raise ScowError(f"docker model {' '.join(words)}: its answer can't be understood")
    return found

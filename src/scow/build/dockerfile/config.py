"""What instructions do to an image's configuration (Docker's keys). Pure; the classic builder and `convert.py` share it."""

import posixpath
from collections.abc import Iterable
from typing import Any

from scow.build.dockerfile import instructions as lang
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions.base import Command, Instruction
from scow.errors import InvalidArgument
from scow.opts import signals

Config = dict[str, Any]

DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(config: Config) -> dict[str, str]:
    """The variables of a configuration."""
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or [])


def set_env(env: Iterable[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`env` (`NAME=value` entries) with variables set; a known name keeps its place."""
    found = list(env)
    places = {entry.partition("=")[0]: index for index, entry in enumerate(found)}
    for name, value in pairs:
        if name in places:
            found[places[name]] = f"{name}={value}"
        else:
            places[name] = len(found)
            found.append(f"{name}={value}")
    return found


def shell(config: Config) -> list[str]:
    """The words that command lines in shell form are put behind."""
    return list(config.get("Shell") or DEFAULT_SHELL)


def command_line(config: Config, command: Command) -> list[str]:
    """The words of a command line."""
    if not command.shell:
        return list(command.args)
    return [*shell(config), *command.args] if command.args else []


def working_dir(config: Config, path: str) -> str:
    """Where WORKDIR leads from a configuration's directory; `..` ends at the root."""
    joined = posixpath.normpath(posixpath.join("/", str(config.get("WorkingDir") or ""), path))
    return "/" + joined.lstrip("/")


def health(instruction: "lang.Healthcheck") -> Config:
    """HEALTHCHECK as a configuration has it: what was not given is absent."""
    found: Config = {"Test": list(instruction.test)}
    for key, value in (
        ("Interval", instruction.interval),
        ("Timeout", instruction.timeout),
        ("StartPeriod", instruction.start_period),
        ("StartInterval", instruction.start_interval),
        ("Retries", instruction.retries),
    ):
        if value:
            found[key] = value
    return found


def apply(config: Config, one: Instruction, cmd_given: bool = False) -> Config:
    """The configuration behind an expanded instruction; those that change none give it back as it is.

    `cmd_given`: this file has set CMD since its FROM, so ENTRYPOINT leaves it alone. Raises DockerfileError.
    """
    match one:
        case lang.Env(pairs=pairs):
            return {**config, "Env": set_env(config.get("Env") or [], pairs)}
        case lang.Label(pairs=pairs):
            return {**config, "Labels": {**(config.get("Labels") or {}), **dict(pairs)}}
        case lang.Expose():
            return {**config, "ExposedPorts": {**(config.get("ExposedPorts") or {}), **{port: {} for port in one.exposed()}}}
        case lang.Volume(paths=paths):
            return {**config, "Volumes": {**(config.get("Volumes") or {}), **{path: {} for path in paths}}}
        case lang.Workdir(path=path):
            if not path:
                raise DockerfileError("WORKDIR must not be empty", one.start, one.end, "WORKDIR", parsing=False)
            return {**config, "WorkingDir": working_dir(config, path)}
        case lang.User(user=user):
            return {**config, "User": user}
        case lang.StopSignal(signal=signal):
            try:
                signals.parse(signal)
            except InvalidArgument as error:
                raise DockerfileError(error.message, one.start, one.end, "STOPSIGNAL", parsing=False) from None
            return {**config, "StopSignal": signal}
        case lang.Shell(shell=words):
            return {**config, "Shell": list(words)}
        case lang.Healthcheck():
            return {**config, "Healthcheck": health(one)}
        case lang.Onbuild(expression=expression):
            return {**config, "OnBuild": [*(config.get("OnBuild") or []), expression]}
        case lang.Cmd(command=command):
            return {**config, "Cmd": command_line(config, command)}
        case lang.Entrypoint(command=command):
            changed = {**config, "Entrypoint": command_line(config, command) or None}
            if not cmd_given:
                changed["Cmd"] = None
            return changed
        case _:
            return config

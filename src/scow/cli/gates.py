"""What an engine must be for a command or a flag: an API version, experimental features, Windows. Docker's table; asked before the
command runs, so that an older engine refuses a flag instead of silently not knowing it. Imported only where it may matter."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.errors import ScowError

_SERVICE = ("service create", "service update")
_RUN = ("container create", "container run")
COMMANDS: dict[str, str] = {
    **{f"{noun} prune": "1.25" for noun in ("container", "image", "network", "volume", "system")},
    "system df": "1.25",
    "volume update": "1.42",
    "builder prune": "1.39",
}
PLUGINS, CHECKPOINTS = ("plugin ", "1.25"), ("checkpoint ", "1.25")

# (flag, version, commands)
_FLAGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("all", "1.42", ("volume prune",)),
    ("annotation", "1.43", _RUN),
    ("attachable", "1.25", ("network create",)),
    ("availability", "1.42", ("volume create", "volume update")),
    ("cgroupns", "1.41", _RUN),
    ("cluster", "1.42", ("volume ls",)),
    ("config-from", "1.30", ("network create",)),
    ("config-only", "1.30", ("network create",)),
    ("cpu-rt-period", "1.25", (*_RUN, "container update")),
    ("cpu-rt-runtime", "1.25", (*_RUN, "container update")),
    ("cpus", "1.25", _RUN),
    ("cpus", "1.29", ("container update",)),
    ("env", "1.25", ("container exec",)),
    ("env-file", "1.25", ("container exec",)),
    ("filter", "1.28", ("system prune",)),
    ("force", "1.25", ("volume rm",)),
    ("gpus", "1.40", _RUN),
    ("group", "1.42", ("volume create",)),
    ("cap-add", "1.41", _SERVICE),
    ("cap-drop", "1.41", _SERVICE),
    ("health-start-interval", "1.44", (*_RUN, *_SERVICE)),
    ("health-start-period", "1.29", _RUN),
    ("ingress", "1.29", ("network create",)),
    ("init", "1.25", _RUN),
    ("limit-bytes", "1.42", ("volume create",)),
    ("limit-pids", "1.41", _SERVICE),
    ("max-concurrent", "1.41", _SERVICE),
    ("oom-score-adj", "1.46", _SERVICE),
    ("pids-limit", "1.40", ("container update",)),
    ("platform", "1.32", (*_RUN, "image import", "image pull")),
    ("platform", "1.46", ("image push",)),
    ("platform", "1.48", ("image history", "image load", "image save")),
    ("platform", "1.49", ("image inspect",)),
    ("platform", "1.50", ("image rm",)),
    ("replicas-max-per-node", "1.40", _SERVICE),
    ("required-bytes", "1.42", ("volume create",)),
    ("scope", "1.30", ("network create",)),
    ("scope", "1.42", ("volume create",)),
    ("secret", "1.42", ("volume create",)),
    ("sharing", "1.42", ("volume create",)),
    ("stop-timeout", "1.25", _RUN),
    ("sysctl", "1.40", _SERVICE),
    ("sysctl-add", "1.40", _SERVICE),
    ("topology-preferred", "1.42", ("volume create",)),
    ("topology-required", "1.42", ("volume create",)),
    ("tree", "1.47", ("image ls",)),
    ("type", "1.42", ("volume create",)),
    ("ulimit", "1.41", _SERVICE),
    ("ulimit-add", "1.41", _SERVICE),
    ("until", "1.35", ("container logs",)),
    ("workdir", "1.35", ("container exec",)),
)
_WINDOWS = ("cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops")
_EXPERIMENTAL = ("checkpoint", "checkpoint-dir")


def check(cli: Cli, name: str, typed: str, given: Options) -> None:
    """Raises ScowError where the engine is not what the command, or one of the flags given, asks for."""
    forced = cli.env("DOCKER_API_VERSION").removeprefix("v")
    asked = next((version for lead, version in (PLUGINS, CHECKPOINTS) if name.startswith(lead)), COMMANDS.get(name, ""))
    flags = [(flag, version) for flag, version, names in _FLAGS if name in names and given.given(flag)]
    windows = [flag for flag in _WINDOWS if name in _RUN and given.given(flag)]
    experimental = [flag for flag in _EXPERIMENTAL if name == "container start" and given.given(flag)]
    special = bool(windows or experimental or name.startswith("checkpoint "))
    if not special and not flags and not (forced and asked):
        return
    facts = cli.client.ping() if special or not forced else {}
    spoken = forced or facts.get("api-version", "")
    if asked and _older(spoken, asked):
        raise ScowError(f"scow {typed} requires API version {asked}, but the Docker daemon API version is {spoken}")
    if name.startswith("checkpoint ") and facts.get("docker-experimental") != "true":
        raise ScowError(f"scow {typed} is only supported on a Docker daemon with experimental features enabled")
    for flag, version in flags:
        if _older(spoken, version):
            raise ScowError(f'"--{flag}" requires API version {version}, but the Docker daemon API version is {spoken}')
    for flag in windows:
        if facts.get("ostype", "linux") != "windows":
            running = facts.get("ostype") or "linux"
            raise ScowError(
                f'"--{flag}" is only supported on a Docker daemon running on windows, but the Docker daemon is running on {running}'
            )
    for flag in experimental:
        if facts.get("docker-experimental") != "true":
            raise ScowError(f'"--{flag}" is only supported on a Docker daemon with experimental features enabled')


def _older(spoken: str, asked: str) -> bool:
    """Whether API version `spoken` is below `asked`; unknown versions are not."""
    try:
        return tuple(map(int, spoken.split("."))) < tuple(map(int, asked.split(".")))
    except ValueError:
        return False

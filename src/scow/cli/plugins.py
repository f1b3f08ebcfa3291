"""Docker's CLI plugins: executables `docker-NAME` in known folders. `run` hands the whole command line to one (compose, buildx, …);
`candidates` asks each for its metadata, for help and `info`.

The protocol: a plugin gets the words after the program's name, global flags included, and answers `docker-cli-plugin-metadata` with
JSON. One that answers nonsense is no command. It becomes this process (exec), so signals, terminal and exit code are its own.
Imported only where a command is not in the table. `cli/hooks.py` asks plugins after a command.
"""

from __future__ import annotations

import posix

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

    from scow.cli.command import Cli

from scow.errors import ScowError

PREFIX = "docker-"
SYSTEM = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
METADATA_TIMEOUT_MS = 5000
MAX_METADATA = 64 * 1024
MAX_PLUGINS = 64

# docker's build commands belong to buildx where that is installed; words a user types → words that the plugin gets
TO_BUILDX = {
    ("build",): ["buildx", "build"],
    ("image", "build"): ["buildx", "build"],
    ("builder", "build"): ["buildx", "build"],
    ("builder",): ["buildx"],
    ("bake",): ["buildx", "bake"],
}


def folders(cli: Cli) -> list[str]:
    """Where plugins are looked for, best first."""
    extra = cli.config.get("cliPluginsExtraDirs")
    return [*(one for one in extra or [] if isinstance(one, str)), f"{cli.config_dir}/cli-plugins", *SYSTEM]


def valid(name: str) -> bool:
    """Whether a plugin may have that name."""
    return bool(name) and name.isascii() and name.isalnum() and name == name.lower() and name[0].isalpha()


def find(cli: Cli, name: str) -> str:
    """The path of a plugin, "" where there is none."""
    if not valid(name):
        return ""
    for folder in folders(cli):
        path = f"{folder}/{PREFIX}{name}"
        if posix.access(path, posix.X_OK) if _is_file(path) else False:
            return path
    return ""


def _is_file(path: str) -> bool:
    try:
        return posix.stat(path).st_mode & 0o170000 == 0o100000
    except (OSError, ValueError):
        return False


def redirected(words: list[str], env: Any, aliases: object = None) -> list[str]:
    """The words for buildx (or the plugin that `aliases` of the configuration names as builder) where `words` is one of docker's build
    commands, else `words` as they are."""
    builder = aliases.get("builder") if isinstance(aliases, dict) else None
    for count in (2, 1):
        target = TO_BUILDX.get(tuple(words[:count]))
        if target is not None and (env("DOCKER_BUILDKIT").lower() not in ("0", "false", "f") or words[0] == "bake"):
            return [builder if isinstance(builder, str) and builder else target[0], *target[1:], *words[count:]]
    return words


def environment(cli: Cli, program: str) -> dict[bytes, bytes]:
    """The plugin's environment: where this program is, and which engine it found where docker would not find it."""
    found = dict(posix.environ)
    found[b"DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"] = program.encode("utf-8", "surrogateescape")
    host = cli.host_for_plugins()
    if host:
        found[b"DOCKER_HOST"] = host.encode("utf-8", "surrogateescape")
    return found


def run(cli: Cli, path: str, argv: list[str], program: str) -> int:
    """Becomes the plugin; where hooks are to follow, waits for it. Raises ScowError where it can't be started."""
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if cli.hooks:
            return _child(path, argv, environment(cli, program))
        posix.execve(path, [path, *argv], environment(cli, program))
    except OSError as exc:
        raise ScowError(f"the plugin {path} can't be started: {exc.strerror or exc}") from exc
    return 1


def _child(path: str, argv: list[str], env: dict[bytes, bytes]) -> int:
    import _signal  # type: ignore[import-not-found]

    process = posix.posix_spawn(path, [path, *argv], env, setsigdef=[2])
    before = _signal.signal(2, _signal.SIG_IGN)  # the terminal tells the plugin, too
    try:
        status = posix.waitpid(process, 0)[1]
    finally:
        _signal.signal(2, before)
    code: int = posix.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def installed(cli: Cli) -> dict[str, str]:
    """name → path of every file that may be a plugin, whatever it is called."""
    found: dict[str, str] = {}
    for folder in folders(cli):
        try:
            entries = sorted(posix.listdir(folder))
        except OSError:
            continue
        for entry in entries:
            name = entry.removeprefix(PREFIX)
            if entry.startswith(PREFIX) and name and name not in found and len(found) < MAX_PLUGINS and _is_file(f"{folder}/{entry}"):
                found[name] = f"{folder}/{entry}"
    return found


def described(cli: Cli) -> list[dict[str, Any]]:
    """The plugins that answered, by name: their metadata with Name and Path."""
    return [one for one in candidates(cli) if not one.get("Err")]


def candidates(cli: Cli) -> list[dict[str, Any]]:
    """Every plugin by name: its metadata with Name and Path, or `Err`, why it is none. All are asked at once."""
    found: dict[str, dict[str, Any]] = {}
    asked = {}
    for name, path in installed(cli).items():
        why = _misnamed(name)
        if not why:
            try:
                asked[name] = _ask(path)
            except OSError as exc:
                why = f"failed to fetch metadata: fork/exec {path}: {(exc.strerror or str(exc)).lower()}"
        found[name] = {"Name": name, "Path": path, "Err": why}
    for name, (process, reading) in asked.items():
        meta, why = _answer(process, reading)
        found[name] = {**meta, "Name": name, "Path": found[name]["Path"], **({"Err": why} if why else {})}
    return [found[name] for name in sorted(found)]


def refused(path: str) -> str:
    """Why a file is no plugin, by its metadata; "" for a good one."""
    try:
        return _answer(*_ask(path))[1]
    except OSError as exc:
        return f"failed to fetch metadata: fork/exec {path}: {(exc.strerror or str(exc)).lower()}"


def _misnamed(name: str) -> str:
    """Why a plugin can't have that name."""
    from scow.cli.table import ALIASES, COMMANDS, GROUPS, NOT_YET, OF_PLUGINS

    if not valid(name):
        return f'plugin candidate "{name}" did not match "^[a-z][a-z0-9]*$"'
    if name in COMMANDS or name in ALIASES or (name in GROUPS and name not in NOT_YET and name not in OF_PLUGINS):
        return f'plugin "{name}" duplicates builtin command'
    return ""


def _ask(path: str) -> tuple[int, int]:
    """(process, read end of its output)."""
    reading, writing = posix.pipe()
    try:
        actions = [
            (posix.POSIX_SPAWN_DUP2, writing, 1),
            (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", 0, 0),
            (posix.POSIX_SPAWN_OPEN, 2, "/dev/null", 1, 0),
        ]
        return posix.posix_spawn(path, [path, "docker-cli-plugin-metadata"], posix.environ, file_actions=actions), reading
    except OSError:
        posix.close(reading)
        raise
    finally:
        posix.close(writing)


def _answer(process: int, reading: int) -> tuple[dict[str, Any], str]:
    """(metadata, why it is not valid)."""
    from scow.fastjson import loads

    data, silent = collect(process, reading)
    if silent:
        return {}, f"failed to fetch metadata: {silent}"
    try:
        meta = loads(data)
    except ValueError as exc:
        return {}, f"invalid metadata: {exc}"
    if not isinstance(meta, dict):
        return {}, "invalid metadata: it is no JSON object"
    version = str(meta.get("SchemaVersion", ""))
    if not version.startswith(("0.", "1.")):
        return meta, f'plugin SchemaVersion "{version}" is not valid, must be 0.1.0'
    if not meta.get("Vendor"):
        return meta, "plugin metadata does not define a vendor"
    return meta, ""


def collect(process: int, reading: int) -> tuple[bytes, str]:
    """What a plugin wrote, bounded in size and time, and how it failed ("" where it did not)."""
    import select

    data, late = b"", False
    poller = select.poll()
    poller.register(reading, select.POLLIN)
    while len(data) < MAX_METADATA:
        if not poller.poll(METADATA_TIMEOUT_MS):
            late = True
            break
        piece = posix.read(reading, MAX_METADATA)
        if not piece:
            break
        data += piece
    else:
        late = True
    if late:
        posix.kill(process, 9)
    posix.close(reading)
    code = posix.waitstatus_to_exitcode(posix.waitpid(process, 0)[1])
    if late:
        return data, "it gave no end of an answer"
    return data, f"exit status {code}" if code > 0 else f"signal {-code}" if code else ""

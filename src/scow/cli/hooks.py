"""Hooks: after a command on a terminal, plugins that the configuration names for it are asked for hints to print.

`plugins.NAME.hooks` (and `error-hooks`, for commands that failed) of config.json list commands; the plugin gets
`docker-cli-plugin-hooks JSON` and answers `{"Type": 0, "Template": "…"}`. Off unless the user turned them on (DOCKER_CLI_HOOKS, or
`features.hooks`). Imported only where they are on. A plugin that misbehaves is left out: hints never fail a command."""

from __future__ import annotations

import posix

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

from scow.cli import plugins
from scow.errors import ScowError

MAX_LINES = 10
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


def enabled(cli: Cli) -> bool:
    """Whether the user wants hooks, and has a plugin that wants them. The caller knows that standard output is a terminal."""
    features = cli.config.get("features")
    word = cli.env("DOCKER_CLI_HOOKS") or cli.env("DOCKER_CLI_HINTS") or (features.get("hooks") if isinstance(features, dict) else "")
    return str(word) in _TRUE and bool(_settings(cli))


def _settings(cli: Cli) -> dict[str, dict[str, str]]:
    found = cli.config.get("plugins")
    if not isinstance(found, dict):
        return {}
    return {
        str(name): {key: value for key, value in one.items() if isinstance(value, str)}
        for name, one in found.items()
        if isinstance(one, dict) and ("hooks" in one or "error-hooks" in one)
    }


def run(cli: Cli, words: str, flags: dict[str, str], args: list[str], options: Options | None, error: str) -> None:
    """Asks the plugins that want to hear of the command `words` and prints what they say to standard error."""
    hints: list[str] = []
    for name, settings in _settings(cli).items():
        match = _match(settings.get("hooks", ""), words) or (_match(settings.get("error-hooks", ""), words) if error else "")
        path = plugins.find(cli, name) if match else ""
        if path:
            try:
                hints += _asked(path, match, words, flags, args, options, error)
            except (OSError, ScowError, ValueError):
                continue
    if any(line.strip() for line in hints):
        cli.err("\n\033[1mWhat's next:\033[0m\n" + "".join(f"    {line}\n" for line in hints))


def _match(hooks: str, words: str) -> str:
    """The hook, of those listed, that the command starts with."""
    spoken = words.split(" ")
    return next((hook for hook in hooks.split(",") if hook and spoken[: hook.count(" ") + 1] == hook.split(" ")), "")


def _asked(path: str, match: str, words: str, flags: dict[str, str], args: list[str], options: Options | None, error: str) -> list[str]:
    from scow.fastjson import dumps, loads

    request = dumps({"RootCmd": match, "Flags": flags, **({"CommandError": error} if error else {})})
    reading, writing = posix.pipe()
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, writing, 1), (posix.POSIX_SPAWN_OPEN, 0, "/dev/null", 0, 0)]
        actions.append((posix.POSIX_SPAWN_OPEN, 2, "/dev/null", 1, 0))
        process = posix.posix_spawn(path, [path, "docker-cli-plugin-hooks", request], posix.environ, file_actions=actions)
    except OSError:
        posix.close(reading)
        raise
    finally:
        posix.close(writing)
    data, failed = plugins.collect(process, reading)
    answer: Any = None if failed else loads(data)
    if not isinstance(answer, dict) or answer.get("Type", 0) != 0 or not isinstance(answer.get("Template"), str):
        return []
    lines = _rendered(answer["Template"], words, args, options).split("\n")
    if len(lines) > MAX_LINES + 1 or not any(line.strip() for line in lines):
        return []
    # a plugin may colour its hints, not move the cursor or set the title
    return ["".join(char for char in line if char.isprintable() or char in "\033\t") for line in lines]


def _rendered(text: str, words: str, args: list[str], options: Options | None) -> str:
    if "{{" not in text:
        return text
    from scow.gotemplate import Template

    def value(name: str) -> str:
        return options.shown(name) if options is not None else ""

    name = words.rpartition(" ")[2]
    functions: dict[str, Callable[..., str]] = {
        "command": lambda: name,
        "flagValue": value,
        "argValue": lambda index: args[index],
        "flag": lambda _, flag: value(flag),
        "arg": lambda _, index: args[index],
    }
    return Template(text, functions).render({"Name": name})

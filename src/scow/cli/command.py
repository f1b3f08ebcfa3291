"""What a command is, and what it is given. Every command module holds `Command` objects that `cli/table.py` names.

Kept free of expensive imports: a command's start-up time is part of its promise.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.flags import Flag, Options
    from scow.client.api import Client

from scow.cli.environment import default_host
from scow.errors import ScowError


class ExitCode(Exception):
    """Ends the program with a status, after `message` (if any) on standard error."""

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Command:
    """One command: `usage` (its words after the program's name), `short`, `flags`, `run`, and how many arguments it takes."""

    __slots__ = ("aliases", "error_code", "flags", "interspersed", "least", "most", "prefix", "run", "short", "usage")

    def __init__(
        self,
        usage: str,
        short: str,
        flags: tuple[Flag, ...],
        run: Callable[[Cli, Options, list[str]], int | None],
        least: int = 0,
        most: int = -1,
        interspersed: bool = True,
        error_code: int = 1,
        aliases: str = "",
    ) -> None:
        self.usage, self.short, self.flags, self.run = usage, short, flags, run
        self.least, self.most, self.interspersed, self.error_code, self.aliases = least, most, interspersed, error_code, aliases


class Cli:
    """What a command works with: the engine (dialled at first use), the environment, the configuration file and the standard streams."""

    def __init__(self, dial: Callable[[], Client], env: Callable[[str], str], config_dir: str, host: str = "", context: str = "") -> None:
        """`host` and `context` are what the command line says, "" where it says nothing. `hooks`: plugins are asked after the command."""
        self._dial = dial
        self._client: Client | None = None
        self._config: dict[str, Any] | None = None
        self.env = env
        self.config_dir = config_dir
        self.host = host
        self._context = context
        self.hooks = False

    @property
    def context(self) -> str:
        """The name of the context in force; "default" where an address is given, or nothing."""
        if self._context:
            return self._context
        if self.host or self.env("SCOW_HOST") or self.env("DOCKER_HOST"):
            return "default"
        return self.env("DOCKER_CONTEXT") or self.setting("currentContext") or "default"

    @property
    def chosen(self) -> bool:
        """Whether the command line names a context or an address."""
        return bool(self._context or self.host)

    def host_for_plugins(self) -> str:
        """The address that a plugin must be told because docker's rules would not find it; "" where they do."""
        if self.host or self.context != "default" or self._context:
            return ""
        if self.env("SCOW_HOST") or self.env("DOCKER_HOST"):
            return self.env("SCOW_HOST")
        return default_host()

    def environ(self) -> dict[str, str]:
        """All variables of the environment."""
        import posix

        pairs = posix.environ.items()
        return {key.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape") for key, value in pairs}

    @property
    def client(self) -> Client:
        """The engine's client."""
        if self._client is None:
            self._client = self._dial()
        return self._client

    def redial(self) -> Client:
        """A second client with a connection of its own."""
        return self._dial()

    @property
    def config(self) -> dict[str, Any]:
        """~/.docker/config.json, {} where it is absent or broken, without the keys of a wrong type (both with a warning)."""
        if self._config is None:
            self._config = {}
            path = f"{self.config_dir}/config.json"
            try:
                with open(path, "rb") as file:
                    from scow.fastjson import loads

                    value = loads(file.read(16 * 1024 * 1024))
                from scow.cli.settings import usable

                self._config, wrong = usable(value)
                if wrong:
                    self.err(f"WARNING: Error parsing config file ({path}): {wrong}\n")
            except FileNotFoundError:
                pass
            except OSError as exc:
                self.err(f"WARNING: Error loading config file: open {path}: {(exc.strerror or str(exc)).lower()}\n")
            except (ValueError, RecursionError):
                self.err(f"WARNING: Error parsing config file ({path}): it is no JSON\n")
        return self._config

    def setting(self, key: str) -> str:
        """A text of the configuration file."""
        value = self.config.get(key)
        return value if isinstance(value, str) else ""

    def save_setting(self, key: str, value: object) -> None:
        """Writes a key of the configuration file ("" and {} remove it), leaving the others. Raises ScowError."""
        import json
        import os

        config = {"auths": {}, **self.config}
        config.pop(key, None)
        if value:
            config[key] = value
        path = os.path.realpath(f"{self.config_dir}/config.json")
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            handle = os.open(f"{path}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump(config, file, indent="\t")
            os.replace(f"{path}.{os.getpid()}", path)
        except OSError as exc:
            raise ScowError(f"the configuration can't be saved to {path}: {exc.strerror or exc}") from exc
        self._config = config

    def reload(self) -> None:
        """The configuration file was written: read it again when next asked for."""
        self._config = None

    def flush(self) -> None:
        """Standard output shows what was written so far."""
        sys.stdout.flush()

    def out(self, text: str) -> None:
        """Writes to standard output."""
        sys.stdout.write(text)

    def err(self, text: str) -> None:
        """Writes to standard error."""
        sys.stdout.flush()
        sys.stderr.write(text)
        sys.stderr.flush()


def each(cli: Cli, names: list[str], act: Callable[[str], str | None], separator: str = "\n") -> int:
    """Acts on each name, printing what it returns (the name on None); errors are collected and end with status 1."""
    from scow.client.transport import ApiError

    errors: list[str] = []
    for name in names:
        try:
            done = act(name)
        except ApiError as exc:
            errors.append(daemon_error(exc.message))
        except ScowError as exc:
            errors.append(exc.message)
        else:
            if done != "":
                cli.out((name if done is None else done) + "\n")
                sys.stdout.flush()
    if errors:
        raise ExitCode(1, separator.join(errors))
    return 0


def daemon_error(message: str) -> str:
    """The sentence for an error that the daemon answered."""
    return f"Error response from daemon: {message}"

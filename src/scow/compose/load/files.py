"""Which files a project is made of, and the variables it is read with: flags, COMPOSE_* variables, `.env`, names that are looked for.
Called by `loader.py`."""

from __future__ import annotations

import os

from scow.compose.load import env, paths
from scow.compose.load.errors import LoadError
from scow.compose.load.yaml import MAX_TEXT
from scow.compose.records import record
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.compose.load.options import LoadOptions


NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_NO, _YES = ("0", "f", "false", "no", "n", ""), ("1", "t", "true", "yes", "y", "on")


@record(frozen=True, slots=True)
class Found:
    """What `find` found. Paths are absolute; `name` is the asked project name or "", `base` the folder that names the project else."""

    files: list[str]
    directory: str
    environ: dict[str, str]
    env_files: list[str]
    profiles: tuple[str, ...]
    name: str
    base: str


def project_name(text: str) -> str:
    """A text as a project's name may be: the letters that may not stand there go."""
    return "".join(char for char in text.lower() if char in _LETTERS).lstrip("_-")


def bad_name(name: str) -> str:
    """The sentence about a name that can't be one."""
    return (
        f'invalid project name "{name}": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start '
        "with a letter or number"
    )


def find(options: LoadOptions, unset: dict[str, None]) -> Found:
    """Files, directory and environment. Raises LoadError."""
    cwd = options.cwd or os.getcwd()
    stack = options.dialect == "stack"
    environ = dict(options.environ)
    directory = os.path.normpath(os.path.join(cwd, options.project_dir)) if options.project_dir else ""
    files = [_place(cwd, one, options) for one in options.files]
    asked = list(options.env_files) or [one for one in environ.get("COMPOSE_ENV_FILES", "").split(",") if one]
    env_files: list[str] = []

    def dotenv(folder: str) -> None:
        names = [os.path.normpath(os.path.join(cwd, one)) for one in asked]
        default = os.path.join(folder, ".env")
        if not names and not truth(environ.get("COMPOSE_DISABLE_ENV_FILE", "")) and os.path.isfile(default):
            names = [default]
        for key, value in env.dotenv(names, environ, unset).items():
            environ.setdefault(key, value)
        if names:
            env_files[:] = names

    if not stack:
        dotenv(directory or (_folder(files) or cwd))
        if not files and environ.get("COMPOSE_FILE"):
            separator = environ.get("COMPOSE_PATH_SEPARATOR") or ":"
            files = [_place(cwd, one, options) for one in environ["COMPOSE_FILE"].split(separator) if one]
        if not files:
            files = _discover(directory or cwd)
        found = directory or _folder(files) or cwd
        if not asked:
            dotenv(found)
    base = directory or _folder(files) or cwd
    files = [_fetched(one, options) if paths.is_remote(one) and not one.startswith("/") else one for one in files]
    directory = directory or _folder(files) or cwd
    if not files:
        raise LoadError("no configuration file provided: not found", code=14)
    profiles = options.profiles or tuple(one.strip() for one in environ.get("COMPOSE_PROFILES", "").split(",") if one.strip())
    name = options.project_name or ("" if stack else environ.get("COMPOSE_PROJECT_NAME", ""))
    return Found(files, directory, environ, env_files, profiles, name, base)


def _place(cwd: str, one: str, options: LoadOptions) -> str:
    """A file's absolute path; standard input and what is elsewhere stay as they are written."""
    path = os.path.normpath(os.path.join(cwd, one))
    return one if one == "-" or (options.remote and paths.is_remote(one) and not os.path.exists(path)) else path


def _fetched(one: str, options: LoadOptions) -> str:
    assert options.remote is not None
    try:
        return options.remote(one)
    except ScowError as exc:
        raise LoadError(f"{one}: {exc.message}") from None


def truth(text: str) -> bool:
    """A boolean of the environment."""
    return text.lower() in _YES


def _folder(files: list[str]) -> str:
    """The folder of the first file; "" where that is elsewhere."""
    first = next((one for one in files if one != "-"), "")
    return os.path.dirname(first) if first.startswith("/") else ""


def _discover(folder: str) -> list[str]:
    while True:
        for name in NAMES:
            path = os.path.join(folder, name)
            if os.path.exists(path):
                over = next((os.path.join(folder, one) for one in OVERRIDES if os.path.exists(os.path.join(folder, one))), "")
                return [path, over] if over else [path]
        parent = os.path.dirname(folder)
        if parent == folder:
            return []
        folder = parent


def read(path: str) -> bytes:
    """The text of a compose file. Raises LoadError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_TEXT + 1)
    except FileNotFoundError:
        raise LoadError(f"open {path}: no such file or directory", code=14) from None
    except (OSError, ValueError) as exc:
        raise LoadError(f"read {path}: {getattr(exc, 'strerror', None) or exc}".lower()) from None
    return data


def read_stdin() -> bytes:
    """The text on standard input."""
    with open(0, "rb", closefd=False) as file:
        return file.read(MAX_TEXT + 1)

"""What to load, and how. Made by `session.py` and `stack/files.py`, read by `loader.py` and `files.py`."""

from __future__ import annotations

from scow.compose.records import field, record

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@record(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What to load and how. `files` are paths, `-` is standard input; () looks for compose.yaml and its like in `cwd` and above.
    `environ` is the client's environment; the COMPOSE_* variables in it count."""

    files: tuple[str, ...] = ()
    project_dir: str = ""
    project_name: str = ""
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: str = ""
    stdin: bytes | None = None
    interpolate: bool = True
    normalize: bool = True
    consistency: bool = True
    resolve_paths: bool = True
    resolve_environment: bool = True
    dialect: str = "compose"
    remote: Callable[[str], str] | None = None  # an address (oci://, git) -> the path of a copy here; raises ScowError

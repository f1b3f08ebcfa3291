"""What containers were told of changed configs and secrets (`x-on-change: signal`): a container's labels can't change, so the client keeps,
in `$XDG_STATE_HOME/scow/compose/PROJECT.json`, the digest that a container was last signalled for. What is lost is signalled once more.
`execute/containers.py` writes it, `commands/preparing.py` reads it."""

from __future__ import annotations

import os

from scow import fastjson
from scow.compose.observe import Observed
from scow.compose.records import replace

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 1000  # containers that are remembered of a project
MAX_FILE = 1 << 20


def _path(project: str, environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return os.path.join(base, "scow", "compose", f"{project}.json")


def told(project: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Container ID -> the digest of what it was last signalled for."""
    try:
        with open(_path(project, environ), encoding="utf-8") as file:
            found = fastjson.loads(file.read(MAX_FILE))
    except (OSError, ValueError):
        return {}
    return {str(ident): str(digest) for ident, digest in found.items()} if isinstance(found, dict) else {}


def remember(project: str, ident: str, digest: str, environ: Mapping[str, str]) -> None:
    """Notes that a container was signalled. A folder that can't be written only means that it is signalled again."""
    rows = told(project, environ)
    rows.pop(ident, None)
    rows = {**dict(list(rows.items())[1 - MOST :]), ident: digest}
    path = _path(project, environ)
    new = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(new, "w", encoding="utf-8") as file:
            file.write(fastjson.dumps(rows))
        os.replace(new, path)
    except OSError:
        pass


def recalled(observed: Observed, project: str, environ: Mapping[str, str]) -> Observed:
    """What runs, with what its containers were told since they were made."""
    rows = told(project, environ)
    if not rows:
        return observed
    return replace(observed, containers=tuple([replace(one, told=rows.get(one.id, one.told)) for one in observed.containers]))

"""Programs that compose runs on this machine: providers of services and docker's plugins. Found as docker's command line finds its plugins,
else in PATH. Called by `providers.py` and `models.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator

from scow.cli import plugins
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from scow.compose.model.project import Project
    from scow.compose.session import Session

MAX_LINE = 1 << 20
MAX_OUTPUT = 4 << 20
GRACE = 10.0  # seconds that a program gets to end when nobody listens any more
TAIL = 2000  # characters of what a program said before it failed


def find(session: Session, name: str) -> str:
    """The path of docker's plugin of that name, else of the program; "" where there is neither."""
    return plugins.find(session.cli, name) or shutil.which(name) or ""


def environment(session: Session, project: Project) -> dict[str, str]:
    """The project's variables over the client's, and the engine that this client talks to."""
    found = {**session.environ, **project.environment}
    cli = session.cli
    if host := cli.host or cli.host_for_plugins():
        found["DOCKER_HOST"] = host
        found.pop("DOCKER_CONTEXT", None)
    elif cli.context != "default":
        found["DOCKER_CONTEXT"] = cli.context
    return found


def _failed(what: str, code: int, said: str) -> ScowError:
    return ScowError(f"{what} ended with status {code}" + (f": {said.strip()[-TAIL:]}" if said.strip() else ""))


def output(path: str, words: list[str], env: dict[str, str]) -> str:
    """What a program says on standard output. Raises ScowError where it fails."""
    what = f"{os.path.basename(path)} {' '.join(words)}"
    try:
        done = subprocess.run([path, *words], stdin=subprocess.DEVNULL, capture_output=True, env=env, check=False)
    except OSError as exc:
        raise ScowError(f"{what} can't be run: {exc.strerror}") from None
    if done.returncode:
        raise _failed(what, done.returncode, (done.stderr or done.stdout).decode("utf-8", "replace"))
    return done.stdout[:MAX_OUTPUT].decode("utf-8", "replace")


def lines(path: str, words: list[str], env: dict[str, str]) -> Generator[str, None, None]:
    """The lines of a program's standard output as they come. Raises ScowError where it fails, or says a line without end; a caller that has
    heard enough ends it."""
    import tempfile

    what = f"{os.path.basename(path)} {' '.join(words)}"
    with tempfile.TemporaryFile() as aside:
        try:
            process = subprocess.Popen([path, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=aside, env=env)
        except OSError as exc:
            raise ScowError(f"{what} can't be run: {exc.strerror}") from None
        assert process.stdout is not None
        try:
            while line := process.stdout.readline(MAX_LINE):
                if len(line) >= MAX_LINE:
                    raise ScowError(f"{what} says a line of more than {MAX_LINE >> 20} MB")
                if text := line.decode("utf-8", "replace").strip():
                    yield text
            code = process.wait()
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(GRACE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            process.stdout.close()
        if code:
            aside.seek(max(0, aside.seek(0, os.SEEK_END) - TAIL * 4))
            raise _failed(what, code, aside.read().decode("utf-8", "replace"))

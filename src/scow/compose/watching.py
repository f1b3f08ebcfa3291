"""`develop.watch`: changes of files on this machine, found by looking again and again (works on every file system), and what is done about
them in the containers. Called by `commands/watch.py`."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scow.client.api import container_path
from scow.compose.project import Project, Service, Watch
from scow.errors import ScowError
from scow.opts.ignore import Ignore, lines

if TYPE_CHECKING:
    from scow.client.api import Client

EVERY = 0.3  # seconds between two looks
MAX_FILES = 200_000
ALWAYS = (".git", ".hg", "**/.DS_Store", "**/*.swp", "**/*~", "**/.#*", "**/4913")
Seen = dict[str, tuple[int, int, int]]


@dataclass(slots=True)
class Rule:
    """One rule of one service, and what its path looked like last."""

    service: Service
    watch: Watch
    ignore: Ignore
    include: Ignore | None
    seen: Seen = field(default_factory=dict)

    def look(self) -> Seen:
        """The files below its path: path -> (time of change, size, mode)."""
        found: Seen = {}
        root = self.watch.path
        try:
            facts = os.stat(root)
        except OSError:
            return found
        if not stat.S_ISDIR(facts.st_mode):
            return {root: (facts.st_mtime_ns, facts.st_size, facts.st_mode)}
        folders = [root]
        while folders and len(found) < MAX_FILES:
            try:
                entries = list(os.scandir(folders.pop()))
            except OSError:
                continue
            for entry in entries:
                relative = os.path.relpath(entry.path, root)
                if self.ignore.excludes(relative):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                        continue
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if self.include is None or self.include.excludes(relative):
                    found[entry.path] = (facts.st_mtime_ns, facts.st_size, facts.st_mode)
        return found

    def changes(self) -> tuple[list[str], list[str]]:
        """(files that are new or changed, files that have gone) since the last look."""
        now = self.look()
        changed = sorted(path for path, facts in now.items() if self.seen.get(path) != facts)
        gone = sorted(self.seen.keys() - now.keys())
        self.seen = now
        return changed, gone

    def target(self, path: str) -> str:
        """Where a file is in the container."""
        if path == self.watch.path:
            return self.watch.target
        return os.path.join(self.watch.target, os.path.relpath(path, self.watch.path))


def rules(project: Project, names: list[str]) -> list[Rule]:
    """The rules of the named services, or of all that have some."""
    found = []
    for name in names or list(project.services):
        service = project.services[name]
        for watch in service.develop.watch if service.develop else ():
            words = [*ALWAYS, *watch.ignore]
            if service.build and os.path.isdir(service.build.context):
                path = os.path.join(service.build.context, ".dockerignore")
                below = os.path.relpath(watch.path, service.build.context)
                words += _relative(path, below)
            rule = Rule(service, watch, Ignore(words), Ignore(list(watch.include)) if watch.include else None)
            rule.seen = {} if watch.initial_sync else rule.look()
            found.append(rule)
    return found


def _relative(path: str, below: str) -> list[str]:
    """The rules of a .dockerignore as seen from a folder below it."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            words = lines(file.read(1024 * 1024))
    except OSError:
        return []
    if below == ".":
        return words
    found = []
    for word in words:
        sign, bare = ("!", word[1:]) if word.startswith("!") else ("", word)
        if bare.startswith("**"):
            found.append(word)
        elif bare.startswith(below + "/"):
            found.append(sign + bare.removeprefix(below + "/"))
    return found


def archive(rule: Rule, paths: list[str]) -> bytes:
    """A tar of changed files at their places in the container."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            try:
                info = tar.gettarinfo(path, rule.target(path).lstrip("/"))
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                if info.isreg():
                    with open(path, "rb") as file:
                        tar.addfile(info, file)
                elif info.issym():
                    tar.addfile(info)
            except (OSError, tarfile.TarError):
                continue  # it has gone, or changes again: the next look finds it
    return buffer.getvalue()


def sync(client: Client, container: str, rule: Rule, changed: list[str], gone: list[str]) -> None:
    """Brings files into a container, and takes away those that have gone. Raises ScowError."""
    if gone:
        execute(client, container, ["rm", "-rf", "--", *(rule.target(path) for path in gone)])
    if changed:
        params = {"path": "/", "noOverwriteDirNonDir": "true"}
        client.call("PUT", container_path(container, "archive"), params, archive(rule, changed)).read()


def execute(client: Client, container: str, command: list[str], user: str = "") -> None:
    """Runs a command in a container to its end. Raises ScowError where it fails."""
    ident = client.post(
        container_path(container, "exec"), None, {"Cmd": command, "User": user, "AttachStdout": True, "AttachStderr": True}
    )["Id"]
    with client.call("POST", f"/exec/{ident}/start", None, {"Detach": False}) as response:
        for _ in response.iterate():
            pass
    code = client.get(f"/exec/{ident}/json").get("ExitCode")
    if code:
        raise ScowError(f"{' '.join(command)} ended with status {code}")

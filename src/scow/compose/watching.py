"""`develop.watch`: changes of files on this machine, and how they come into the containers. The kernel tells where something happened
(`inotify.py`); what happened is found by looking at files and comparing with what was seen last, so nothing depends on the order or
completeness of its news. Where the kernel has no more watches, or the file system is another machine's, only looking is left. Called by
`commands/watch.py`."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
import time
from typing import TYPE_CHECKING

from scow.client.api import container_path
from scow.compose import hooks
from scow.compose.inotify import Inotify
from scow.compose.model.project import Project
from scow.compose.model.service import Hook, Service, Watch
from scow.opts.ignore import Ignore, lines

if TYPE_CHECKING:
    from scow.client.api import Client

EVERY = 0.3  # seconds between two looks where there is no news; more where a look takes long
QUIET = 0.1  # seconds without news after which what changed at once has changed
PATIENCE = 2.0  # seconds after which something is done although news goes on
MAX_FILES = 200_000
REMOVED_AT_ONCE = 500
ALWAYS = (".git", ".hg", "**/.DS_Store", "**/*.swp", "**/*~", "**/.#*", "**/4913")
REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "vboxsf", "ceph", "afs", "fuse")  # file systems that others change unheard
Facts = tuple[int, int, int, int]  # time of change, size, mode, inode; a folder has its mode only
Seen = dict[str, Facts]


class Rule:
    """One rule of one service, and what its path looked like last."""

    __slots__ = ("ignore", "include", "seen", "service", "took", "watch")

    def __init__(self, service: Service, watch: Watch, ignore: Ignore, include: Ignore | None) -> None:
        self.service, self.watch, self.ignore, self.include = service, watch, ignore, include
        self.seen: Seen = {}
        self.took = 0.0  # seconds of the last look

    def look(self) -> Seen:
        """What is below its path. Folders count unless only some files do."""
        found: Seen = {}
        root = self.watch.path
        try:
            facts = os.stat(root)
        except OSError:
            return found
        if not stat.S_ISDIR(facts.st_mode):
            return {root: _facts(facts)}
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
                    facts = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(facts.st_mode):
                    folders.append(entry.path)
                    if self.include is None:
                        found[entry.path] = (0, 0, facts.st_mode, 0)
                elif self.include is None or self.include.excludes(relative):
                    found[entry.path] = _facts(facts)
        return found

    def folders(self) -> list[str]:
        """The folders whose news concerns it: those below its path; that of a file, or of what is not there yet, is the nearest above."""
        root = self.watch.path
        if not os.path.isdir(root):
            while not os.path.isdir(root):
                root = os.path.dirname(root)
            return [root]
        found = [root]
        for folder in found:
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            found += [path for path in below if not self.ignore.excludes(os.path.relpath(path, root))]
            if len(found) > MAX_FILES:
                break
        return found

    def concerns(self, folder: str) -> bool:
        """Whether news of a folder may be about it."""
        path = self.watch.path
        return folder == path or folder.startswith(path.rstrip("/") + "/") or path.startswith(folder.rstrip("/") + "/")

    def changes(self) -> tuple[list[str], list[str]]:
        """(what is new or changed, what has gone) since the last look. What became of another kind has gone, too."""
        begun = time.monotonic()
        now = self.look()
        self.took = time.monotonic() - begun
        changed = sorted(path for path, facts in now.items() if self.seen.get(path) != facts)
        other = {path for path in changed if path in self.seen and stat.S_IFMT(self.seen[path][2]) != stat.S_IFMT(now[path][2])}
        gone = sorted((self.seen.keys() - now.keys()) | other)
        self.seen = now
        return changed, gone

    def target(self, path: str) -> str:
        """Where a file is in the container."""
        if path == self.watch.path:
            return self.watch.target
        return os.path.join(self.watch.target, os.path.relpath(path, self.watch.path))


def _facts(facts: os.stat_result) -> Facts:
    return facts.st_mtime_ns, facts.st_size, facts.st_mode, facts.st_ino


def rules(project: Project, names: list[str]) -> list[Rule]:
    """The rules of the named services, or of all that have some. Those that sync at the beginning have seen nothing yet."""
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
            if not (watch.initial_sync and watch.action.startswith("sync")):
                rule.seen = rule.look()
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


class News:
    """Waits until something may have changed. `why` says why that means looking again and again, "" where the kernel tells."""

    def __init__(self, found: list[Rule]) -> None:
        self._rules = found
        self._inotify: Inotify | None = None
        self.why = _remote([rule.watch.path for rule in found])
        if not self.why:
            self._try()

    def _try(self) -> None:
        try:
            self._inotify = self._inotify or Inotify()
            self._follow(self._rules)
        except OSError as exc:
            name = {errno.ENOSPC: "max_user_watches", errno.EMFILE: "max_user_instances"}.get(exc.errno or 0)
            self.close()
            self.why = (
                f"the kernel gives no more watches (fs.inotify.{name}): raise it with sysctl -w fs.inotify.{name}=1048576"
                if name
                else f"the kernel gives no watches ({exc.strerror})"
            )

    def _follow(self, found: list[Rule]) -> None:
        """Watches the folders of rules; again while new ones turn up, since what came into one before it was watched is not told."""
        assert self._inotify is not None
        for rule in found:
            while any([self._inotify.add(folder) for folder in rule.folders()]):
                pass

    def wait(self, seconds: float | None = None) -> list[Rule]:
        """The rules that something may have changed for; [] after that time without any. Changes that come together come together."""
        if self._inotify is None:
            pause = max(EVERY, 5 * sum(rule.took for rule in self._rules))
            time.sleep(pause if seconds is None else min(pause, seconds))
            return self._rules
        heard = self._inotify.wait(seconds)
        if heard is not None and not heard:
            return []
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and (more := self._inotify.wait(QUIET)) != set():
            heard = None if heard is None or more is None else heard | more
        found = self._rules if heard is None else [rule for rule in self._rules if any(map(rule.concerns, heard))]
        try:
            self._follow(found)
        except OSError:
            self._try()
            return self._rules
        return found

    def close(self) -> None:
        """Ends it."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None


def _remote(paths: list[str]) -> str:
    """Why the kernel can't tell of changes below one of the paths; "" where it can."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            mounts = [line.split(" ")[1:3] for line in file.read(1 << 22).splitlines()]
    except OSError:
        return ""
    for path in paths:
        under = [(len(where), kind) for where, kind in mounts if path == where or path.startswith(where.rstrip("/") + "/")]
        kind = max(under, default=(0, ""))[1]
        if kind.partition(".")[0] in REMOTE:
            return f"{path} is on a file system ({kind}) that others can change without news"
    return ""


# ---------------------------------------------------------------- into the containers


def archive(rule: Rule, paths: list[str]) -> bytes:
    """A tar of what changed, at its places in the container."""
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
                elif info.issym() or info.isdir():
                    tar.addfile(info)
            except (OSError, tarfile.TarError):
                continue  # it has gone, or changes again: the next look finds it
    return buffer.getvalue()


def sync(client: Client, container: str, rule: Rule, changed: list[str], gone: list[str]) -> None:
    """Brings files into a container, and takes away those that have gone. Raises ScowError."""
    top: list[str] = []
    for path in gone:  # sorted: a folder comes before what is in it
        if not top or not path.startswith(top[-1] + "/"):
            top.append(path)
    for start in range(0, len(top), REMOVED_AT_ONCE):
        some = [rule.target(path) for path in top[start : start + REMOVED_AT_ONCE]]
        hooks.run(client, container, Hook(command=("rm", "-rf", "--", *some), user="root"), rule.service.name)
    if changed:
        params = {"path": "/", "noOverwriteDirNonDir": "true"}
        client.call("PUT", container_path(container, "archive"), params, archive(rule, changed)).read()

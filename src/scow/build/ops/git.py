"""`git://…#ref:subdir`: a checkout of a repository at a commit, by the `git` program of this host.

Attrs: `git.fullurl`, `git.keepgitdir`, `git.checksum`, `git.authtokensecret`, `git.authheadersecret`, `git.skipsubmodules`.
Git is run without the user's and the host's configuration, without hooks, prompts, and protocols other than http(s), ssh and git;
secrets go through a file below the run directory, never its arguments. The key is the commit that the ref names now.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import secrets
import shutil
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from scow import aio
from scow.build import copying
from scow.build.copying import Step
from scow.build.llb.ops import GIT, Copy, SourceOp
from scow.build.ops.kit import Kit
from scow.build.refs import GIT as GIT_RECORD
from scow.build.solver.cachestore import combine
from scow.build.solver.types import CacheMap, JobContext, Result
from scow.errors import InvalidArgument, NotFound, Unsupported
from scow.kernel import inroot
from scow.runtime import oci

_SECONDS = 600.0
_COMMIT = re.compile(r"[0-9a-f]{40}\Z|[0-9a-f]{64}\Z")
_PREFIX = re.compile(r"[0-9a-f]{7,64}\Z")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+@{}^~-]{0,250}\Z")
_PROTOCOLS = ("https://", "http://", "ssh://", "git://")
_SCP = re.compile(r"[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^:]")


class Git:
    """Checks out a repository."""

    weight = 0

    def __init__(self, kit: Kit, op: SourceOp) -> None:
        self._kit = kit
        self._attrs = op.attrs
        text = op.identifier.removeprefix(GIT)
        address, _, fragment = text.partition("#")
        ref, _, self._folder = fragment.partition(":")
        self._ref = ref
        self._address = op.attrs.get("git.fullurl", "").partition("#")[0] or "https://" + address
        self._keep = op.attrs.get("git.keepgitdir") == "true"
        self._checksum = op.attrs.get("git.checksum", "")
        self._commit = ""

    async def cache_map(self, job: JobContext) -> CacheMap:
        """The commit is the key; a full one in the address needs no look at the server."""
        self._check()
        if _COMMIT.match(self._ref):
            self._commit = self._ref
        else:
            job.begin()
            self._commit = await self._look(job)
        if self._checksum and not self._commit.startswith(self._checksum):
            raise InvalidArgument(f"the ref {self._ref or 'HEAD'} of {self._shown()} is {self._commit}, and {self._checksum} was asked for")
        submodules = self._attrs.get("git.skipsubmodules", "")
        return CacheMap(combine("git", self._address, self._commit, self._folder, str(self._keep), submodules))

    def _check(self) -> None:
        if not (self._address.startswith(_PROTOCOLS) or _SCP.match(self._address)) or any(ord(char) < 33 for char in self._address):
            raise InvalidArgument(f"invalid address of a git repository: {self._address[:200]!r}")
        if self._ref and not _REF.match(self._ref):
            raise InvalidArgument(f"invalid git reference: {self._ref[:200]!r}")
        if self._checksum and not _PREFIX.match(self._checksum):
            raise InvalidArgument(f"invalid git checksum: {self._checksum[:100]!r}")
        if shutil.which("git", path=_PATH) is None:
            raise Unsupported("a git repository as source needs the program git on the engine's host: install it")

    def _shown(self) -> str:
        return re.sub(r"//[^/@]*@", "//", self._address)

    async def _git(self, job: JobContext, top: Path, *words: str) -> tuple[int, str, str]:
        header = await self._authorization(job)
        config = self._kit.refs.run / f"git-{secrets.token_hex(8)}"
        try:
            if header:
                origin = "/".join(re.sub(r"//[^/@]*@", "//", self._address).split("/")[:3]) + "/"
                fd = os.open(config, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with os.fdopen(fd, "w") as file:
                    file.write(f'[http "{origin}"]\n\textraheader = "Authorization: {_quoted(header)}"\n')
            configured = str(config) if header else "/dev/null"
            environment = ["env", "-i", f"PATH={_PATH}", f"HOME={top}", f"GIT_CONFIG_GLOBAL={configured}", *_ENVIRONMENT]
            code, out, error = await oci.run([*environment, "git", *_SETTINGS, "-C", str(top), *words], _SECONDS)
            return code, out, self._clean(error, header)
        finally:
            config.unlink(missing_ok=True)

    @staticmethod
    def _clean(text: str, header: str) -> str:
        return text.replace(header, "***") if header else text

    async def _authorization(self, job: JobContext) -> str:
        if self._kit.sessions is None or not self._address.startswith("http"):
            return ""
        host = urllib.parse.urlsplit(self._address).hostname or ""
        header = self._attrs.get("git.authheadersecret", "GIT_AUTH_HEADER")
        token = self._attrs.get("git.authtokensecret", "GIT_AUTH_TOKEN")
        for session in job.sessions:
            for name in (f"{header}.{host}", header):
                with contextlib.suppress(NotFound):
                    return (await self._kit.sessions.secret(session, name)).decode("latin-1").strip()
            for name in (f"{token}.{host}", token):
                with contextlib.suppress(NotFound):
                    secret = (await self._kit.sessions.secret(session, name)).strip()
                    return "basic " + base64.b64encode(b"x-access-token:" + secret).decode()
        return ""

    async def _look(self, job: JobContext) -> str:
        """The commit that the ref names on the server. Raises InvalidArgument."""
        with self._work() as top:
            wanted = self._ref or "HEAD"
            code, out, error = await self._git(job, top, "ls-remote", "--", self._address, wanted, wanted + "^{}")
        if code:
            raise InvalidArgument(f"cannot read the git repository {self._shown()}: {error.strip()[-500:] or f'git ended with {code}'}")
        rows = {name: commit for commit, _, name in (line.partition("\t") for line in out.splitlines()) if _COMMIT.match(commit)}
        for name in (f"refs/tags/{wanted}^{{}}", f"refs/tags/{wanted}", f"refs/heads/{wanted}", f"{wanted}^{{}}", wanted, f"refs/{wanted}"):
            if name in rows:
                return rows[name]
        if _PREFIX.match(wanted):
            return wanted
        raise InvalidArgument(f"repository {self._shown()} does not contain ref {wanted}")

    @contextlib.contextmanager
    def _work(self):  # type: ignore[no-untyped-def]
        top = self._kit.scratch / f"git-{secrets.token_hex(8)}"
        top.mkdir(mode=0o700)
        try:
            yield top
        finally:
            shutil.rmtree(top, ignore_errors=True)

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """The tree of the checkout, or of one directory in it."""
        with self._work() as top:
            await self._checkout(job, top)
            folder = top / "tree"
            if self._folder.strip("/"):
                folder = await aio.in_pool(self._inner, folder)
            elif not self._keep:
                await aio.in_pool(_drop_git, folder)
            draft = self._kit.refs.draft(None, GIT_RECORD, f"git snapshot for {self._shown()}#{self._ref}")
            try:
                step = Step(Copy("/", "/", dir_copy_contents=True, create_dest_path=True))
                await copying.run(self._kit.workers, await draft.tree(), [step], [folder])
                return [await draft.commit()]
            except BaseException:
                await draft.discard()
                raise

    async def _checkout(self, job: JobContext, top: Path) -> None:
        tree = top / "tree"
        tree.mkdir()
        await self._must(job, tree, "init", "--quiet")
        await self._must(job, tree, "remote", "add", "origin", "--", self._address)
        code, _, _ = await self._git(job, tree, "fetch", "--quiet", "--depth", "1", "--no-tags", "origin", "--", self._commit)
        if code:  # a server that gives no single commits, or a short one
            wanted = [self._ref] if self._ref and not _PREFIX.match(self._ref) else ["+refs/heads/*:refs/remotes/origin/*"]
            await self._must(job, tree, "fetch", "--quiet", "--tags", "origin", "--", *wanted)
        await self._must(job, tree, "checkout", "--quiet", "--detach", "FETCH_HEAD" if not code else self._commit)
        if self._attrs.get("git.skipsubmodules") != "true" and (tree / ".gitmodules").is_file():
            await self._must(job, tree, "submodule", "update", "--quiet", "--init", "--recursive", "--depth", "1")

    async def _must(self, job: JobContext, top: Path, *words: str) -> None:
        code, _, error = await self._git(job, top, *words)
        if code:
            text = error.strip()[-500:] or f"git ended with {code}"
            raise InvalidArgument(f"cannot check out the git repository {self._shown()}: {text}")

    def _inner(self, tree: Path) -> Path:
        try:
            with inroot.root_fd(tree) as top:
                fd = inroot.open_fd(top, self._folder, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            text = (error.strerror or str(error)).lower()
            raise InvalidArgument(f"the git repository {self._shown()} has no directory {self._folder!r}: {text}") from None
        try:
            return Path(os.readlink(f"/proc/self/fd/{fd}"))
        finally:
            os.close(fd)


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = (
    "GIT_TERMINAL_PROMPT=0",
    "GIT_CONFIG_NOSYSTEM=1",
    "GIT_ALLOW_PROTOCOL=http:https:ssh:git",
    "GIT_LFS_SKIP_SMUDGE=1",
    "GIT_SSH_COMMAND=ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
    "LC_ALL=C.UTF-8",
)
_SETTINGS = ("-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=true", "-c", "core.fsmonitor=false", "-c", "protocol.ext.allow=never")


def _quoted(text: str) -> str:
    """For a value in quotes of git's configuration."""
    return "".join(char for char in text if char.isprintable()).replace("\\", "\\\\").replace('"', '\\"')


def _drop_git(tree: Path) -> None:
    place = tree / ".git"
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    elif place.exists() or place.is_symlink():
        place.unlink()

"""What a classic build takes from elsewhere: files that ADD downloads, contexts at an address, git repositories."""

import email.utils
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scow import aio
from scow.errors import InvalidArgument
from scow.kernel import inroot
from scow.runtime import oci

_TIMEOUT = 60
_GIT_SECONDS = 600.0
_CHUNK = 1 << 20
_FILE_MAX = 64 << 30
_GIT = re.compile(r"^(git://|git@|github\.com/|(https?|ssh)://[^#?]*\.git($|[#?]))")
_SAFE_REF = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._/+-]{0,250}$")


def is_url(text: str) -> bool:
    """Whether ADD downloads this source."""
    return text.startswith(("http://", "https://"))


def is_git(text: str) -> bool:
    """Whether a context's address is that of a git repository."""
    return bool(_GIT.match(text))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows http and https only."""

    def redirect_request(self, *args: Any) -> urllib.request.Request | None:
        if not is_url(str(args[-1])):
            raise InvalidArgument(f"refusing to follow a redirect to {str(args[-1])[:200]}")
        return super().redirect_request(*args)


def _open(url: str) -> Any:
    opener = urllib.request.build_opener(_Redirects)
    try:
        return opener.open(urllib.request.Request(url, headers={"User-Agent": "scow", "Accept-Encoding": "identity"}), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        raise InvalidArgument(f"failed to GET {url} with status {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"failed to GET {url}: {getattr(error, 'reason', error)}") from error


def _fetch(url: str, folder: Path, name: str) -> None:
    with _open(url) as reply, open(folder / name, "xb") as out:
        os.fchmod(out.fileno(), 0o600)
        size = 0
        try:
            while data := reply.read(_CHUNK):
                size += len(data)
                if size > _FILE_MAX:
                    raise InvalidArgument(f"{url} is larger than {_FILE_MAX >> 30} GB")
                out.write(data)
        except (OSError, ValueError) as error:
            raise InvalidArgument(f"failed to GET {url}: {error}") from error
        changed = email.utils.parsedate_tz(reply.headers.get("Last-Modified") or "")
    stamp = email.utils.mktime_tz(changed) if changed else 0
    os.utime(folder / name, (stamp, stamp))


def file_name(url: str) -> str:
    """The last part of an address's path, "" when it has none."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path).rsplit("/", 1)[-1]
    return "" if name in (".", "..") or "\0" in name else name[:255]


async def download(url: str, folder: Path, needs_name: bool) -> str:
    """Fetch a file into `folder`; its name there. Mode 0600, the time that the server says. Raises InvalidArgument."""
    name = file_name(url)
    if not name and needs_name:
        raise InvalidArgument(f"cannot determine filename for source {url}: name the destination file instead of a directory")
    await aio.in_pool(_fetch, url, folder, name or "file")
    return name or "file"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is at a context's address: the text of a Dockerfile, or a tar as chunks."""

    text: str | None
    chunks: AsyncIterator[bytes]


async def fetch_context(url: str) -> Answer:
    """Look at what an address has: text is a Dockerfile, anything else a tar. Raises InvalidArgument."""
    reply = await aio.in_pool(_open, url)
    first = await aio.in_pool(reply.read, _CHUNK)

    async def chunks() -> AsyncIterator[bytes]:
        data = first
        try:
            while data:
                yield data
                data = await aio.in_pool(reply.read, _CHUNK)
        finally:
            reply.close()

    is_text = b"\0" not in first and len(first) < _CHUNK and not first.startswith((b"\x1f\x8b", b"BZh"))
    if is_text:
        reply.close()
        return Answer(first.decode("utf-8", "replace"), chunks())
    return Answer(None, chunks())


def split_git(address: str) -> tuple[str, str, str]:
    """(repository, ref, directory) of `repository#ref:directory`. Raises InvalidArgument."""
    repository, _, fragment = address.partition("#")
    ref, _, folder = fragment.partition(":")
    if repository.startswith("github.com/"):
        repository = f"https://{repository}"
    if ref and not _SAFE_REF.match(ref):
        raise InvalidArgument(f"invalid git reference: {ref[:100]!r}")
    return repository, ref, folder


async def clone(address: str, folder: Path) -> Path:
    """Check a repository out below `folder`; the directory that is the context. Raises InvalidArgument."""
    repository, ref, inner = split_git(address)
    top = folder / "repository"
    settings = [
        "-c",
        "protocol.file.allow=never",
        "-c",
        "protocol.ext.allow=never",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.symlinks=true",
    ]
    environment = [
        "env",
        "-u",
        "GIT_DIR",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_LFS_SKIP_SMUDGE=1",
    ]

    async def git(*words: str) -> tuple[int, str]:
        code, _, error = await oci.run([*environment, "git", *settings, "-C", str(top), *words], _GIT_SECONDS)
        return code, error

    top.mkdir(mode=0o700)
    code, error = await git("init", "--quiet")
    if code == 127 or "env:" in error:
        raise InvalidArgument("a git repository as build context needs git on the engine's host: install it")
    await git("remote", "add", "origin", "--", repository)
    code, error = await git("fetch", "--quiet", "--depth", "1", "--no-tags", "origin", "--", ref or "HEAD")
    if code:  # a commit's id, or a server that cannot be shallow
        code, error = await git("fetch", "--quiet", "--tags", "origin")
        target = ref or "origin/HEAD"
        if not code:
            code, error = await git("checkout", "--quiet", "--detach", target)
    else:
        code, error = await git("checkout", "--quiet", "--detach", "FETCH_HEAD")
    if code:
        raise InvalidArgument(f"unable to clone git context {address}: {error or f'git ended with {code}'}")
    await git("submodule", "update", "--quiet", "--init", "--recursive", "--depth", "1")
    if not inner:
        return top
    return await aio.in_pool(_inner, top, inner, address)


def _inner(top: Path, inner: str, address: str) -> Path:
    from scow.kernel.paths import resolve_in_root

    try:
        fd = inroot.open_fd(top, inner, os.O_PATH | os.O_DIRECTORY)
        os.close(fd)
        found = top / resolve_in_root(top, inner).lstrip("/")
    except OSError as error:
        raise InvalidArgument(f"error setting git context, {inner!r} not within git root of {address}: {error.strerror}") from error
    return found

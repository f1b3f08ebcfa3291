"""`http(s)://…`: one file from a server, as a tree that holds it.

Attrs: `http.checksum` (sha256:…), `http.filename`, `http.perm` (octal), `http.uid`, `http.gid`, `http.authheadersecret`. Mode 0600 and the
time of Last-Modified unless told otherwise. Stored: table `build_http`, by address: etag, digest and tree of the last answer; a server that
says "not modified" is believed.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import os
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scow import aio
from scow.build.llb.ops import SourceOp
from scow.build.ops.kit import Kit
from scow.build.refs import TreeRef
from scow.build.solver.cachestore import combine
from scow.build.solver.types import CacheMap, JobContext, Result
from scow.errors import InvalidArgument, NotFound

_TIMEOUT = 60
_UPLOAD = "http://buildkit-session/"
_CHUNK = 1 << 20
_FILE_MAX = 64 << 30
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_NAME = re.compile(r'filename="?([^";/\\]+)"?')


@dataclass(frozen=True, slots=True)
class _Answer:
    digest: str
    etag: str
    modified: int
    file_name: str


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows http and https only, and takes a secret to no other host."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> urllib.request.Request | None:
        if not newurl.startswith(("http://", "https://")):
            raise InvalidArgument(f"refusing to follow a redirect to {newurl[:200]}")
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and urllib.parse.urlsplit(newurl).netloc != urllib.parse.urlsplit(req.full_url).netloc:
            made.headers.pop("Authorization", None)
        return made


class Http:
    """Downloads a file."""

    weight = 0

    def __init__(self, kit: Kit, op: SourceOp) -> None:
        self._kit = kit
        self._url = op.identifier
        self._attrs = op.attrs
        self._checksum = op.attrs.get("http.checksum", "")
        self._table = kit.db.table("build_http")
        self._file: Path | None = None
        self._answer: _Answer | None = None

    async def cache_map(self, job: JobContext) -> CacheMap:
        """By the checksum when one is given (nothing is fetched for that), else by what the server has now."""
        if self._checksum and not _DIGEST.match(self._checksum):
            raise InvalidArgument(f"invalid checksum {self._checksum[:100]!r}: sha256: and 64 hexadecimal digits are needed")
        digest = self._checksum
        if digest:
            modified, name = 0, self._name("")
        else:
            job.begin()
            answer = await self._fetch(job)
            digest, modified, name = answer.digest, answer.modified, self._name(answer.file_name)
        style = [self._attrs.get(key, "") for key in ("http.perm", "http.uid", "http.gid")]
        return CacheMap(combine("http", digest, name, str(modified), style))

    def _name(self, offered: str) -> str:
        name = (
            self._attrs.get("http.filename", "")
            or offered
            or urllib.parse.unquote(urllib.parse.urlsplit(self._url).path).rsplit("/", 1)[-1]
        )
        name = os.path.basename(name)
        return "download" if name in ("", ".", "..") or "\0" in name else name[:255]

    async def exec(self, job: JobContext, inputs: Sequence[Result]) -> list[Result]:
        """The tree with the file."""
        answer = self._answer or await self._fetch(job)
        if self._checksum and answer.digest != self._checksum:
            raise InvalidArgument(f"digest mismatch sha256: {self._url} is {answer.digest}, and {self._checksum} was asked for")
        known = self._table.get(self._url)
        if self._file is None and known is not None:  # not modified since the last time, whose tree is still here
            old = self._kit.refs.find(str(known["ref"]))
            if old is not None:
                async with self._kit.refs.view(old) as tree:
                    return [await self._make(answer, tree / str(known["name"]), False)]
            answer = await self._fetch(job, anew=True)
        assert self._file is not None
        return [await self._make(answer, self._file, True)]

    async def _make(self, answer: _Answer, file: Path, move: bool) -> TreeRef:
        name = self._name(answer.file_name)
        draft = self._kit.refs.draft(None, description=f"http url {_shown(self._url)}")
        try:
            tree = await draft.tree()
            await aio.in_pool(self._place, file, tree / name, answer, move)
            ref = await draft.commit()
        except BaseException:
            await draft.discard()
            raise
        if answer.etag:
            row = {"etag": answer.etag, "digest": answer.digest, "modified": answer.modified, "ref": ref.id, "name": name}
            self._table.put(self._url, {**row, "file_name": answer.file_name})
        return ref

    def _place(self, file: Path, target: Path, answer: _Answer, move: bool) -> None:
        if move:
            os.rename(file, target)
        else:
            target.write_bytes(file.read_bytes())
        perm = self._attrs.get("http.perm", "")
        with contextlib.suppress(ValueError):
            os.chown(target, int(self._attrs.get("http.uid") or 0), int(self._attrs.get("http.gid") or 0))
        try:
            mode = int(perm, 0 if perm.startswith("0o") else 8) if perm else 0o600
        except ValueError:
            raise InvalidArgument(f"invalid http.perm {perm[:20]!r}") from None
        os.chmod(target, mode & 0o7777)
        os.utime(target, (answer.modified, answer.modified))

    async def _fetch(self, job: JobContext, anew: bool = False) -> _Answer:
        if self._answer is not None and not anew:
            return self._answer
        header = await self._authorization(job)
        known = None if anew else self._table.get(self._url)
        if known is not None and self._kit.refs.find(str(known["ref"])) is None:
            known = None
        place = self._kit.scratch / secrets.token_hex(8)

        async def leave() -> None:
            place.unlink(missing_ok=True)

        job.defer(leave)
        if self._url.startswith(_UPLOAD):
            self._answer, self._file = await self._upload(job, place), place
            return self._answer
        found = await aio.in_pool(_download, self._url, place, str(known["etag"]) if known else "", header, job)
        if found is None:
            assert known is not None
            self._answer = _Answer(str(known["digest"]), str(known["etag"]), int(known["modified"]), str(known["file_name"]))
        else:
            self._answer, self._file = found, place
        return self._answer

    async def _upload(self, job: JobContext, place: Path) -> _Answer:
        """What the client has on its standard input: an address of its session."""
        hasher = hashlib.sha256()
        size = 0
        with open(place, "xb") as out:
            async for data in self._kit.client().upload(job.session, urllib.parse.urlsplit(self._url).path):
                size += len(data)
                if size > _FILE_MAX:
                    raise InvalidArgument(f"the upload is larger than {_FILE_MAX >> 30} GB")
                hasher.update(data)
                out.write(data)
                job.status("uploading", current=size)
        job.status("uploading", current=size, completed=True)
        return _Answer("sha256:" + hasher.hexdigest(), "", 0, "")

    async def _authorization(self, job: JobContext) -> str:
        host = urllib.parse.urlsplit(self._url).hostname or ""
        names = [self._attrs.get("http.authheadersecret", ""), f"HTTP_AUTH_HEADER_{host}"]
        if self._kit.sessions is None:
            return ""
        for session in job.sessions:
            for name in filter(None, names):
                with contextlib.suppress(NotFound):
                    return (await self._kit.sessions.secret(session, name)).decode("latin-1").strip()
            with contextlib.suppress(NotFound):
                return "Bearer " + (await self._kit.sessions.secret(session, f"HTTP_AUTH_TOKEN_{host}")).decode("latin-1").strip()
        return ""


def _shown(url: str) -> str:
    """An address without a password."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _download(url: str, place: Path, etag: str, header: str, job: JobContext) -> _Answer | None:
    """Fetch into a new file; None when the server says that `etag` still holds. Raises InvalidArgument."""
    parts = urllib.parse.urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if at:  # a login in the address is sent as Basic, as BuildKit does
        url = urllib.parse.urlunsplit(parts._replace(netloc=host))
        header = header or "Basic " + base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode()
    request = urllib.request.Request(url, headers={"User-Agent": "scow", "Accept-Encoding": "identity"})
    if etag:
        request.add_header("If-None-Match", etag)
    if header:
        request.add_header("Authorization", header)
    opener = urllib.request.build_opener(_Redirects)
    try:
        reply = opener.open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 304 and etag:
            return None
        raise InvalidArgument(f"invalid response status {error.code} for {_shown(url)}") from None
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"cannot download {_shown(url)}: {getattr(error, 'reason', error)}") from None
    hasher = hashlib.sha256()
    size = 0
    try:
        with reply, open(place, "xb") as out:
            while data := reply.read(_CHUNK):
                size += len(data)
                if size > _FILE_MAX:
                    raise InvalidArgument(f"{_shown(url)} is larger than {_FILE_MAX >> 30} GB")
                hasher.update(data)
                out.write(data)
        length = reply.headers.get("Content-Length")
        if length and length.isdigit() and int(length) != size:
            raise InvalidArgument(f"cannot download {_shown(url)}: the server broke off after {size} of {length} bytes")
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"cannot download {_shown(url)}: {error}") from None
    changed = email.utils.parsedate_tz(reply.headers.get("Last-Modified") or "")
    named = _NAME.search(reply.headers.get("Content-Disposition") or "")
    try:
        modified = max(0, email.utils.mktime_tz(changed)) if changed else 0
    except (ValueError, OverflowError):
        modified = 0
    return _Answer("sha256:" + hasher.hexdigest(), reply.headers.get("ETag") or "", modified, named[1] if named else "")

"""Git addresses in Dockerfiles and as contexts: `https://host/repo.git#ref:dir`, `git@host:repo`, and the query form `?ref=&subdir=…`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from scow.build.llb.ops import GIT, SourceOp
from scow.errors import InvalidArgument

_SCP = re.compile(r"^(?:[a-zA-Z0-9._-]+@)[a-zA-Z0-9.-]+:(?!//)[^\s]+$")
_HTTP = re.compile(r"^https?://", re.IGNORECASE)
_KEYS = ("ref", "tag", "branch", "subdir", "commit", "checksum", "keep-git-dir", "submodules", "mtime", "fetch-by-commit")


@dataclass(frozen=True, slots=True)
class GitRef:
    """A repository, what to take of it ("" = its default branch) and a folder in it."""

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool = True

    def source(self, keep_git_dir: bool = False, checksum: str = "", attrs: Mapping[str, str] | None = None) -> SourceOp:
        """The op that fetches it."""
        short = re.sub(r"^[a-z]+://", "", self.remote)
        if _SCP.match(short):
            short = short.partition("@")[2].replace(":", "/", 1)
        fragment = self.ref + (f":{self.subdir}" if self.subdir else "")
        found = {"git.fullurl": self.remote, **(attrs or {})}
        if keep_git_dir or self.keep_git_dir:
            found["git.keepgitdir"] = "true"
        if checksum or self.checksum:
            found["git.checksum"] = checksum or self.checksum
        if not self.submodules:
            found["git.skipsubmodules"] = "true"
        return SourceOp(GIT + short + (f"#{fragment}" if fragment else ""), found)


def parse_git(text: str, context: bool = False) -> GitRef | None:
    """The repository that a text names, or None. `context`: `github.com/…` without a scheme counts, too. Raises InvalidArgument."""
    base, _, fragment = text.partition("#")
    if any(char in text for char in "\n\0 ") or base.startswith("-"):
        return None
    scheme = base.partition("://")[0].lower() if "://" in base else ""
    if scheme in ("git", "ssh"):
        return _parsed(base, fragment)
    if _SCP.match(base) and not scheme:
        return _parsed(base, fragment)
    if scheme in ("http", "https") and urlsplit(base).path.endswith(".git"):
        return _parsed(base, fragment)
    if not scheme and base.startswith("github.com/") and (context or base.endswith(".git")):
        return _parsed("https://" + base, fragment)
    return None


def is_http(text: str) -> bool:
    """Whether a source is a URL to download."""
    return bool(_HTTP.match(text))


def _parsed(base: str, fragment: str) -> GitRef:
    query: dict[str, str] = {}
    if "?" in base and "://" in base:
        parts = urlsplit(base)
        for key, value in parse_qsl(parts.query, keep_blank_values=True, max_num_fields=32):
            if key not in _KEYS:
                raise InvalidArgument(f'unexpected query "{key}" in the git address {base}: use {", ".join(_KEYS)}')
            if key in query:
                raise InvalidArgument(f'query "{key}" is given twice in the git address {base}')
            query[key] = value
        base = urlunsplit(parts._replace(query=""))
    ref, _, subdir = fragment.partition(":")
    if ref and ("ref" in query or "branch" in query or "tag" in query):
        raise InvalidArgument(f"the git address {base} names a ref twice")
    if "tag" in query:
        ref = f"refs/tags/{query['tag']}"
    elif "branch" in query:
        ref = f"refs/heads/{query['branch']}"
    ref = query.get("ref", ref)
    subdir = query.get("subdir", subdir)
    if ".." in subdir.split("/"):
        raise InvalidArgument(f"invalid subdir in the git address {base}: it must stay inside of the repository")
    if ref.startswith("-"):
        raise InvalidArgument(f"invalid ref in the git address {base}")
    checksum = query.get("commit") or query.get("checksum") or ""
    ref = ref or checksum
    keep = query.get("keep-git-dir")
    return GitRef(
        base,
        ref,
        subdir.strip("/"),
        checksum,
        None if keep is None else keep not in ("0", "false"),
        query.get("submodules", "true") not in ("0", "false"),
    )

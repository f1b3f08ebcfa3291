"""Names as the distribution specification has them: repositories, tags, digests, paths of requests. Pure."""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from scow.errors import InvalidArgument
from scow.registryd import errors

_PART = r"[a-z0-9]+(?:(?:\.|__|_|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})\Z")
_NAME_GLOB = re.compile(r"[a-z0-9*?][a-z0-9._/*?-]*\Z")
_TAG_GLOB = re.compile(r"[a-zA-Z0-9_*?][a-zA-Z0-9._*?-]*\Z")
_UPLOAD = re.compile(r"[0-9a-f]{32}\Z")
_NAME_MAX = 255
_PATH_MAX = 1024


@dataclass(frozen=True, slots=True)
class Route:
    """Which endpoint a path means: `kind` is ping, catalog, tags, referrers, manifest, blob, uploads (begin) or upload (one session)."""

    kind: str
    name: str = ""
    reference: str = ""


def valid_name(text: str) -> bool:
    """Whether the text may be a repository's name."""
    return len(text) <= _NAME_MAX and _NAME.match(text) is not None


def valid_tag(text: str) -> bool:
    """Whether the text may be a tag."""
    return _TAG.match(text) is not None


def valid_digest(text: str) -> bool:
    """Whether the text is a digest of an algorithm that is known."""
    return _DIGEST.match(text) is not None


def digest(text: str) -> str:
    """The digest. Raises Refused (DIGEST_INVALID)."""
    if not valid_digest(text):
        raise errors.digest_invalid("the digest must be sha256, sha384 or sha512 in lower-case hex")
    return text


def route(path: str) -> Route | None:
    """The endpoint of a path (percent-encoded); None where there is none. Raises Refused for bad names."""
    if len(path) > _PATH_MAX:
        raise errors.name_invalid("the path is too long")
    path = unquote(path, errors="replace")
    if path in ("/v2/", "/v2"):
        return Route("ping")
    if path == "/v2/_catalog":
        return Route("catalog")
    if not path.startswith("/v2/"):
        return None
    segments = path[4:].split("/")
    if len(segments) >= 3 and segments[-2:] == ["tags", "list"]:
        return Route("tags", _checked(segments[:-2]))
    if len(segments) >= 4 and segments[-3:-1] == ["blobs", "uploads"]:
        name, identity = _checked(segments[:-3]), segments[-1]
        if not identity:
            return Route("uploads", name)
        if not _UPLOAD.match(identity):
            raise errors.upload_unknown()
        return Route("upload", name, identity)
    if len(segments) >= 3 and segments[-2:] == ["blobs", "uploads"]:
        return Route("uploads", _checked(segments[:-2]))
    if len(segments) >= 3 and segments[-2] == "manifests":
        name, reference = _checked(segments[:-2]), segments[-1]
        if not (valid_digest(reference) if ":" in reference else valid_tag(reference)):
            raise errors.digest_invalid("invalid digest") if ":" in reference else errors.tag_invalid()
        return Route("manifest", name, reference)
    if len(segments) >= 3 and segments[-2] in ("blobs", "referrers"):
        kind = "blob" if segments[-2] == "blobs" else "referrers"
        return Route(kind, _checked(segments[:-2]), digest(segments[-1]))
    return None


def _checked(segments: list[str]) -> str:
    name = "/".join(segments)
    if not valid_name(name):
        raise errors.name_invalid("a repository's name is made of lower-case letters, digits, single . _ - and /, at most 255 characters")
    return name


@lru_cache(maxsize=8192)
def matches(pattern: str, name: str) -> bool:
    """Whether a glob fits a name: `*` and `?` stay within a part, `**` crosses slashes, `a/**` fits `a` as well.

    All places in the name that the pattern's beginning may reach are followed at once, as bits: no pattern and no name takes long.
    """
    if pattern == "**" or (pattern.endswith("/**") and name == pattern[:-3]):
        return True
    inside = sum(1 << at for at, char in enumerate(name) if char != "/")
    places, at = 1, 0
    while at < len(pattern) and places:
        char = pattern[at]
        if pattern.startswith("**", at):
            at += 1
            places = (1 << len(name) + 1) - (places & -places)
        elif char == "*":
            reached = 0
            while reached != places:
                reached = places
                places |= (places & inside) << 1
        elif char == "?":
            places = (places & inside) << 1
        else:
            places = sum(1 << place + 1 for place, own in enumerate(name) if own == char and places >> place & 1)
        at += 1
    return bool(places >> len(name) & 1)


def check_pattern(pattern: str, tags: bool = False) -> str:
    """A glob for repositories (or tags) as users may give it: bounded, because it is matched often. Raises InvalidArgument."""
    what, allowed = ("tags", _TAG_GLOB) if tags else ("repositories", _NAME_GLOB)
    if len(pattern) > _NAME_MAX or pattern.count("*") > 8:
        raise InvalidArgument(f"invalid pattern {pattern[:100]!r}: at most 255 characters and 8 stars")
    if not allowed.match(pattern) or (not tags and (".." in pattern or "//" in pattern)):
        # it would be stored and never fit anything
        letters = "letters" if tags else "lower-case letters"
        raise InvalidArgument(f"invalid pattern {pattern!r} for {what}: {letters}, digits and . _ -{'' if tags else ' /'} with *, ** and ?")
    return pattern

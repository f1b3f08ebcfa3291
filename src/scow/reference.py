"""Image names: `[domain/]path[:tag][@digest]`, read and written as Docker's clients do. Pure; used by images, the registry side, the
API and the CLI."""

import re
from dataclasses import dataclass, replace

from scow.errors import InvalidArgument

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
MAX_NAME = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z")
_HEX64 = re.compile(r"[a-f0-9]{64}\Z")


class BadReference(InvalidArgument):
    """The text is no image name."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("invalid reference format" + (f": {detail}" if detail else ""))


@dataclass(frozen=True, slots=True)
class Reference:
    """A normalised image name: `domain` is never empty (docker.io by default), `tag` and `digest` may be "" ."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Reads what a user types: `ubuntu` becomes docker.io/library/ubuntu; no tag is added. Raises BadReference."""
        if not text or len(text) > 1024:
            raise BadReference
        if _HEX64.match(text):
            raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
        rest, at, digest = text.partition("@")
        if at and not _valid_digest(digest):
            raise BadReference
        tag = ""
        slash = rest.rfind("/")
        colon = rest.find(":", slash + 1)
        if colon >= 0:
            tag = rest[colon + 1 :]
            rest = rest[:colon]
            if not _TAG.match(tag):
                raise BadReference
        first, sep, remainder = rest.partition("/")
        if sep and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
            domain, path = first, remainder
        else:
            domain, path = DEFAULT_DOMAIN, rest
        if domain == "index.docker.io":
            domain = DEFAULT_DOMAIN
        if domain == DEFAULT_DOMAIN and path and "/" not in path:
            path = "library/" + path
        if path.lower() != path:
            raise BadReference(f"repository name ({path}) must be lowercase")
        if not _PATH.match(path) or not _DOMAIN.match(domain):
            raise BadReference
        if len(path) > MAX_NAME:
            raise InvalidArgument(f"repository name must not be more than {MAX_NAME} characters")
        return cls(domain, path, tag, digest)

    @property
    def name(self) -> str:
        """`docker.io/library/ubuntu`."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """`ubuntu`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        if self.path.startswith("library/") and "/" not in self.path[8:]:
            return self.path[8:]
        return self.path

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def familiar(self) -> str:
        """The short form people read: `ubuntu:22.04`."""
        return self.familiar_name + self._suffix()

    def full(self) -> str:
        """The complete form: `docker.io/library/ubuntu:22.04`."""
        return self.name + self._suffix()

    def tagged(self) -> "Reference":
        """With `latest` where neither tag nor digest is given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def with_tag(self, tag: str) -> "Reference":
        """The same repository under another tag. Raises BadReference."""
        if not _TAG.match(tag):
            raise BadReference
        return replace(self, tag=tag, digest="")


def _valid_digest(text: str) -> bool:
    if not _DIGEST.match(text):
        return False
    algorithm, _, value = text.partition(":")
    sizes = {"sha256": 64, "sha384": 96, "sha512": 128}
    return algorithm in sizes and len(value) == sizes[algorithm] and value == value.lower()


def valid_digest(text: str) -> bool:
    """Whether the text is `sha256:<64 hex>` (or sha384, sha512)."""
    return _valid_digest(text)


def parse_normalized(text: str) -> Reference:
    """As Reference.parse, with `latest` where neither tag nor digest is given."""
    return Reference.parse(text).tagged()

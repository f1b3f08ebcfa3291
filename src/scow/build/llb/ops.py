"""The operations of a build graph, as frozen data. Mirrors BuildKit's `pb.Op` field by field, so that `wire.py` is a plain mapping.

Made by `dockerfile/convert.py` (through `Builder`) and by `wire.py` (from a client's definition); read by the solver and `build/ops/`.
Paths in ops are absolute paths inside the tree they speak of. Times are nanoseconds since the epoch, -1 = not set.
Modes are Unix bits, -1 = not set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

EMPTY = -1
"""As an input index of a mount or action: an empty tree. As an output: nothing is kept."""

# Identifiers of sources
IMAGE = "docker-image://"
LOCAL = "local://"
GIT = "git://"
HTTP = "http://"
HTTPS = "https://"
OCI_LAYOUT = "oci-layout://"
BLOB = "docker-image+blob://"


@dataclass(frozen=True, slots=True)
class Platform:
    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True)
class Input:
    """The tree `index` of those that the vertex `digest` makes."""

    digest: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class ProgressGroup:
    id: str
    name: str
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Meta:
    """What is said about a vertex and is no part of its digest."""

    name: str = ""
    """Shown to the user: `[build 2/3] RUN make`; BuildKit's `llb.customname`."""
    ignore_cache: bool = False
    progress_group: ProgressGroup | None = None
    description: Mapping[str, str] = field(default_factory=dict)
    export_cache: bool | None = None


# ---- sources -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceOp:
    """A tree from outside. Attrs (BuildKit's names): `local.session local.includepattern local.followpaths local.excludepatterns
    local.sharedkeyhint local.differ local.unique`, `image.resolvemode image.recordtype`, `http.checksum http.filename http.perm http.uid
    http.gid`, `git.keepgitdir git.fullurl git.checksum git.authtokensecret git.authheadersecret git.knownsshhosts git.mountsshsock`."""

    identifier: str
    attrs: Mapping[str, str] = field(default_factory=dict)


# ---- exec ----------------------------------------------------------------------------------------------------------------------


class MountKind(StrEnum):
    BIND = "bind"
    CACHE = "cache"
    TMPFS = "tmpfs"
    SECRET = "secret"
    SSH = "ssh"


class Sharing(StrEnum):
    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


class Network(StrEnum):
    DEFAULT = "default"
    HOST = "host"
    NONE = "none"


class Security(StrEnum):
    SANDBOX = "sandbox"
    INSECURE = "insecure"


@dataclass(frozen=True, slots=True)
class ExecMount:
    """One mount of a step. The one with `dest` "/" is the root."""

    dest: str
    input: int = EMPTY
    """Index in the vertex's inputs, EMPTY = start with an empty tree."""
    selector: str = ""
    """Path inside the input that is mounted; "" = the whole tree."""
    output: int = EMPTY
    """Which result the tree is afterwards, EMPTY = changes are thrown away."""
    readonly: bool = False
    kind: MountKind = MountKind.BIND
    cache_id: str = ""
    sharing: Sharing = Sharing.SHARED
    size: int = 0
    """Of a tmpfs, bytes; 0 = no limit."""
    id: str = ""
    """Of a secret or ssh agent, the name the client knows."""
    uid: int = 0
    gid: int = 0
    mode: int = 0o400
    optional: bool = False


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """A secret that becomes a variable of the step's environment; never stored."""

    id: str
    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Ulimit:
    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class HostIP:
    host: str
    ip: str


@dataclass(frozen=True, slots=True)
class ProxyEnv:
    """Proxy variables: set for the process, no part of the cache key."""

    http_proxy: str = ""
    https_proxy: str = ""
    ftp_proxy: str = ""
    no_proxy: str = ""
    all_proxy: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A device by its CDI name. An optional one that is not there is left out."""

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ExecOp:
    """One process on a tree. `valid_exit_codes` empty = only 0."""

    args: tuple[str, ...]
    mounts: tuple[ExecMount, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    hostname: str = ""
    extra_hosts: tuple[HostIP, ...] = ()
    network: Network = Network.DEFAULT
    security: Security = Security.SANDBOX
    proxy_env: ProxyEnv | None = None
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    secret_env: tuple[SecretEnv, ...] = ()
    devices: tuple[Device, ...] = ()
    shm_size: int = 0
    """Bytes of /dev/shm, 0 = 64 MiB. Not in pb.Op (BuildKit passes it in the frontend's options); part of the digest all the same."""
    valid_exit_codes: tuple[int, ...] = ()


# ---- files ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a file belongs to: a number, or a name to be looked up in the passwd and group files of the tree `user_lookup` or `group_lookup`
    (an index as in `FileAction`, EMPTY = the tree that is written to). None = not said."""

    user: int | str | None = None
    group: int | str | None = None
    user_lookup: int = EMPTY
    group_lookup: int = EMPTY


@dataclass(frozen=True, slots=True)
class Copy:
    src: str
    dest: str
    owner: Owner | None = None
    mode: int = -1
    mode_str: str = ""
    """Symbolic mode, as `u=rwX,go=rX`."""
    follow_symlink: bool = False
    dir_copy_contents: bool = False
    attempt_unpack: bool = False
    create_dest_path: bool = False
    allow_wildcard: bool = False
    allow_empty_wildcard: bool = False
    timestamp: int = -1
    include_patterns: tuple[str, ...] = ()
    exclude_patterns: tuple[str, ...] = ()
    always_replace: bool = False
    required_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mkfile:
    path: str
    data: bytes
    mode: int = 0o644
    owner: Owner | None = None
    timestamp: int = -1


@dataclass(frozen=True, slots=True)
class Mkdir:
    path: str
    mode: int = 0o755
    make_parents: bool = False
    owner: Owner | None = None
    timestamp: int = -1


@dataclass(frozen=True, slots=True)
class Rm:
    path: str
    allow_not_found: bool = False
    allow_wildcard: bool = False


@dataclass(frozen=True, slots=True)
class Symlink:
    old_path: str
    new_path: str
    owner: Owner | None = None
    timestamp: int = -1


Action = Copy | Mkfile | Mkdir | Rm | Symlink


@dataclass(frozen=True, slots=True)
class FileAction:
    """`input` is changed by `action` (reading `secondary` for a copy). An index below the number of the vertex's inputs names an input, the
    next ones name the results of earlier actions, EMPTY an empty tree. `output` = which result of the vertex it is, EMPTY = none."""

    action: Action
    input: int = EMPTY
    secondary: int = EMPTY
    output: int = EMPTY


@dataclass(frozen=True, slots=True)
class FileOp:
    actions: tuple[FileAction, ...]


@dataclass(frozen=True, slots=True)
class MergeOp:
    """Trees laid over each other, the last one on top. `inputs` are indexes into the vertex's inputs."""

    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DiffOp:
    """What `upper` has that `lower` has not (index, EMPTY = an empty tree)."""

    lower: int
    upper: int


@dataclass(frozen=True, slots=True)
class BuildOp:
    """A definition read from an input and built (nested LLB)."""

    builder: int
    attrs: Mapping[str, str] = field(default_factory=dict)
    definition: bytes = b""


Op = SourceOp | ExecOp | FileOp | MergeOp | DiffOp | BuildOp


# ---- the graph -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vertex:
    digest: str
    op: Op
    inputs: tuple[Input, ...] = ()
    platform: Platform | None = None
    meta: Meta = Meta()
    constraints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """Lines (from 1) of a source; characters from 0."""

    start: int
    end: int
    start_character: int = 0
    end_character: int = 0


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """A file that the graph was made from (a Dockerfile)."""

    filename: str
    data: bytes
    language: str = "Dockerfile"


@dataclass(frozen=True, slots=True)
class Location:
    """Lines of `Definition.infos[source]`."""

    source: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Definition:
    """A graph: vertices by digest, each after its inputs; the root is the result (None = an empty tree, `FROM scratch` alone)."""

    vertices: Mapping[str, Vertex] = field(default_factory=dict)
    root: Input | None = None
    infos: tuple[SourceInfo, ...] = ()
    locations: Mapping[str, tuple[Location, ...]] = field(default_factory=dict)

    def upward(self, root: Input | None = None) -> list[Vertex]:
        """The vertices that `root` (default: the definition's) needs, each after its inputs."""
        start = root or self.root
        if start is None:
            return []
        needed = {start.digest}
        for digest in reversed(list(self.vertices)):
            if digest in needed:
                needed.update(one.digest for one in self.vertices[digest].inputs)
        return [vertex for digest, vertex in self.vertices.items() if digest in needed]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, *[_plain(getattr(value, one.name)) for one in fields(value)]]
    if isinstance(value, bytes):
        return ["b", hashlib.sha256(value).hexdigest()]
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in sorted(value.items())}
    return value


def digest_of(op: Op, inputs: tuple[Input, ...], platform: Platform | None) -> str:
    """sha256 of the canonical serialisation of a vertex that was made here (one from a client has the digest of its protobuf bytes)."""
    text = json.dumps([_plain(op), _plain(inputs), _plain(platform)], separators=(",", ":"), sort_keys=True, ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


class Builder:
    """Collects vertices in topological order; the same vertex twice is one."""

    def __init__(self) -> None:
        self.vertices: dict[str, Vertex] = {}
        self.locations: dict[str, tuple[Location, ...]] = {}

    def add(
        self,
        op: Op,
        inputs: tuple[Input, ...] = (),
        platform: Platform | None = None,
        meta: Meta | None = None,
        location: Location | None = None,
    ) -> str:
        """Adds one vertex; answers its digest. `Input(digest, n)` names its results."""
        digest = digest_of(op, inputs, platform)
        if digest not in self.vertices:
            self.vertices[digest] = Vertex(digest, op, inputs, platform, meta or Meta())
        if location is not None and location not in self.locations.get(digest, ()):
            self.locations[digest] = (*self.locations.get(digest, ()), location)
        return digest

    def definition(self, root: Input | None, infos: tuple[SourceInfo, ...] = ()) -> Definition:
        return Definition(dict(self.vertices), root, infos, dict(self.locations))

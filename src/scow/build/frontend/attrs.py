"""The options that clients give to `dockerfile.v0`, by BuildKit's names (facts of the protocol)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from scow.build.dockerfile.convert import platform_of
from scow.build.dockerfile.lexer import FALSE, TRUE
from scow.build.dockerfile.linter.lint import LintConfig
from scow.build.llb.ops import HostIP, Network, Platform, Ulimit
from scow.errors import InvalidArgument, Unsupported
from scow.opts import ulimits
from scow.opts.networks import parse_host

_NETWORKS = {"": Network.DEFAULT, "default": Network.DEFAULT, "none": Network.NONE, "host": Network.HOST, "sandbox": Network.DEFAULT}
MAX_PLATFORMS = 32


@dataclass(frozen=True, slots=True)
class Asked:
    """The options, read."""

    filename: str = "Dockerfile"
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    input_metadata: Mapping[str, str] = field(default_factory=dict)
    local_sessions: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[Platform, ...] = ()
    """Those asked for; () = this machine's."""
    multi: bool = False
    """The answer is one result for each platform."""
    no_cache: tuple[str, ...] | None = None
    pull: str = "default"
    network: Network = Network.DEFAULT
    extra_hosts: tuple[HostIP, ...] = ()
    shm_size: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    hostname: str = ""
    cache_namespace: str = ""
    epoch: int | None = None
    lint: LintConfig = LintConfig()
    request: str = ""
    """A question instead of a build: `frontend.outline`…"""
    syntax: str = ""
    context_name: str = "context"
    dockerfile_name: str = ""
    """Local name of the Dockerfile's directory, when it was chosen by the client."""
    context: str = ""
    """A git or http address that is the context."""
    subdir: str = ""
    keep_git_dir: bool = False


def read(options: Mapping[str, str]) -> Asked:
    """Raises InvalidArgument."""
    args = _below(options, "build-arg:")
    platforms = _platforms(options.get("platform", ""))
    multi = _multi(options.get("multi-platform") or args.get("BUILDKIT_MULTI_PLATFORM", ""), len(platforms) > 1)
    name = options.get("contextkey") or "context"
    no_cache = options.get("no-cache")
    return Asked(
        filename=options.get("filename") or "Dockerfile",
        target=options.get("target", ""),
        build_args=args,
        labels=_below(options, "label:"),
        contexts=_below(options, "context:"),
        input_metadata=_below(options, "input-metadata:"),
        local_sessions=_below(options, "local-sessionid:"),
        platforms=platforms,
        multi=multi,
        no_cache=None if no_cache is None else tuple(one for one in no_cache.split(",") if one),
        pull=_pull(options.get("image-resolve-mode", "")),
        network=_network(options.get("force-network-mode", "")),
        extra_hosts=_hosts(options.get("add-hosts", "")),
        shm_size=_size(options.get("shm-size", "")),
        ulimits=_ulimits(options.get("ulimit", "")),
        cgroup_parent=options.get("cgroup-parent", ""),
        hostname=args.get("BUILDKIT_SANDBOX_HOSTNAME") or options.get("hostname", ""),
        cache_namespace=args.get("BUILDKIT_CACHE_MOUNT_NS", ""),
        epoch=_epoch(args.get("SOURCE_DATE_EPOCH", "")),
        lint=LintConfig.parse(args.get("BUILDKIT_DOCKERFILE_CHECK", "")),
        request=options.get("requestid", ""),
        syntax=args.get("BUILDKIT_SYNTAX", "") if "cmdline" not in options else "",
        context_name=name,
        dockerfile_name=options.get("dockerfilekey", ""),
        context=options.get(name, ""),
        subdir=options.get("contextsubdir", ""),
        keep_git_dir=args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "") in TRUE,
    )


def _below(options: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in options.items() if key.startswith(prefix)}


def _platforms(text: str) -> tuple[Platform, ...]:
    found = tuple(dict.fromkeys(platform_of(one.strip()) for one in text.split(",") if one.strip()))
    if len(found) > MAX_PLATFORMS:
        raise InvalidArgument(f"more than {MAX_PLATFORMS} platforms")
    return found


def _multi(text: str, several: bool) -> bool:
    if not text:
        return several
    if text not in TRUE and text not in FALSE:
        raise InvalidArgument(f"invalid boolean value for multi-platform: {text}")
    if text in FALSE and several:
        raise InvalidArgument("conflicting config: returning multiple target platforms is not allowed")
    return text in TRUE


def _pull(text: str) -> str:
    if text not in ("", "default", "pull", "local"):
        raise InvalidArgument(f"invalid image-resolve-mode: {text}: use default, pull or local")
    return text or "default"


def _network(text: str) -> Network:
    if text not in _NETWORKS:
        raise InvalidArgument(f'network mode "{text}" not supported by buildkit: use default, none or host')
    return _NETWORKS[text]


def _hosts(text: str) -> tuple[HostIP, ...]:
    found = []
    for one in text.split(",") if text else []:
        host, sign, ip = one.partition("=")
        if not sign or not host or not ip:
            raise InvalidArgument(f"failed to parse additional hosts: invalid key-value pair format: {one}")
        found.append(HostIP(host, ip.strip("[]")))
        if ip != "host-gateway":
            parse_host(f"{host}:{ip.strip('[]')}")
    return tuple(found)


def _size(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidArgument(f"failed to parse shm size: {text}")
    return int(text)


def _ulimits(text: str) -> tuple[Ulimit, ...]:
    if not text:
        return ()
    import csv

    try:
        fields = next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration):
        raise InvalidArgument(f"failed to parse ulimit: {text}") from None
    return tuple(Ulimit(*ulimits.parse(field)) for field in fields)


def _epoch(text: str) -> int | None:
    if not text or text == "context":
        return None
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        raise InvalidArgument(f"invalid SOURCE_DATE_EPOCH: {text}: seconds since 1970 are needed")
    return int(text)


def input_config(text: str) -> dict[str, object] | None:
    """The image config in the metadata of an `input:` context (Go's JSON of bytes: base64). Raises InvalidArgument."""
    import base64

    try:
        found = json.loads(text)
        data = found.get("containerimage.config")
        if not data:
            return None
        config = json.loads(base64.b64decode(data))
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise InvalidArgument("failed to parse the metadata of an input context") from None
    return config if isinstance(config, dict) else None


SYNTAXES = ("docker/dockerfile", "docker/dockerfile-upstream")


def check_syntax(name: str) -> None:
    """Whether a `# syntax=` image is the frontend that is built in. Raises Unsupported."""
    ref = name.strip().split()[0] if name.strip() else ""
    bare = ref.removeprefix("docker.io/").removeprefix("index.docker.io/").partition("@")[0]
    repository, _, tag = bare.partition(":")
    known = not tag or tag in ("latest", "labs", "experimental", "master", "master-labs") or tag == "1" or tag.startswith(("1.", "1-"))
    if repository in SYNTAXES and known:
        return
    raise Unsupported(
        f"failed to resolve {ref or name!r}: this engine has the Dockerfile frontend (docker/dockerfile:1) built in and runs no other; "
        "remove the syntax line, or name that one"
    )

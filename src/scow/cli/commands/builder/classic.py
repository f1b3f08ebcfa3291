"""`scow build` through `POST /build`: the classic builder. The context is sent as a tar, progress comes back as lines."""

import os
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from scow.cli import credentials, transfers
from scow.cli.command import Cli, ExitCode
from scow.cli.commands.builder import context
from scow.cli.flags import Options
from scow.client.api import json_values
from scow.client.transport import ApiError
from scow.errors import ScowError
from scow.opts import env as envlib
from scow.opts import ulimits
from scow.opts.ignore import Ignore
from scow.units import human_size

_REDRAW = 512 * 1024
PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "noProxy": "NO_PROXY",
    "ftpProxy": "FTP_PROXY",
    "allProxy": "ALL_PROXY",
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent: the Dockerfile's name in the archive, and the archive's pieces."""

    dockerfile: str
    pieces: Iterable[bytes]


def build(cli: Cli, options: Options, where: str) -> int:
    """Build; the exit code is that of the failed step, where the engine tells it."""
    with ExitStack() as stack:
        sent = prepare(options, where, stack)
        quiet = options.flag("quiet")
        params = parameters(cli, options) | {"dockerfile": sent.dockerfile, "buildid": secrets.token_hex(16)}
        headers = {"X-Registry-Config": _logins(cli), "Content-Type": "application/x-tar"}
        pieces = sent.pieces if quiet else _metered(cli, sent.pieces)
        if options.flag("compress"):
            pieces = _gzipped(pieces)
        try:
            return _run(cli, options, params, headers, pieces)
        except KeyboardInterrupt:
            _cancel(cli, params["buildid"])
            raise


def _run(cli: Cli, options: Options, params: dict[str, Any], headers: dict[str, str], pieces: Iterable[bytes]) -> int:
    quiet = options.flag("quiet")
    image = ""
    held: list[str] = []
    with cli.client.call("POST", "/build", params, pieces, headers) as response:

        def lines() -> Iterator[dict[str, Any]]:
            nonlocal image
            for line in json_values(response.iterate()):
                aux = line.get("aux")
                if isinstance(aux, dict) and aux.get("ID"):
                    image = str(aux["ID"])
                detail = line.get("errorDetail") or {}
                if line.get("error") or detail:
                    code = detail.get("code")
                    message = str(detail.get("message") or line.get("error"))
                    raise ExitCode(code if isinstance(code, int) and 0 < code < 256 else 1, "".join(held) + message)
                if quiet:
                    if line.get("stream"):
                        held.append(str(line["stream"]))
                    continue
                yield line

        transfers.show(cli, lines())
    if quiet:
        image = image or next((text.strip() for text in reversed(held) if text.strip()), "")
        cli.out(f"{image}\n")
    if options.text("iidfile"):
        if not image:
            raise ScowError(f"server did not provide an image ID. Cannot write {options.text('iidfile')}")
        write_file(options.text("iidfile"), image.encode())
    return 0


def write_file(path: str, data: bytes) -> None:
    """Write a file that the user named, whole or not at all. Raises ScowError."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError as exc:
        raise ScowError(f"open {path}: {(exc.strerror or str(exc)).lower()}") from None


def _cancel(cli: Cli, build: str) -> None:
    """Tell the engine to stop (it also does when the connection closes)."""
    try:
        cli.redial().post("/build/cancel", {"id": build})
    except (ScowError, ApiError, OSError):
        pass


# ---- what is sent ----------------------------------------------------------------------------------------------------------------


def prepare(options: Options, where: str, stack: ExitStack) -> Sent:
    """The context that the command line names. Raises ScowError."""
    given = options.text("file")
    if where == "-":
        if given == "-":
            raise ScowError("invalid argument: can't use stdin for both build context and dockerfile")
        return _stream(sys.stdin.buffer.read(), given)
    if context.is_git(where):
        folder = context.clone(where, stack.enter_context(tempfile.TemporaryDirectory(prefix="scow-build-git")))
        return _directory(folder, os.path.join(folder, given) if given and given != "-" else given)
    if context.is_url(where):
        return _stream(context.download(where), given, where)
    if not os.path.isdir(where):
        if os.path.exists(where):
            raise ScowError(f"unable to prepare context: context must be a directory: {os.path.abspath(where)}")
        raise ScowError(f'unable to prepare context: path "{where}" not found')
    return _directory(where, given)


def _stream(data: bytes, given: str, where: str = "") -> Sent:
    """Standard input or a download: an archive, or a Dockerfile alone."""
    if context.is_archive(data[:512]):
        if given == "-":
            return _added_to_archive(data, sys.stdin.buffer.read())
        return Sent(given or "Dockerfile", (data[at : at + context.CHUNK] for at in range(0, len(data), context.CHUNK)))
    if given and given != "-":
        raise ScowError("ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles")
    if not data.strip():
        raise ScowError("unable to prepare context: the Dockerfile from " + (where or "standard input") + " is empty")
    name = _unique()
    return Sent(name, context.archive((), [(name, data)]))


def _added_to_archive(data: bytes, dockerfile: bytes) -> Sent:
    """An archive with the Dockerfile of standard input added: repacked, as the end of a tar cannot be found without reading it."""
    import io
    import tarfile

    name = _unique()
    out = io.BytesIO()
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as source, tarfile.open(fileobj=out, mode="w") as made:
            for member in source:
                made.addfile(member, source.extractfile(member) if member.isreg() else None)
            info = tarfile.TarInfo(name)
            info.size = len(dockerfile)
            made.addfile(info, io.BytesIO(dockerfile))
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise ScowError(f"unable to prepare context: the context is no tar archive: {exc}") from None
    return Sent(name, iter([out.getvalue()]))


def _directory(folder: str, given: str) -> Sent:
    added: list[tuple[str, bytes]] = []
    without: set[str] = set()
    rules = _ignored(folder)
    if given == "-":
        name, data = _unique(), sys.stdin.buffer.read()
    else:
        name, path = context.find_dockerfile(folder, given)
        data = b""
        if not name:
            name, data = _unique(), context.read_file(path)
    if data or given == "-":
        # the engine takes it out of the context again, as .dockerignore says
        added = [(name, data), (".dockerignore", ("\n".join([*rules, name, *([] if rules else [".dockerignore"])]) + "\n").encode())]
        without.add(".dockerignore")
    kept = [*rules, f"!{name}", "!.dockerignore"] if rules else []
    found = context.entries(folder, Ignore(kept) if kept else None)
    return Sent(name, context.archive(found, added, frozenset(without)))


def _ignored(folder: str) -> list[str]:
    from scow.opts import ignore

    path = os.path.join(folder, ".dockerignore")
    if not os.path.isfile(path):
        return []
    return ignore.lines(context.read_file(path).decode("utf-8", "replace"))


def _unique() -> str:
    return f".dockerfile.{secrets.token_hex(10)}"


def _metered(cli: Cli, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, with docker's line about them."""
    from scow.cli.terminal import is_terminal

    live = is_terminal(1)
    done = shown = 0
    text = ""
    for piece in pieces:
        done += len(piece)
        text = f"Sending build context to Docker daemon  {human_size(done)}"
        if live and done - shown >= _REDRAW:
            cli.out(f"{text}\r")
            cli.flush()
            shown = done
        yield piece
    cli.out(f"{text}\r\r\n")
    cli.flush()


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    import zlib

    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    for piece in pieces:
        if data := packer.compress(piece):
            yield data
    yield packer.flush()


# ---- the request -----------------------------------------------------------------------------------------------------------------


def build_args(cli: Cli, options: Options) -> dict[str, str | None]:
    """--build-arg, and the proxies that the configuration file names for this engine. A name without value is taken from the environment."""
    found: dict[str, str | None] = {}
    for word in options.list("build-arg"):
        name, has, value = word.partition("=")
        if not name:
            raise ScowError(f'invalid argument "{word}" for "--build-arg" flag: invalid environment variable: {word}')
        if has:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
        else:
            found[name] = None
    configured = cli.config.get("proxies")
    chosen: object = None
    if isinstance(configured, dict):
        chosen = configured.get(cli.client.transport.endpoint.url) or configured.get("default")
    if isinstance(chosen, dict):
        for key, upper in PROXIES.items():
            proxy = chosen.get(key)
            if isinstance(proxy, str) and proxy:
                found.setdefault(upper, proxy)
                found.setdefault(upper.lower(), proxy)
    return found


def parameters(cli: Cli, options: Options) -> dict[str, Any]:
    """The query of `POST /build`. Raises ScowError."""
    from scow import fastjson

    limits = [ulimits.parse(word) for word in options.list("ulimit")]
    return {
        "t": options.list("tag"),
        "remote": None,
        "rm": "1" if options.flag("rm") else "0",
        "forcerm": options.flag("force-rm"),
        "nocache": options.flag("no-cache"),
        "pull": options.flag("pull"),
        "q": options.flag("quiet"),
        "squash": options.flag("squash"),
        "memory": options.number("memory") or None,
        "memswap": options.number("memory-swap") or None,
        "cpushares": options.number("cpu-shares") or None,
        "cpuperiod": options.number("cpu-period") or None,
        "cpuquota": options.number("cpu-quota") or None,
        "cpusetcpus": options.text("cpuset-cpus") or None,
        "cpusetmems": options.text("cpuset-mems") or None,
        "cgroupparent": options.text("cgroup-parent") or None,
        "shmsize": options.number("shm-size") or None,
        "networkmode": options.text("network"),
        "extrahosts": options.list("add-host"),
        "isolation": options.text("isolation") or None,
        "target": options.text("target") or None,
        "platform": options.text("platform") or None,
        "ulimits": fastjson.dumps([{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in limits]) if limits else None,
        "buildargs": fastjson.dumps(build_args(cli, options)),
        "labels": fastjson.dumps(envlib.mapping(options.list("label"))),
        "cachefrom": fastjson.dumps(options.list("cache-from")) if options.list("cache-from") else None,
        "securityopt": fastjson.dumps(options.list("security-opt")) if options.list("security-opt") else None,
        "version": "1",
    }


def _logins(cli: Cli) -> str:
    """X-Registry-Config: every login that the configuration knows. A helper that fails is no reason to fail."""
    import base64
    import json

    names = {*(cli.config.get("auths") or {}), *(cli.config.get("credHelpers") or {})}
    found = {}
    for name in sorted(str(one) for one in names):
        try:
            auth = credentials.get(cli, name)
        except ScowError:
            continue
        if auth:
            found[name] = auth
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode()

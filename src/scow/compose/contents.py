"""Configs and secrets of a service (and its env files): where they lie in a container, what they hold, and what a change of that does. Used
by `create.py`, `reconcile.py` and `execute/`."""

from __future__ import annotations

from scow.compose.model.build import FileUse
from scow.compose.model.project import FileObject, Project
from scow.compose.model.service import Service
from scow.compose.records import record
from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


@record(frozen=True, slots=True)
class Placed:
    """A config or secret of a container: a file of the client's at `source`, or `content` put in place."""

    target: str
    source: str
    content: bytes
    uid: int
    gid: int
    mode: int
    reaction: str


def on_change(name: str, extensions: Mapping[str, Any]) -> tuple[str, str]:
    """(what a change of content does: recreate, signal or ignore; the signal), of `x-on-change: signal` (HUP) or `{signal: USR1}` of a
    config, a secret, or a service (for its env files). Raises ScowError."""
    asked = extensions.get("x-on-change", "recreate")
    word, signal = ("signal", asked.get("signal")) if isinstance(asked, dict) else (asked, "HUP")
    if word not in ("recreate", "signal", "ignore") or not isinstance(signal, str) or not signal:
        raise ScowError(f"{name}: x-on-change {asked!r} is not known: use recreate, signal, {{signal: USR1}} or ignore")
    return word, signal


def signals(project: Project, service: Service) -> list[str]:
    """The signals that tell a service of changed configs, secrets and env files. Raises ScowError."""
    asked = [on_change(one.name, one.extensions) for _, one, _ in _used(project, service)]
    if service.name in project.from_env_files:
        asked.append(on_change(service.name, service.extensions))
    return sorted({signal for word, signal in asked if word == "signal"})


def _used(project: Project, service: Service) -> list[tuple[FileUse, FileObject, str]]:
    found: list[tuple[FileUse, FileObject, str]] = []
    for kind, uses, objects in (("secret", service.secrets, project.secrets), ("config", service.configs, project.configs)):
        for use in uses:
            one = objects.get(use.source)
            if one is None:
                raise ScowError(f'service "{service.name}" refers to undefined {kind} {use.source}')
            if one.external:
                raise ScowError(
                    f"unsupported external {kind} {one.name or use.source}: no engine tells what a {kind} of its swarm holds: give it by "
                    "`file:` or `environment:`, or deploy the file with `stack deploy`"
                )
            target = use.target or use.source
            if kind == "secret" and not target.startswith("/"):
                target = f"/run/secrets/{target}"
            elif not target.startswith("/"):
                target = f"/{target}"
            found.append((use, one, target))
    return found


def _placed(project: Project, service: Service) -> list[Placed]:
    found = []
    for use, one, target in _used(project, service):
        if not one.file and one.environment and not one.content and one.environment not in project.environment:
            raise ScowError(f'environment variable "{one.environment}" required by "{use.source}" is not set')
        uid, gid = (int(text) if text.isdigit() else 0 for text in (use.uid, use.gid))
        content = one.content or (project.environment.get(one.environment, "") if one.environment else "")
        found.append(
            Placed(
                target,
                one.file,
                content.encode("utf-8", "surrogateescape"),
                uid,
                gid,
                0o444 if use.mode is None else use.mode,
                on_change(one.name, one.extensions)[0],
            )
        )
    return found


def files(project: Project, service: Service) -> list[Placed]:
    """Configs and secrets that are files of the client's: bound into the container. Raises ScowError."""
    return [one for one in _placed(project, service) if one.source]


def archive(project: Project, service: Service, reaction: str = "") -> bytes:
    """A tar of the configs and secrets that have their content elsewhere (only those of a reaction), to be unpacked at the container's
    root; b"" for none."""
    placed = [one for one in _placed(project, service) if not one.source and reaction in ("", one.reaction)]
    if not placed:
        return b""
    if service.read_only:
        raise ScowError(f"service {service.name} is read_only: {placed[0].target} must be a secret or config of a file")
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for one in placed:
            member = tarfile.TarInfo(one.target.lstrip("/"))
            member.size, member.mode, member.uid, member.gid = len(one.content), one.mode, one.uid, one.gid
            tar.addfile(member, io.BytesIO(one.content))
    return buffer.getvalue()


def digest(project: Project, service: Service, reaction: str) -> str:
    """A digest of what the service's configs and secrets hold (and its env files, which recreate by the hash of the service) whose changes
    have that reaction; "" where it has none or one can't be read (the engine will say why)."""
    placed = [one for one in _placed(project, service) if one.reaction == reaction] if service.configs or service.secrets else []
    variables = project.from_env_files.get(service.name) if reaction == "signal" else None
    if variables is not None and on_change(service.name, service.extensions)[0] != "signal":
        variables = None
    if not placed and variables is None:
        return ""
    import hashlib

    sum_ = hashlib.sha256()
    for name, value in sorted((variables or {}).items()):
        sum_.update(f"{name}={value}\0".encode("utf-8", "surrogateescape"))
    for one in placed:
        data = one.content
        if one.source:
            try:
                with open(one.source, "rb") as file:
                    data = hashlib.file_digest(file, "sha256").digest()
            except OSError:
                return ""
        sum_.update(f"{one.target}\0{len(data)}\0".encode() + data)
    return sum_.hexdigest()

"""Hostile images and short runs, for the security tests: `run(engine, "sh", "-c", …)`, `image(engine, "evil", links=[("etc", "/x")])`."""

import io
import tarfile
from collections.abc import Sequence
from typing import Any

from tests.support.engine import Engine, busybox_tar


def run(engine: Engine, *cmd: str, **config: Any) -> tuple[int, str]:
    """(exit code, output) of a container; it is removed."""
    made = engine.container(*cmd, **config)
    code = engine.wait(made)
    out = engine.logs(made).decode(errors="replace")
    engine.api("DELETE", f"/containers/{made}?force=1&v=1")
    return code, out


def shell(engine: Engine, script: str, **config: Any) -> tuple[int, str]:
    """`run` of a shell script."""
    return run(engine, "sh", "-c", script, **config)


def attempt(engine: Engine, *cmd: str, **config: Any) -> tuple[int, str]:
    """Create and start something that may be refused at either step: (exit code, or the status of the refusal; output, or its sentence).

    A refusal must be the client's or the runtime's: never a traceback, never a 5xx.
    """
    reply = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": list(cmd), **config})
    assert reply.status in (201, 400, 404, 409), reply
    if reply.status != 201:
        return reply.status, str(reply.json["message"])
    made = reply.json["Id"]
    started = engine.api("POST", f"/containers/{made}/start")
    assert started.status in (204, 400, 404, 409, 500), started
    assert b"Traceback" not in started.body, started
    found = (engine.wait(made), engine.logs(made).decode(errors="replace")) if started.status == 204 else (400, started.json["message"])
    engine.api("DELETE", f"/containers/{made}?force=1&v=1")
    return found


def execute(engine: Engine, container: str, *cmd: str, **config: Any) -> tuple[int, str]:
    """(exit code, output) of an exec; (status, sentence) when it is refused."""
    reply = engine.api("POST", f"/containers/{container}/exec", {"Cmd": list(cmd), "AttachStdout": True, "AttachStderr": True, **config})
    assert reply.status in (201, 400), reply
    if reply.status != 201:
        return reply.status, reply.json["message"]
    ref = reply.json["Id"]
    answer = engine.api("POST", f"/exec/{ref}/start", {"Detach": False, "Tty": False})
    if answer.status != 200:
        return answer.status, answer.json["message"]
    data, out, at = answer.body, [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "big")
        out.append(data[at + 8 : at + 8 + size])
        at += 8 + size
    code = engine.api("GET", f"/exec/{ref}/json").json["ExitCode"]
    return (-1 if code is None else int(code)), b"".join(out).decode(errors="replace")


def image(
    engine: Engine, name: str, links: Sequence[tuple[str, str]] = (), files: Sequence[tuple[str, bytes]] = (), extra: Sequence[Any] = ()
) -> str:
    """Import busybox with more links (path, target), files and members of `tests.support.tars`, replacing what is there; its reference."""
    out = io.BytesIO()
    gone = {path for path, _ in links} | {path for path, _ in files} | {info.name for info, _ in extra}
    with tarfile.open(fileobj=io.BytesIO(busybox_tar())) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            path = member.name.strip("./")
            if path not in gone and not any(path.startswith(one + "/") for one in gone):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
        for path, target in links:
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            new.addfile(entry)
        for path, data in files:
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            new.addfile(entry, io.BytesIO(data))
        for info, data in extra:
            new.addfile(info, io.BytesIO(data))
    reply = engine.api("POST", f"/images/create?fromSrc=-&repo={name}&tag=latest", out.getvalue(), {"Content-Type": "application/x-tar"})
    assert reply.status == 200, reply.body
    assert b'"error"' not in reply.body, reply.body
    return name + ":latest"

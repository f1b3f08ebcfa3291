"""ssh:// addresses through a real sshd: its own one, on a port of 127.0.0.1, for one key."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import SCOW, Cli, docker_program
from tests.support.engine import Engine, until

PROGRAMS = ("sshd", "ssh", "ssh-keygen")


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


@pytest.fixture(scope="module")
def port(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """(port of the sshd, a HOME whose ssh knows it). On the far side `docker` is this checkout's scow."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    home = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True, timeout=60)
    (home / "bin").mkdir()
    far = home / "bin" / "docker"
    far.write_text(f'#!/bin/sh\nDOCKER_HOST=${{DOCKER_HOST:-unix://{engine.socket}}} exec {SCOW} "$@"\n')
    far.chmod(0o755)
    (home / "keys").write_bytes((home / "user.pub").read_bytes())
    os.chmod(home / "keys", 0o600)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
    (home / "config").write_text(
        f"Port {number}\nListenAddress 127.0.0.1\nHostKey {home}/host\nAuthorizedKeysFile {home}/keys\nPidFile none\nUsePAM no\n"
        f"StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nSetEnv PATH={home}/bin:{_path()}\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    program = shutil.which("sshd", path=_path())
    assert program is not None
    daemon = subprocess.Popen([program, "-D", "-e", "-f", str(home / "config")], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    near = home / "bin-near"
    near.mkdir()
    options = f"-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -F none -i {home}/user"
    (near / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {options} "$@"\n')
    (near / "ssh").chmod(0o755)
    try:
        until(lambda: socket.socket().connect_ex(("127.0.0.1", number)) == 0, what="an sshd")
        yield number, near
    finally:
        daemon.kill()
        daemon.wait()


@pytest.fixture
def far(scow: Cli, port: tuple[int, Path]) -> Cli:
    """scow, over ssh."""
    number, near = port
    made = Cli(scow.engine, SCOW)
    made.env = {**made.env, "PATH": f"{near}:{_path()}", "DOCKER_HOST": f"ssh://root@127.0.0.1:{number}"}
    return made


def test_commands_and_streams(far: Cli) -> None:
    assert far("version", "--format", "{{.Server.Os}}").out == "linux"
    assert far("run", "--rm", "-i", "busybox", "cat", stdin=b"x" * 300_000).raw == b"x" * 300_000
    assert far("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3", code=3).err == "err"


def test_a_path_chooses_the_socket(far: Cli, port: tuple[int, Path]) -> None:
    host = f"ssh://root@127.0.0.1:{port[0]}{far.engine.socket}"
    assert far("-H", host, "version", "--format", "{{.Server.Os}}").out == "linux"
    done = far("-H", f"ssh://root@127.0.0.1:{port[0]}/nonexistent.sock", "ps", code=1)
    assert "nonexistent.sock" in done.err


def test_a_context_names_it(far: Cli, port: tuple[int, Path], tmp_path: Path) -> None:
    env = {"DOCKER_CONFIG": str(tmp_path)}
    far("context", "create", "far", "--docker", f"host=ssh://root@127.0.0.1:{port[0]}", env=env)
    env["DOCKER_HOST"] = ""
    assert far("--context", "far", "version", "--format", "{{.Server.Os}}", env=env).out == "linux"


def test_what_is_wrong_is_said(far: Cli, port: tuple[int, Path]) -> None:
    done = far("-H", f"ssh://nobody@127.0.0.1:{port[0]}", "ps", code=1)
    assert "Permission denied" in done.err and "error during connect" in done.err
    done = far("-H", "ssh://root@127.0.0.1:1", "ps", code=1)
    assert "error during connect" in done.err and "Traceback" not in done.err


def test_the_docker_cli_comes_in_through_our_dial(far: Cli, port: tuple[int, Path]) -> None:
    program = docker_program()
    if program is None:
        pytest.skip("needs the docker CLI on PATH")
    made = Cli(far.engine, program)
    made.env = far.env
    assert made("version", "--format", "{{.Server.Os}}").out == "linux"
    assert made("run", "--rm", "-i", "busybox", "cat", stdin=b"through").out == "through"

"""scowd as a program: what it refuses and how it says so, where it listens, what a reload changes."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engine import SCOWD, Engine, can_run, until
from tests.support.tls import authority, connect

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")


def scowd(*args: object, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    words = [str(SCOWD), *(str(arg) for arg in args)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **(env or {})})


def test_wrong_options_are_sentences() -> None:
    for args, code, sentence in (
        (["--nonsense"], 125, "unknown flag: --nonsense"),
        (["-Z"], 125, "unknown shorthand flag: 'Z' in -Z"),
        (["stray"], 125, '"scowd" accepts no arguments'),
        (["--log-level"], 125, "flag needs an argument: --log-level"),
        (["--shutdown-timeout=soon"], 125, 'invalid argument "soon" for "--shutdown-timeout" flag'),
        (["--log-level=loud"], 1, "invalid logging level: loud"),
        (["-H", "tcp://127.0.0.1:2375"], 1, "TCP without TLS makes everybody who reaches it root"),
        (["-H", "http://x"], 1, "invalid bind address format: http://x"),
        (["-H", "fd://"], 1, "no sockets found via socket activation"),
        (["--config-file=/nowhere.json"], 1, "open /nowhere.json: no such file or directory"),
        (["--bip=10.0.0.1/24", "--bridge=br0"], 1, "mutually exclusive"),
        (["--default-runtime=mystery"], 1, "specified default runtime 'mystery' does not exist"),
        (["--log-driver=mystery"], 1, 'plugin "mystery" not found'),
        (["--seccomp-profile=/nowhere"], 1, "opening seccomp profile (/nowhere) failed"),
    ):
        root = Path("/var/tmp/scowd-refused")
        places = [
            f"--data-root={root}/d",
            f"--exec-root={root}/r",
            f"--pidfile={root}/p",
            *([] if "-H" in args else ["-H", f"unix://{root}/s"]),
        ]
        done = scowd(*places, *args)
        assert (done.returncode, sentence in done.stderr) == (code, True), (args, done.stderr)
        assert "Traceback" not in done.stderr, (args, done.stderr)
    subprocess.run(["rm", "-rf", "/var/tmp/scowd-refused"], check=True)


def test_validate_reads_all_and_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "scow.json"
    file.write_text(json.dumps({"data-root": str(tmp_path / "data"), "labels": ["a=b"], "log-opts": {"max-size": "1m"}}))
    done = scowd("--validate", "--config-file", file)
    assert (done.returncode, done.stdout) == (0, "configuration OK\n"), done.stderr
    assert not (tmp_path / "data").exists()
    for text, sentence in (
        ("{", "invalid JSON"),
        ("[]", "must hold a JSON object"),
        ('{"unheard-of": 1}', "unheard-of"),
        ('{"debug": "yes"}', "debug"),
        ('{"labels": ["x"]}', "bad attribute format: x"),
    ):
        file.write_text(text)
        done = scowd("--validate", "--config-file", file)
        assert (done.returncode, sentence in done.stderr) == (1, True), done.stderr


def test_an_option_in_both_places_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "scow.json"
    file.write_text(json.dumps({"log-level": "debug", "labels": ["a=b"]}))
    done = scowd("--validate", "--config-file", file, "--log-level", "warn", "--label", "c=d")
    assert done.returncode == 1
    assert "specified both as a flag and in the configuration file" in done.stderr
    assert "log-level: (from flag: warn, from file: debug)" in done.stderr
    assert "labels: (from flag: [c=d], from file: [a=b])" in done.stderr


def test_help_and_version() -> None:
    assert "--live-restore" in scowd("--help").stdout
    assert scowd("--version").stdout.startswith("Scow version ")


def test_socket_modes_stale_files_a_second_daemon_and_warnings(tmp_path: Path) -> None:
    engine = Engine("--userland-proxy-path=/x", "--storage-opt=a=b")
    try:
        engine.dir.mkdir(parents=True)
        (engine.dir / "pid").write_text("4194303\n")  # a dead daemon's
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(engine.socket)
        stale.close()
        os.rename(engine.dir, engine.dir.with_suffix(".kept"))  # the helper makes the directory itself
        engine._prepare()
        for item in engine.dir.with_suffix(".kept").iterdir():
            item.rename(engine.dir / item.name)
        engine.dir.with_suffix(".kept").rmdir()
        engine.start()
        about = os.stat(engine.socket)
        assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o660, 0, 0)
        assert int((engine.dir / "pid").read_text()) == engine.pid
        for option in ("userland-proxy-path", "storage-opts"):
            assert f"the option {option} is known and not supported yet" in engine.log()
        own = [f"--data-root={tmp_path}/d", f"--pidfile={tmp_path}/p", "-H", f"unix://{tmp_path}/s"]
        second = scowd(*own, f"--exec-root={engine.run}")
        assert (second.returncode, "another scowd is running" in second.stderr) == (1, True), second.stderr
        second = scowd(
            f"--data-root={tmp_path}/d", f"--exec-root={tmp_path}/r", f"--pidfile={engine.dir}/pid", "-H", f"unix://{tmp_path}/s"
        )
        assert (second.returncode, f"process with PID {engine.pid} is still running" in second.stderr) == (1, True), second.stderr
        second = scowd(f"--data-root={tmp_path}/d", f"--exec-root={tmp_path}/r", f"--pidfile={tmp_path}/p", "-H", f"unix://{engine.socket}")
        assert (second.returncode, "another daemon listens on" in second.stderr) == (1, True), second.stderr
        assert engine.api("GET", "/_ping").status == 200, "the refused ones must not take the first one's socket away"
        engine.stop()
        assert not Path(engine.socket).exists()
        assert not (engine.dir / "pid").exists()
    finally:
        left = engine.close()
    assert left == []


def test_tcp_on_demand_and_reload(tmp_path: Path) -> None:
    file = tmp_path / "scow.json"
    file.write_text(json.dumps({"labels": ["a=1"], "insecure-tcp": True, "mtu": 1400}))
    engine = Engine("-H", "tcp://127.0.0.1:2375", "--config-file", str(file))
    try:
        engine.start()
        with connect(engine.name, 2375) as sock:
            sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert "without TLS" in engine.log()
        assert engine.api("GET", "/info").json["Labels"] == ["a=1"]

        def reload(text: str, said: str) -> None:
            before = engine.log().count(said)
            file.write_text(text)
            os.kill(engine.pid, signal.SIGHUP)
            until(lambda: engine.log().count(said) > before, what=said)

        reload(json.dumps({"labels": ["a=2"], "debug": True, "insecure-tcp": True, "mtu": 1300}), "options reloaded")
        info = engine.api("GET", "/info").json
        assert (info["Labels"], info["Debug"]) == (["a=2"], True)
        assert "mtu changed in the configuration file: it takes a restart" in engine.log()
        reload("{broken", "reload refused, the old options stay")
        assert engine.api("GET", "/info").json["Labels"] == ["a=2"]
    finally:
        left = engine.close()
    assert left == []


@pytest.mark.parametrize("kind", ["unix", "tls"])
def test_sockets_of_a_service_manager(kind: str, tmp_path: Path) -> None:
    """-H fd:// with a unix socket; and a TCP one, which gets TLS."""
    engine = Engine()
    try:
        engine._prepare()
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(engine.socket)
        sock.listen(16)
        os.set_inheritable(sock.fileno(), True)
        words = [
            SCOWD,
            "--data-root",
            engine.data,
            "--exec-root",
            engine.run,
            "--pidfile",
            engine.dir / "pid",
            "-H",
            "fd://",
            "--group=root",
        ]
        files = tmp_path
        fds, tcp = [sock.fileno()], None
        if kind == "tls":
            authority(files)
            words += [f"--tlscacert={files}/ca.pem", f"--tlscert={files}/cert.pem", f"--tlskey={files}/key.pem", "--tlsverify"]
            tcp = socket.create_server(("127.0.0.1", 0))
            os.set_inheritable(tcp.fileno(), True)
            fds.append(tcp.fileno())
        script = (
            "import os, sys\n"
            f"for at, fd in enumerate({fds}): os.dup2(fd, 50 + at)\n"
            f"for at in range({len(fds)}): os.dup2(50 + at, 3 + at); os.close(50 + at)\n"
            f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{len(fds)}')\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        with (engine.dir / "log").open("ab") as log:
            argv = engine._inside([sys.executable, "-c", script, *(str(word) for word in words)])
            engine._daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds, start_new_session=True)
        sock.close()
        until(engine._answers, what="an answer through the inherited socket")
        if tcp is not None:
            with socket.create_connection(tcp.getsockname(), timeout=60) as plain:
                tcp.close()
                plain.sendall(b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
                assert not plain.recv(65536).startswith(b"HTTP/1.1 200")
        engine.stop()
        assert Path(engine.socket).exists(), "the socket belongs to the service manager"
    finally:
        left = engine.close()
    assert left == []

"""scowd under a service manager that is played here: a socket given to it, readiness told, stop and restart without losing a request."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from tests.support.engine import SCOWD, Engine, can_run, until
from tests.support.http import Client

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run() or "runs")


class Managed(Engine):
    """An engine whose socket is the test's; what it tells is in `told`."""

    def __init__(self) -> None:
        super().__init__()
        self.outside = Path(tempfile.mkdtemp(prefix="scow-managed-", dir="/var/tmp"))
        self.socket = str(self.outside / "scow.sock")
        self.client = Client(self.socket)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.socket)
        self.listener.listen(64)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.outside / "notify"))
        self.told: list[str] = []
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        while data := self.notify.recv(4096):
            self.told.append(data.decode())

    def start(self, *flags: str) -> "Managed":
        self._prepare()
        argv = [str(SCOWD), "-H", "fd://", "--data-root", str(self.data), "--exec-root", str(self.run), "--pidfile", str(self.dir / "pid")]
        fd = self.listener.fileno()
        script = f'exec 3<&{fd} {fd}<&-; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.outside / "notify"), "WATCHDOG_USEC": "600000"}
        with (self.dir / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                ["bash", "-c", script, "bash", *self._inside(argv)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[fd],
                env=environment,
                start_new_session=True,
            )
        until(self._answers, 60, "an answer of scowd")
        return self


def test_a_life_under_a_service_manager() -> None:
    engine = Managed()
    try:
        engine.start()
        until(lambda: any(text.startswith("READY=1") for text in engine.told), what="READY=1")
        until(lambda: engine.told.count("WATCHDOG=1") >= 2, what="the watchdog's signs of life")
        engine.busybox()
        made = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "1000"]}).json
        engine.api("POST", f"/containers/{made['Id']}/start")
        inside = engine.api("GET", f"/containers/{made['Id']}/json").json["State"]["Pid"]
        environ = Path(f"/proc/{engine.keeper_pid}/environ").read_bytes() + Path(f"/proc/{inside}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in environ
        assert b"LISTEN_FDS" not in environ
        engine.stop()
        until(lambda: any(text.startswith("STOPPING=1") for text in engine.told), what="STOPPING=1")
        assert Path(engine.socket).exists()
        # a client that comes while no daemon is there waits for the next one
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(60)
        client.connect(engine.socket)
        client.sendall(b"GET /containers/json HTTP/1.0\r\nHost: scow\r\n\r\n")
        engine.start()
        reply = b""
        while data := client.recv(65536):
            reply += data
        client.close()
        running = json.loads(reply.partition(b"\r\n\r\n")[2])
        assert [one["Id"] for one in running] == [made["Id"]]
    finally:
        left = engine.close()
        engine.listener.close()
        shutil.rmtree(engine.outside)
    assert left == []


def test_wrong_descriptors_are_a_sentence(tmp_path: Path) -> None:
    for setup, sentence in (
        ("exec 3</dev/null", "descriptor 3 can't be used"),
        ("exec 3<&-", "descriptor 3 can't be used"),
        ("LISTEN_PID=1", "no sockets found"),
    ):
        script = f'export LISTEN_FDS=1 LISTEN_PID=$$; {setup}; exec "$@"'
        done = subprocess.run(
            [
                "sh",
                "-c",
                script,
                "sh",
                str(SCOWD),
                "-H",
                "fd://",
                "--data-root",
                str(tmp_path / "d"),
                "--exec-root",
                str(tmp_path / "r"),
                "--pidfile",
                str(tmp_path / "pid"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1
        assert sentence in done.stdout + done.stderr
        assert "Traceback" not in done.stderr

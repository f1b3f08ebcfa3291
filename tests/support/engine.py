"""A scowd of this checkout for tests: own state and namespaces; killed, restarted, closed, and searched for leftovers.

engine = Engine()                 # or with Engine("--live-restore=false") as engine:
engine.start(); engine.busybox()
engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]})
assert engine.close() == []
"""

import contextlib
import http.client
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.support.http import Client, Reply

ROOT = Path(__file__).resolve().parents[2]
SCOWD = ROOT / ".venv/bin/scowd"
BASE = Path(os.environ.get("ENGINE_BASE", "/var/tmp/scow-tests"))
START_SECONDS = 60.0
STOP_SECONDS = 60.0
_numbers = itertools.count(1)


def until(
    probe: Callable[[], Any], seconds: float = 60.0, what: str = "condition", every: float = 0.02, seen: Callable[[], str] = str
) -> Any:
    """Wait until `probe` gives something true and return that. `seen` says how things are when it does not come to that."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"{what} did not come to hold within {seconds:.0f} s, last: {value!r}\n{seen()}")
        time.sleep(every)


def can_run() -> str:
    """Why no engine can be run here; empty when one can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("ip", "nsenter", "unshare", "crun", "nft", "busybox") if shutil.which(name, path=_path()) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    return "" if SCOWD.exists() else "needs .venv/bin/scowd (make setup)"


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _memory_kills() -> str:
    """How often this machine has killed for memory: who ended with -9 without a cause may have one."""
    return next((line for line in Path("/proc/vmstat").read_text().splitlines() if line.startswith("oom_kill")), "")


def busybox_tar() -> bytes:
    """A root filesystem made from the host's static busybox, as a tar."""
    program = shutil.which("busybox", path=_path())
    assert program is not None
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:

        def add(name: str, data: bytes | None = None, mode: int = 0o755, link: str = "") -> None:
            member = tarfile.TarInfo(name)
            member.mode = mode
            if link:
                member.type, member.linkname = tarfile.SYMTYPE, link
                tar.addfile(member)
            elif data is None:
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))

        for name in ("bin", "etc", "root", "var", "var/www", "proc", "sys", "dev", "usr", "usr/bin", "home"):
            add(name)
        add("tmp", mode=0o1777)
        add("bin/busybox", Path(program).read_bytes())
        for applet in applets:
            if applet != "busybox":
                add(f"bin/{applet}", link="busybox")
        add(
            "etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nuser:x:1000:1000::/home:/bin/sh\n",
            0o644,
        )
        add("etc/group", b"root:x:0:\nnogroup:x:65534:\nuser:x:1000:\nextra:x:1001:user\n", 0o644)
    return out.getvalue()


class Engine:
    """One scowd and everything it runs. `dir` is its state, `socket` its API, `flags` go to every start."""

    def __init__(self, *flags: str, link: bool = False) -> None:
        """`link`: give the namespace a link to the host (a /24 of 10.253.0.0/16), as another machine would have."""
        self.flags = flags
        self.name = f"scowt-{os.getpid()}-{next(_numbers)}"
        self.dir = BASE / self.name
        self.data, self.run = self.dir / "data", self.dir / "run"
        self.socket = str(self.dir / "scow.sock")
        self.client = Client(self.socket)
        self._link = link
        self._holder: subprocess.Popen[bytes] | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._ids: set[str] = set()

    # --- life

    def _prepare(self) -> None:
        if self._holder is not None:
            return
        self.dir.mkdir(parents=True)
        subprocess.run(["ip", "netns", "add", self.name], check=True, env={**os.environ, "PATH": _path()})
        self._ip("link", "set", "lo", "up")
        if self._link:
            self._join()
        script = "mount --make-rshared / && echo ready && exec cat"
        self._holder = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "-m", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"

    def _ip(self, *args: str) -> None:
        subprocess.run(["ip", "-n", self.name, *args], check=True, env={**os.environ, "PATH": _path()})

    def _join(self) -> None:
        number = os.getpid() % 200 + 20
        outside, net = f"wt{number}", f"10.253.{number}"
        for command in (
            ["ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", self.name],
            ["ip", "addr", "add", f"{net}.1/24", "dev", outside],
            ["ip", "link", "set", outside, "up"],
        ):
            subprocess.run(command, check=True, env={**os.environ, "PATH": _path()})
        self._ip("addr", "add", f"{net}.2/24", "dev", "eth0")
        self._ip("link", "set", "eth0", "up")
        self._ip("route", "add", "default", "via", f"{net}.1")

    def start(self, *flags: str) -> "Engine":
        """Start scowd and wait until it answers; more `flags` for this start only."""
        assert self._daemon is None, "already started"
        self._prepare()
        log = (self.dir / "log").open("ab")
        argv = [str(SCOWD), "--data-root", str(self.data), "--exec-root", str(self.run), "--pidfile", str(self.dir / "pid")]
        argv += ["-H", f"unix://{self.socket}", "--group", "root", *self.flags, *flags]
        with log:
            self._daemon = subprocess.Popen(self._inside(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until(self._answers, START_SECONDS, "an answer of scowd")
        return self

    def _answers(self) -> bool:
        assert self._daemon is not None
        if self._daemon.poll() is not None:
            raise AssertionError(f"scowd ended with {self._daemon.returncode}: {self.log()[-2000:]}; {_memory_kills()}")
        try:
            return self.client.get("/info").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _inside(self, argv: list[str], mounts: bool = True) -> list[str]:
        assert self._holder is not None
        return ["nsenter", "-t", str(self._holder.pid), "--net", *(["--mount"] if mounts else []), *argv]

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._daemon is not None
        return self._daemon.pid

    @property
    def keeper_pid(self) -> int:
        """The keeper's process id, 0 when there is none."""
        try:
            pid = int((self.run / "keeper.pid").read_text())
        except (OSError, ValueError):
            return 0
        return pid if Path(f"/proc/{pid}").exists() else 0

    def log(self) -> str:
        """What scowd wrote."""
        return (self.dir / "log").read_text(errors="replace")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the daemon by a signal and wait for its end; containers and keeper are not touched."""
        assert self._daemon is not None
        self._daemon.send_signal(number)
        self._daemon.wait(STOP_SECONDS)
        self._daemon = None

    def stop(self) -> None:
        """End the daemon as systemd would."""
        self.kill(signal.SIGTERM)

    def restart(self, number: int = signal.SIGTERM) -> "Engine":
        """Stop (or with SIGKILL: kill) and start."""
        self.kill(number)
        return self.start()

    def close(self) -> list[str]:
        """Remove all containers, stop, clean up; the list of what had been left behind (empty: all is well)."""
        left: list[str] = []
        if self._holder is None:
            return left
        try:
            if self._daemon is not None and self._daemon.poll() is None:
                with contextlib.suppress(Exception):
                    self.clean()
            if self._daemon is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.kill(signal.SIGTERM)
                if self._daemon is not None:
                    left.append("scowd did not stop on SIGTERM")
                    self.kill()
            end = time.monotonic() + 10
            while (found := self._leftovers()) and time.monotonic() < end:
                time.sleep(0.05)
            left += found
        finally:
            self._destroy()
        if not left:
            shutil.rmtree(self.dir, ignore_errors=True)
        return left

    def clean(self) -> None:
        """Remove every container, network and volume made through the API."""
        for row in self.api("GET", "/containers/json?all=1").json or []:
            self._ids.add(row["Id"])
            self.api("DELETE", f"/containers/{row['Id']}?force=1&v=1")
        for row in self.api("GET", "/networks").json or []:
            if row["Name"] not in ("bridge", "host", "none"):
                self.api("DELETE", f"/networks/{row['Id']}")
        for row in (self.api("GET", "/volumes").json or {}).get("Volumes") or []:
            self.api("DELETE", f"/volumes/{row['Name']}?force=1")

    def processes(self) -> list[tuple[int, str]]:
        """Processes whose command line or root names this engine's directory: (pid, command line)."""
        out, mark = [], f"{self.dir}/"
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if mark in line and int(entry.name) != os.getpid():
                        out.append((int(entry.name), line.strip()))
        return out

    def _end(self, pid: int) -> None:
        """Kill a process of this engine: held first and looked at again, since a number that was read may be another's by now."""
        with contextlib.suppress(OSError):
            process = os.pidfd_open(pid)
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                groups = Path(f"/proc/{pid}/cgroup").read_text()
                if f"{self.dir}/" in line or f":/{self.name}/" in groups:
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)

    def mounts(self) -> list[str]:
        """Mount points below this engine's directory, in its mount namespace."""
        assert self._holder is not None
        lines = Path(f"/proc/{self._holder.pid}/mounts").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[1].startswith(f"{self.dir}/")]

    def links(self) -> list[str]:
        """Network links that belong to containers."""
        env = {**os.environ, "PATH": _path()}
        text = subprocess.run(["ip", "-n", self.name, "-j", "link"], capture_output=True, text=True, env=env, check=False).stdout
        names = [link["ifname"] for link in json.loads(text or "[]")]
        return [name for name in names if name not in ("lo", "eth0") and not name.startswith(("scow", "docker", "br-"))]

    def cgroups(self) -> list[str]:
        """Control groups of containers that this engine was asked to remove by `close` or `clean`."""
        out = []
        for controller in ("memory", "pids", "unified", ""):
            root = Path("/sys/fs/cgroup") / controller
            if self._ids and root.is_dir():
                out += [folder for folder, _, _ in os.walk(root) if any(name in folder for name in self._ids)]
        return out

    def _leftovers(self) -> list[str]:
        return [
            *(f"process {pid}: {line[:120]}" for pid, line in self.processes()),
            *(f"mount {point}" for point in self.mounts()),
            *(f"link {name}" for name in self.links()),
            *(f"cgroup {folder}" for folder in self.cgroups()),
        ]

    def _destroy(self) -> None:
        env = {**os.environ, "PATH": _path()}
        for pid, _ in self.processes():
            self._end(pid)
        if self._holder is not None:
            self._holder.kill()
            self._holder.communicate()
            self._holder = None
        subprocess.run(["ip", "netns", "del", self.name], check=False, env=env, capture_output=True)

    def __enter__(self) -> "Engine":
        return self.start()

    def __exit__(self, *_: object) -> None:
        left = self.close()
        if _[0] is None:
            assert left == []

    # --- use

    def api(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        """One API request; `body` bytes are sent as they are, anything else as JSON."""
        return self.client.call(method, path, body, headers)

    def busybox(self) -> str:
        """Import the image busybox:latest, once; its reference."""
        if self.api("GET", "/images/busybox:latest/json").status != 200:
            path = "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D"
            reply = self.api("POST", path, busybox_tar(), {"Content-Type": "application/x-tar"})
            assert reply.status == 200, reply.body
            assert b'"error"' not in reply.body, reply.body
        return "busybox:latest"

    def create(self, *cmd: str, name: str = "", **config: Any) -> str:
        """Create a busybox container that runs `cmd`; its id. `config` is merged into the request."""
        body = {"Image": self.busybox(), **({"Cmd": list(cmd)} if cmd else {}), **config}
        reply = self.api("POST", f"/containers/create{f'?name={name}' if name else ''}", body)
        assert reply.status == 201, reply.body
        self._ids.add(reply.json["Id"])
        return str(reply.json["Id"])

    def container(self, *cmd: str, name: str = "", **config: Any) -> str:
        """Create and start; its id. Without `cmd` it sleeps."""
        found = self.create(*(cmd or ("sleep", "1000")), name=name, **config)
        reply = self.api("POST", f"/containers/{found}/start")
        assert reply.status == 204, reply.body
        return found

    def inspect(self, ref: str) -> Any:
        """The container's inspect document."""
        reply = self.api("GET", f"/containers/{ref}/json")
        assert reply.status == 200, reply.body
        return reply.json

    def wait(self, ref: str) -> int:
        """Wait for the container's end; its exit code."""
        return int(self.api("POST", f"/containers/{ref}/wait").json["StatusCode"])

    def logs(self, ref: str, query: str = "stdout=1&stderr=1") -> bytes:
        """The container's output without frames (both streams)."""
        data, out, at = self.api("GET", f"/containers/{ref}/logs?{query}").body, [], 0
        while at + 8 <= len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "big")
            out.append(data[at + 8 : at + 8 + size])
            at += 8 + size
        return b"".join(out)

    def docker(
        self, *args: str, check: bool = True, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """The docker CLI (or $SCOW_CLI) against this engine."""
        program = os.environ.get("SCOW_CLI", "docker")
        full = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", **(env or {})}
        done = subprocess.run([program, *args], input=stdin, capture_output=True, env=full, timeout=120, check=False)
        assert not check or done.returncode == 0, (args, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def inside(self, *argv: str) -> "subprocess.CompletedProcess[bytes]":
        """Run a program of the host in the engine's network namespace."""
        return subprocess.run(self._inside(list(argv), mounts=False), capture_output=True, timeout=60, check=False)


def engines(*flags: str) -> Iterator[Engine]:
    """For fixtures: `yield from engines()` gives a started engine with busybox and checks that nothing is left at the end."""
    engine = Engine(*flags)
    try:
        engine.start()
        engine.busybox()
        yield engine
    except BaseException:
        engine.close()
        raise
    left = engine.close()
    assert left == [], left

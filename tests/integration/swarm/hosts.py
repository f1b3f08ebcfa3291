"""Several engines on one wire, to be failed: killed, cut off the wire, powered off. For the slow tests of faults beside this file.

A host is a `tests.support.engine.Engine` with `eth0` on a bridge that lies in a namespace of its own, so no rule of this machine is met.
"""

import contextlib
import http.client
import itertools
import json
import os
import shutil
import subprocess
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.engine import Engine, _path, can_run, until
from tests.support.http import Client, Reply

PATIENCE = 90.0
"""Seconds that a loaded machine gets for what takes two."""
BEAT = 1.0
_LOG_LINES = 60
_SERVICE = "com.docker.swarm.service.name"
_wires = itertools.count(1)


def why_not() -> str:
    """Why no swarm of hosts can be run here; empty when one can."""
    return can_run() or ("" if shutil.which("etcd", path=_path()) else "needs etcd")


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "PATH": _path()})


class Host(Engine):
    """A node. `ip` is its address on the wire."""

    def __init__(self, wire: str, number: int) -> None:
        super().__init__(link=True)
        self.flags = ("--cgroup-parent", f"/{self.name}")
        self.wire, self.number, self.ip = wire, number, f"10.76.0.{number}"
        self.quick = Client(self.socket, 30)

    def _join(self) -> None:
        outside = f"h{self.number}"
        _run("ip", "-n", self.wire, "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _run("ip", "-n", self.wire, "link", "set", outside, "master", "br0", "up")
        _run("ip", "-n", self.name, "addr", "add", f"{self.ip}/24", "dev", "eth0")
        _run("ip", "-n", self.name, "link", "set", "eth0", "up")

    @property
    def runs(self) -> bool:
        """Whether the daemon is there."""
        daemon = self._daemon  # another thread may power it off
        return daemon is not None and daemon.poll() is None

    # --- faults

    def cut(self) -> None:
        """From now on nothing passes between this host and the wire, silently."""
        rules = "table inet fault { chain in { type filter hook input priority -300; iifname eth0 drop; }; "
        rules += "chain out { type filter hook output priority -300; oifname eth0 drop; }; }"
        done = self.inside("nft", rules)
        assert done.returncode == 0, done.stderr

    def heal(self) -> None:
        """End of `cut`; not being cut is fine."""
        self.inside("nft", "delete table inet fault")

    def contained(self) -> set[int]:
        """Processes in control groups of its containers."""
        found: set[int] = set()
        for folder in Path("/sys/fs/cgroup").glob(f"*/{self.name}/**/cgroup.procs"):
            with contextlib.suppress(OSError):
                found |= {int(line) for line in folder.read_text().split()}
        return found

    def orphans(self) -> list[str]:
        """End what its containers have left running after `close`, and tell what that was."""
        found = []
        for pid in self.contained():
            with contextlib.suppress(OSError):
                found.append(f"{self.name}: {pid} {Path(f'/proc/{pid}/cmdline').read_bytes().decode(errors='replace')!r}")
            self._end(pid)
        return found

    def power_off(self) -> None:
        """Everything of the host ends at once, containers too; what is below `dir` stays, but for the run directory."""
        if self._holder is None:
            return
        for _ in range(3):
            for pid in {pid for pid, _ in self.processes()} | self.contained():
                self._end(pid)
            time.sleep(0.1)
        if self._daemon is not None:
            self._daemon.wait(30)
            self._daemon = None
        self._holder.kill()
        self._holder.communicate()
        self._holder = None
        # not left to the end of the namespace: another engine's mounts, copied while it was there, may hold it
        _run("ip", "-n", self.wire, "link", "del", f"h{self.number}")
        _run("ip", "netns", "del", self.name)
        shutil.rmtree(self.run, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)

    def _prepare(self) -> None:
        if self._holder is None and self.dir.exists():
            for file in self.dir.iterdir():
                if file.name in ("pid", "scow.sock"):
                    file.unlink()
            kept = self.dir.with_suffix(".off")
            self.dir.rename(kept)
            super()._prepare()
            for file in kept.iterdir():
                file.rename(self.dir / file.name)
            kept.rmdir()
        else:
            super()._prepare()

    def etcd(self) -> int:
        """The process of its etcd, 0 without."""
        return next((pid for pid, line in self.processes() if line.split(" ")[0].endswith("etcd")), 0)

    # --- the swarm

    def ask(self, method: str, path: str, body: Any = None) -> Reply:
        """A request; status 0 when there was no answer: what it asked for is done or not."""
        try:
            return self.quick.call(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            return Reply(0, {}, json.dumps({"message": repr(error)}).encode())

    def get(self, path: str, **filters: Sequence[str]) -> Any:
        """The answer's document; it must be given."""
        asked = f"?filters={urllib.parse.quote(json.dumps(filters))}" if filters else ""
        reply = self.ask("GET", path + asked)
        assert reply.status == 200, (path, reply)
        return reply.json

    @property
    def id(self) -> str:
        """Its id in the swarm."""
        return str(self.get("/info")["Swarm"]["NodeID"])

    def init(self, beat: float = BEAT) -> None:
        """Make a swarm."""
        spec = {"Dispatcher": {"HeartbeatPeriod": int(beat * 1e9)}, "Orchestration": {"TaskHistoryRetentionLimit": 2}}
        where = {"ListenAddr": f"{self.ip}:2377", "AdvertiseAddr": f"{self.ip}:2377", "Spec": spec}
        reply = self.api("POST", "/swarm/init", where)
        assert reply.status == 200, reply.body

    def join(self, other: "Host", role: str) -> None:
        """Come into another's swarm."""
        token = other.get("/swarm")["JoinTokens"][role.capitalize()]
        where = {"ListenAddr": f"{self.ip}:2377", "AdvertiseAddr": f"{self.ip}:2377"}
        client = Client(self.socket, 420)
        reply = client.post("/swarm/join", {**where, "JoinToken": token, "RemoteAddrs": [f"{other.ip}:2377"]})
        assert reply.status == 200, reply.body

    def nodes(self) -> dict[str, Any]:
        """Nodes by id; {} while nobody can tell."""
        reply = self.ask("GET", "/nodes")
        return {row["ID"]: row for row in reply.json} if reply.status == 200 else {}

    def tasks(self, service: str) -> list[Any]:
        """All tasks of a service; [] while nobody can tell."""
        reply = self.ask("GET", "/tasks?filters=" + urllib.parse.quote(json.dumps({"service": [service]})))
        return list(reply.json) if reply.status == 200 else []

    def containers(self, service: str = "", running: bool = True) -> dict[str, str]:
        """Containers of tasks here: id → service."""
        label = f"{_SERVICE}={service}" if service else _SERVICE
        rows = self.get("/containers/json" if running else "/containers/json?all=1", label=[label]) if running else None
        if rows is None:
            asked = urllib.parse.quote(json.dumps({"label": [label]}))
            rows = self.ask("GET", f"/containers/json?all=1&filters={asked}").json
        return {row["Id"]: row["Labels"][_SERVICE] for row in rows}


def service(name: str, replicas: int, *command: str, **more: Any) -> dict[str, Any]:
    """A spec whose tasks end at once when told to, and are replaced at once."""
    container = {"Image": "busybox:latest", "Command": list(command or ("sleep", "100000")), "StopSignal": "SIGKILL"}
    template = {"ContainerSpec": container, "RestartPolicy": {"Condition": "any", "Delay": 0}}
    update = {"Parallelism": 0, "Monitor": 1_000_000}
    return {"Name": name, "TaskTemplate": template, "Mode": {"Replicated": {"Replicas": replicas}}, "UpdateConfig": update, **more}


class Swarm:
    """Hosts on one wire."""

    def __init__(self, count: int = 3) -> None:
        self.wire = f"scowt-wire-{os.getpid()}-{next(_wires)}"
        _run("ip", "netns", "add", self.wire)
        _run("ip", "-n", self.wire, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", self.wire, "link", "set", "br0", "up")
        self.hosts = [Host(self.wire, number + 1) for number in range(count)]
        self.roles: tuple[str, ...] = ()
        self._beat = BEAT

    def __getitem__(self, number: int) -> Host:
        return self.hosts[number]

    def form(self, *roles: str, beat: float = BEAT) -> "Swarm":
        """Every host in the swarm in its role, and well; made anew when that does not come to hold by itself."""
        self.restore()
        if self.roles == roles:
            until(self.well, PATIENCE, "a swarm that is well again")
            self.clear()
            self.beat(beat)
            return self
        self.disband()
        self[0].init(beat)
        self._beat = beat
        for host, role in zip(self.hosts[1:], roles[1:], strict=True):
            host.join(self[0], role)
        self.roles = roles
        until(self.well, PATIENCE, "a swarm that is well")
        return self

    def beat(self, seconds: float) -> None:
        """From now on a node is missed after three times as long."""
        boss = self.leader()

        def changed() -> bool:
            found = boss.get("/swarm")
            spec = {**found["Spec"], "Dispatcher": {"HeartbeatPeriod": int(seconds * 1e9)}}
            return boss.ask("POST", f"/swarm/update?version={found['Version']['Index']}", spec).status == 200

        if seconds != self._beat:
            until(changed, PATIENCE, "another heartbeat")
            time.sleep(self._beat + 1)  # every node hears it with its next one
            self._beat = seconds

    def restore(self) -> None:
        """Every host runs and is on the wire."""
        for host in self.hosts:
            if host.runs:
                host.heal()
            else:
                host.start()
            host.busybox()

    def disband(self) -> None:
        """No host is in a swarm."""
        self.roles = ()
        for host in self.hosts:
            host.ask("POST", "/swarm/leave?force=1")
            until(lambda host=host: host.get("/info")["Swarm"]["LocalNodeState"] == "inactive", PATIENCE, "no swarm")

    def well(self) -> bool:
        """Every host sees every host ready, and every manager reachable."""
        for host, role in zip(self.hosts, self.roles, strict=True):
            if role != "manager":
                continue
            found = host.nodes()
            managers = [row for row in found.values() if row.get("ManagerStatus")]
            if len(found) != len(self.hosts) or len(managers) != self.roles.count("manager"):
                return False
            if any(row["Status"]["State"] != "ready" for row in found.values()):
                return False
            if any(row["ManagerStatus"]["Reachability"] != "reachable" for row in managers):
                return False
        return True

    def leader(self) -> Host:
        """Who leads, as the others see it."""

        def probe() -> Host | None:
            for host in self.hosts:
                for id, row in (host.nodes() if host.runs else {}).items():
                    if (row.get("ManagerStatus") or {}).get("Leader"):
                        address = row["ManagerStatus"]["Addr"]
                        return next((one for one in self.hosts if address == f"{one.ip}:2377" and one.runs and one.id == id), None)
            return None

        return until(probe, PATIENCE, "a leader")  # type: ignore[no-any-return]

    def others(self, *hosts: Host) -> list[Host]:
        """All but these."""
        return [host for host in self.hosts if host not in hosts]

    def settled(self, name: str, replicas: int, *on: Host) -> bool:
        """Exactly so many tasks are wanted and run, on these hosts (all by default), and no container is there besides theirs."""
        hosts = on or tuple(self.hosts)
        rows = hosts[0].tasks(name)
        wanted = [row for row in rows if row["DesiredState"] in ("running", "ready")]
        if len(wanted) != replicas or any(row["Status"]["State"] != "running" for row in wanted):
            return False
        if max(Counter(row.get("Slot") for row in wanted).values(), default=0) > 1:
            return False
        there = {id for host in hosts for id in host.containers(name)}
        return there == {row["Status"]["ContainerStatus"]["ContainerID"] for row in wanted}

    def until(self, probe: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Wait for what the swarm is to come to; where it does not, the failure tells how it is."""
        return until(probe, seconds, what, seen=self.report)

    def report(self) -> str:
        """For people: who leads, and what of services, tasks and containers is not as it is to be, as each host sees it."""
        lines: list[str] = []
        for host in self.hosts:
            if not host.runs:
                lines.append(f"{host.ip}: no daemon")
                continue
            try:
                lines += [f"{host.ip} (etcd {host.etcd()}): {line}" for line in self._seen_by(host)]
            except Exception as error:  # the failure is another
                lines.append(f"{host.ip}: {error!r}")
            lines += [f"    {line}" for line in host.log().splitlines()[-_LOG_LINES:]]
        return "\n".join(lines)

    def _seen_by(self, host: Host) -> Iterator[str]:
        known = host.ask("GET", "/info").json.get("Swarm", {})
        yield f"node {known.get('NodeID')}, {known.get('LocalNodeState')}, error {known.get('Error')!r}"
        for row in host.nodes().values():
            yield f"node {row['ID']}: {row['Status']}, {row.get('ManagerStatus')}"
        services = host.ask("GET", "/services")
        rows = services.json if services.status == 200 else []
        there = host.containers(running=False)
        for row in rows:
            name, replicas = row["Spec"]["Name"], row["Spec"]["Mode"].get("Replicated", {}).get("Replicas")
            if replicas is not None and self.settled(name, replicas):
                there = {id: service for id, service in there.items() if service != name}
                continue
            yield f"service {name} {row['ID']}, replicas {replicas}, update {row.get('UpdateStatus')}"
            for task in host.tasks(name):
                status = task["Status"]
                container = status.get("ContainerStatus", {}).get("ContainerID", "")[:12]
                said = f"{status['State']} {status.get('Message')!r} {status.get('Err', '')!r} {status['Timestamp']} container {container}"
                yield f"  task {task['ID']} slot {task.get('Slot')} on {task.get('NodeID')}: wanted {task['DesiredState']}, is {said}"
        for row in host.ask("GET", "/containers/json?all=1").json:
            if row["Id"] in there:
                yield f"  container {row['Id'][:12]} {row['Names']} {row['State']} {row['Status']}"

    def clear(self) -> None:
        """No service any more."""
        boss = self.leader()
        for row in boss.get("/services"):
            boss.ask("DELETE", f"/services/{row['ID']}")
        until(lambda: not any(host.containers() for host in self.hosts), PATIENCE, "no container of a task")

    def close(self) -> None:
        """End everything. Raises AssertionError when a container's process was still there."""
        orphans: list[str] = []
        for host in self.hosts:
            if host.runs:
                host.heal()
                with contextlib.suppress(Exception):
                    host.ask("POST", "/swarm/leave?force=1")
            host.close()
            orphans += host.orphans()
            shutil.rmtree(host.dir, ignore_errors=True)
            for folder in sorted(Path("/sys/fs/cgroup").glob(f"*/{host.name}/**/"), key=lambda one: -len(one.parts)):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        _run("ip", "netns", "del", self.wire)
        assert orphans == []


def swarms(count: int = 3) -> Iterator[Swarm]:
    """For fixtures: hosts that run, in no swarm."""
    made = Swarm(count)
    try:
        made.restore()
        yield made
    finally:
        made.close()

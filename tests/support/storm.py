"""A storm: mixed operations on one engine, with kill -9 of daemon or keeper at random moments, and a model of what must be true.

Storm(engine, seed).run(200) raises AssertionError when an acknowledged change is lost, something is half there, a log has a gap …
`leaks(engine)` looks deeper than Engine.close for what containers left.
"""

import http.client
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.engine import Engine, until

TERM_CODE = 3  # what containers that handle SIGTERM end with
LINES = 120
_SLEEP = f"trap 'exit {TERM_CODE}' TERM; while :; do sleep 1000 & wait; done"
_COUNT = (
    f"trap 'exit {TERM_CODE}' TERM; i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); [ $((i%10)) = 0 ] && sleep 0.05; done; "
    "while :; do sleep 1000 & wait; done"
)
_SERVE = f"trap 'exit {TERM_CODE}' TERM; echo served > /var/www/index.html; httpd -f -p 80 -h /var/www & wait"


class Unanswered(Exception):
    """The daemon was killed before it answered."""


@dataclass
class Known:
    """What is known of a container. `up`: True runs, False doesn't, None unsure; `code` None: not known."""

    id: str
    name: str
    kind: str
    up: bool | None = False
    code: int | None = None
    port: int = 0
    paused: bool | None = False
    loose: bool = False  # keeper and daemon died together while it ran: stdio is lost, its exit may be unknown
    starts: int = 0
    again: bool = False  # its policy starts it now
    execs: list[str] = field(default_factory=list)


def stamp(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time with nanoseconds; 0 for Go's zero time."""
    if text.startswith("0001-"):
        return 0.0
    match = re.fullmatch(r"(.*?)(\.\d+)?Z", text)
    assert match, text
    whole = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp()
    return whole + float(match[2] or 0)


class Storm:
    """One run; the same seed draws the same operations and kills (their moments are real time)."""

    def __init__(self, engine: Engine, seed: int, say: Callable[[str], None] = lambda text: None) -> None:
        self.engine, self.seed, self.say = engine, seed, say
        self.random = random.Random(seed)
        self.known: dict[str, Known] = {}
        self.unsure: set[str] = set()  # names whose creation or removal was not acknowledged
        self.volumes: dict[str, bool | None] = {}
        self.networks: dict[str, bool | None] = {}
        self.tags: dict[str, bool | None] = {}
        self.numbers = iter(range(10_000))
        self.kills = 0
        self.pending = 0  # hand-overs there will have been once the last killed keeper has its successor
        self.began = time.time()

    # --- requests

    def call(self, method: str, path: str, body: Any = None, ok: tuple[int, ...] = (200, 201, 204, 304)) -> Any:
        """Raises Unanswered when no answer came; AssertionError on an answer that isn't expected."""
        try:
            reply = self.engine.api(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"{method} {path}: {error!r}") from error
        assert reply.status in ok, f"seed {self.seed}: {method} {path} answered {reply.status}: {reply.body[:500]!r}"
        return reply

    def run(self, count: int) -> None:
        """`count` operations, then a last look."""
        for number in range(count):
            plan = self.random.random()
            operation = self.random.choice(self.operations())
            what = "daemon" if plan < 0.06 else "keeper" if plan < 0.12 else "both" if plan < 0.13 else ""
            delay = self.random.choice((0, 0.002, 0.01, 0.03, 0.06, 0.1, 0.2))
            self.say(f"{number} {operation.__name__} {what} {delay if what else ''}")
            if what:
                self.kills += 1
                self._with_kill(operation, what, delay)
                self.check()
            else:
                operation()
        self.check()

    def _with_kill(self, operation: Callable[[], None], what: str, delay: float) -> None:
        failures: list[BaseException] = []

        def work() -> None:
            try:
                operation()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(delay)
        if what in ("keeper", "both"):
            pid = self.engine.keeper_pid
            assert pid, "no keeper"
            handed = self._handed_over()
            os.kill(pid, signal.SIGKILL)
            self.pending = handed + 1
        both = what == "both" or (what == "daemon" and self._handed_over() < self.pending)
        if what in ("daemon", "both"):
            self.engine.kill()
            self.pending = 0
        if both:  # or the daemon before a new keeper held the containers: the same
            for one in self.known.values():
                one.loose = True
        thread.join(120)
        assert not thread.is_alive(), "an operation hangs"
        if what in ("daemon", "both"):
            for one in self.known.values():
                if one.kind == "always" and one.starts:
                    one.again = True  # a daemon's start starts it, even if it had been stopped
            self.engine.start()
        for failure in failures:
            if not isinstance(failure, Unanswered | OSError | http.client.HTTPException) or what == "keeper":
                raise failure

    def _handed_over(self) -> int:
        return self.engine.log().count("a new keeper holds the containers")

    # --- operations

    def operations(self) -> list[Callable[[], None]]:
        """What may be done now, weighted."""
        found: list[Callable[[], None]] = [self.volume, self.network, self.tag, self.listing]
        if len(self.known) < 8:
            found += [self.create] * 5
        if self.known:
            found += [
                self.start,
                self.start,
                self.stop,
                self.kill,
                self.remove,
                self.execute,
                self.execute,
                self.restart,
                self.short,
                self.short,
            ]
            found += [self.pause, self.rename, self.poke]
        return found

    def _one(self) -> Known:
        return self.random.choice(list(self.known.values()))

    def create(self) -> None:
        number = next(self.numbers)
        name, kind = f"c{number}", self.random.choice(("sleep", "count", "serve", "always", "health", "tty"))
        script = {"count": _COUNT, "tty": _COUNT, "serve": _SERVE}.get(kind, _SLEEP)
        host: dict[str, Any] = {}
        body: dict[str, Any] = {
            "Image": "busybox",
            "Cmd": ["sh", "-c", script],
            "HostConfig": host,
            "StopTimeout": 30,
            "Tty": kind == "tty",
        }
        port = 0
        if kind == "serve":
            port = 20_000 + number
            body["ExposedPorts"] = {"80/tcp": {}}
            host["PortBindings"] = {"80/tcp": [{"HostPort": str(port)}]}
        if kind == "always":
            host["RestartPolicy"] = {"Name": "always"}
        if kind == "health":
            body["Healthcheck"] = {"Test": ["CMD", "true"], "Interval": 500_000_000, "Timeout": 30_000_000_000}
        if self.random.random() < 0.5:
            host["Binds"] = [f"storm-{self.random.randrange(2)}:/data"]
        self.unsure.add(name)
        found = self.call("POST", f"/containers/create?name={name}", body).json["Id"]
        self.unsure.discard(name)
        self.known[name] = Known(found, name, kind, port=port)
        self.engine._ids.add(found)
        self._start(self.known[name])

    def _start(self, one: Known) -> None:
        self._resume(one)
        was = one.up
        if was is not True:
            one.up, one.code = None, None
        self.call("POST", f"/containers/{one.id}/start", ok=(204, 304))
        if was is not True:
            one.starts += 1
            one.loose = False
        one.up, one.code = True, None

    def start(self) -> None:
        self._start(self._one())

    def stop(self) -> None:
        one = self._one()
        if one.up:
            self._ready(one)
        self._resume(one)
        was, code, loose = one.up, one.code, one.loose
        one.up, one.code = None, None
        self.call("POST", f"/containers/{one.id}/stop", ok=(204, 304))
        one.up, one.code = False, (None if loose else TERM_CODE) if was else code

    def kill(self) -> None:
        one = self._one()
        self._resume(one)
        if not one.up:
            return
        loose = one.loose
        one.up, one.code = None, None
        self.call("POST", f"/containers/{one.id}/kill", ok=(204,))
        one.up, one.code = False, None if loose else 137

    def restart(self) -> None:
        one = self._one()
        if one.up:
            self._ready(one)
        self._resume(one)
        one.up, one.code = None, None
        self.call("POST", f"/containers/{one.id}/restart", ok=(204,))
        one.starts += 1
        one.up, one.loose = True, False

    def _ready(self, one: Known) -> None:
        """Wait until the shell of a container has had the time to set its trap: it sleeps in a child of its own."""
        if one.loose or one.paused:
            return
        pid = self.call("GET", f"/containers/{one.id}/json").json["State"]["Pid"]
        until(lambda: _caught(pid) or not Path(f"/proc/{pid}").exists(), 60, "a trap")

    def _resume(self, one: Known) -> None:
        if one.paused is not False:
            one.paused = None
            self.call("POST", f"/containers/{one.id}/unpause", ok=(204, 409))
            one.paused = False

    def pause(self) -> None:
        one = self._one()
        if one.paused:
            self._resume(one)
        elif one.up and not one.loose:
            one.paused = None
            self.call("POST", f"/containers/{one.id}/pause", ok=(204,))
            one.paused = True

    def remove(self) -> None:
        one = self._one()
        self._resume(one)
        self.unsure.add(one.name)
        del self.known[one.name]
        self.call("DELETE", f"/containers/{one.id}?force=1&v=1", ok=(204,))
        self.unsure.discard(one.name)

    def rename(self) -> None:
        one = self._one()
        name = f"r{next(self.numbers)}"
        old = one.name
        one.name = ""
        self.call("POST", f"/containers/{one.id}/rename?name={name}", ok=(204,))
        one.name = name
        self.known[name] = self.known.pop(old)

    def execute(self) -> None:
        one = self._one()
        if not one.up or one.paused:
            return
        reply = self.call(
            "POST", f"/containers/{one.id}/exec", {"AttachStdout": True, "Cmd": ["sh", "-c", "echo out; exit 7"]}, ok=(201, 409)
        )
        if reply.status == 409 and one.loose:
            return
        key = reply.json["Id"]
        out = self.call("POST", f"/exec/{key}/start", {"Detach": False, "Tty": False}, ok=(200, 409)).body
        # a client is cut off when the keeper dies; the exit code is told all the same
        document = until(lambda: (d := self.call("GET", f"/exec/{key}/json").json) and not d["Running"] and d, 60, "the end of an exec")
        assert document["ExitCode"] == 7 or one.loose, (self.seed, one, document, out, self.engine.inspect(one.id))

    def short(self) -> None:
        """A container that ends by itself, waited for, and removed."""
        code, name = self.random.randrange(1, 100), f"s{next(self.numbers)}"
        script = f"echo one; echo two >&2; sleep 0.0{self.random.randrange(10)}; echo three; exit {code}"
        self.unsure.add(name)
        key = self.call("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["sh", "-c", script]}).json["Id"]
        self.engine._ids.add(key)
        self.unsure.discard(name)
        one = self.known[name] = Known(key, name, "short", up=None, code=code)
        self.call("POST", f"/containers/{key}/start", ok=(204,))
        one.starts = 1
        got = self.call("POST", f"/containers/{key}/wait").json["StatusCode"]
        one.up = False
        assert got == code or one.loose, (self.seed, got, code)
        self._ends_well(one, self.engine.inspect(key))
        self.unsure.add(name)
        del self.known[name]
        self.call("DELETE", f"/containers/{key}", ok=(204,))
        self.unsure.discard(name)

    def poke(self) -> None:
        """A container with a policy ends by itself and comes back."""
        one = self._one()
        if one.kind != "always" or not one.up or one.paused or one.loose:
            return
        self._ready(one)
        before = self.engine.inspect(one.id) if self.engine else {}
        one.loose = True  # until it is seen to run again
        os.kill(before["State"]["Pid"], signal.SIGTERM)
        until(lambda: self._again(one, before), 60, "a restart by policy")
        one.loose = False

    def _again(self, one: Known, before: Any) -> bool:
        now = self.call("GET", f"/containers/{one.id}/json").json
        return bool(now["State"]["Running"] and now["State"]["Pid"] not in (0, before["State"]["Pid"]))

    def _flip(self, table: dict[str, bool | None], name: str, make: Callable[[], Any], drop: Callable[[], Any]) -> None:
        was, table[name] = table.get(name, False), None
        if was:
            drop()
        else:
            make()
        table[name] = not was

    def volume(self) -> None:
        name = f"v{self.random.randrange(3)}"
        self._flip(
            self.volumes,
            name,
            lambda: self.call("POST", "/volumes/create", {"Name": name}),
            lambda: self.call("DELETE", f"/volumes/{name}", ok=(204,)),
        )

    def network(self) -> None:
        name = f"n{self.random.randrange(3)}"
        self._flip(
            self.networks,
            name,
            lambda: self.call("POST", "/networks/create", {"Name": name}),
            lambda: self.call("DELETE", f"/networks/{name}", ok=(204,)),
        )

    def tag(self) -> None:
        name = f"t{self.random.randrange(3)}:latest"
        self._flip(
            self.tags,
            name,
            lambda: self.call("POST", f"/images/busybox/tag?repo={name.partition(':')[0]}&tag=latest", ok=(201,)),
            lambda: self.call("DELETE", f"/images/{name}"),
        )

    def listing(self) -> None:
        self.call("GET", "/containers/json?all=1&size=1")
        self.call("GET", "/system/df")

    # --- the model against the engine

    def check(self) -> None:
        """Everything that was acknowledged is there, nothing is half there."""
        rows = {row["Names"][0][1:]: row for row in self.call("GET", "/containers/json?all=1").json}
        ids = {row["Id"]: name for name, row in rows.items()}
        for one in list(self.known.values()):
            assert one.id in ids, f"seed {self.seed}: container {one.name} ({one.kind}) is lost"
            if one.name == "":  # a rename was not acknowledged: old or new, not both
                old = next(name for name, other in self.known.items() if other is one)
                one.name = ids[one.id]
                del self.known[old]
                self.known[one.name] = one
            assert ids[one.id] == one.name, (self.seed, ids[one.id], one)
            if one.kind != "short":
                self._check_one(one)
        done: set[str] = set()
        for one in [one for one in self.known.values() if one.kind == "short"]:
            if one.starts:
                self.call("POST", f"/containers/{one.id}/wait")
                self._ends_well(one, self.engine.inspect(one.id))
            self.call("DELETE", f"/containers/{one.id}?force=1", ok=(204,))
            done.add(one.id)
            del self.known[one.name]
        for name, row in rows.items():
            if row["Id"] not in {one.id for one in self.known.values()} | done:
                assert name in self.unsure, f"seed {self.seed}: container {name} should not be there"
                self.engine._ids.add(row["Id"])
                self.call("DELETE", f"/containers/{row['Id']}?force=1&v=1", ok=(204,))
        self.unsure.clear()
        self._check_names(self.volumes, {v["Name"] for v in self.call("GET", "/volumes").json["Volumes"] or []}, "volume")
        self._check_names(self.networks, {n["Name"] for n in self.call("GET", "/networks").json}, "network")
        tags = {tag for image in self.call("GET", "/images/json").json for tag in image["RepoTags"] or []}
        self._check_names(self.tags, tags, "image")

    def _check_names(self, table: dict[str, bool | None], there: set[str], noun: str) -> None:
        for name, expected in table.items():
            assert expected is None or (name in there) is expected, f"seed {self.seed}: {noun} {name}: {name in there}, not {expected}"
            table[name] = name in there

    def _check_one(self, one: Known) -> None:
        document = self.engine.inspect(one.id)
        state = document["State"]
        if one.again:
            state = until(lambda: (now := self.engine.inspect(one.id)["State"])["Running"] and now, 60, f"a start by policy of {one}")
            one.again, one.up, one.code, one.starts = False, True, None, one.starts + 1
        if one.up is None:
            # the verb was not answered; a start under way may go on behind recovery: what is seen now holds
            one.up = bool(state["Running"])
            if one.kind == "always" and state["Restarting"]:
                one.loose = True
        if one.paused is None:
            one.paused = bool(state["Paused"])
        if one.kind == "always" and one.loose and one.up:
            until(lambda: self.engine.inspect(one.id)["State"]["Running"], 60, "restart by policy")
            one.loose = False
            state = self.engine.inspect(one.id)["State"]
        if one.loose and one.up and not state["Running"]:
            one.up = False  # it wrote to a pipe that nobody holds
        where = f"seed {self.seed}: {one}: {json.dumps(state)}"
        assert bool(state["Running"]) is one.up, where
        if one.up:
            assert Path(f"/proc/{state['Pid']}").exists(), where
            assert bool(state["Paused"]) is one.paused, where
            assert stamp(state["StartedAt"]) > self.began - 1, where
            if one.kind == "health" and not one.paused and not one.loose:
                until(lambda: self.engine.inspect(one.id)["State"]["Health"]["Status"] == "healthy", 60, "healthy")
            if one.kind == "serve" and not one.paused and not one.loose:
                until(lambda: self._served(one), 60, f"an answer at port {one.port} of {one}")
        elif one.starts:
            self._ends_well(one, document)
        if one.kind in ("count", "tty") and not one.loose:
            if one.up and not one.paused:
                until(lambda: len(self._lines(one)) >= LINES, 60, f"lines of {one}")
            self._gapless(one)

    def _ends_well(self, one: Known, document: Any) -> None:
        state = document["State"]
        where = f"seed {self.seed}: {one}: {json.dumps(state)}"
        assert state["Pid"] == 0, where
        assert stamp(state["FinishedAt"]) >= stamp(state["StartedAt"]) > self.began - 1, where
        assert stamp(state["FinishedAt"]) <= time.time() + 1, where
        if one.code is not None and not one.loose:
            assert state["ExitCode"] == one.code, where
        if not one.loose:
            assert "not known" not in state["Error"], where
        if one.kind == "short" and not one.loose:
            assert sorted(self.engine.logs(one.id).split()) == [b"one", b"three", b"two"], (where, self.engine.logs(one.id))

    def _lines(self, one: Known) -> list[bytes]:
        query = "stdout=1&stderr=1"
        reply = self.call("GET", f"/containers/{one.id}/logs?{query}")
        text = reply.body if one.kind == "tty" else self.engine.logs(one.id, query)
        return [line.strip() for line in text.split(b"\n") if line.strip()]

    def _gapless(self, one: Known) -> None:
        """Lines count from 0 in each run of the container."""
        expected = 0
        for line in self._lines(one):
            number = int(line.split()[1])
            assert number in (expected, 0), f"seed {self.seed}: {one}: line {number} where {expected} was due"
            assert number or expected in (0, LINES) or one.starts > 1, f"seed {self.seed}: {one}: begins again after {expected}"
            expected = number + 1

    def _served(self, one: Known) -> bool:
        return served(self.engine, one.port)


def served(engine: Engine, port: int) -> bool:
    """Whether the container behind a published port answers (`_SERVE` runs in it)."""
    request = f"printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 127.0.0.1 {port}"
    return engine.inside("sh", "-c", request).stdout.endswith(b"served\n")


def _caught(pid: int) -> bool:
    """Whether a process catches SIGTERM by now."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    for line in text.splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & (1 << (signal.SIGTERM - 1)))
    return False


def leaks(engine: Engine) -> list[str]:
    """Call after `engine.clean()` while the engine runs: what containers, networks and volumes left. Waits for clean-ups first."""
    end = time.monotonic() + 60
    while (found := _leaks(engine)) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _leaks(engine: Engine) -> list[str]:
    found = []
    for folder in ("run/exits", "run/bundles", "run/crun", "run/netns", "run/con", "run/views", "data/containers", "data/volumes"):
        path = engine.dir / folder
        if path.is_dir():
            found += [f"{folder}/{name}" for name in os.listdir(path) if not name.startswith("metadata")]
    found += [f"mount {point}" for point in engine.mounts() if "/netns" not in point]
    found += [f"link {name}" for name in engine.links()]
    found += [f"cgroup {folder}" for folder in engine.cgroups()]
    rules = subprocess.run(
        ["ip", "netns", "exec", engine.name, "nft", "list", "ruleset"], capture_output=True, text=True, check=False, env=_env()
    ).stdout
    found += [f"rule {line.strip()}" for line in rules.splitlines() if re.search(r"172\.\d+\.0\.[2-9]|dnat to|: *\d+ *:", line)]
    return found


def _env() -> dict[str, str]:
    return {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}

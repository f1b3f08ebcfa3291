"""A client that changes services as fast as it gets answers, at one manager after the other, and remembers what was acknowledged."""

import itertools
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.integration.swarm.hosts import Host, service

_MOST = 8
GONE = -1


@dataclass
class Known:
    """Of a service: its number by the last acknowledged change (`GONE`: removed), and what unanswered ones may have made it."""

    said: int
    perhaps: set[int] = field(default_factory=set)

    @property
    def possible(self) -> set[int]:
        """Numbers that it may have now."""
        return {self.said, *self.perhaps}


class Writer:
    """`with Writer(hosts) as writer:` changes things meanwhile. Each service carries the number of its last change as a label."""

    def __init__(self, hosts: Sequence[Host], seed: int = 1) -> None:
        self._hosts = hosts
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._turns = itertools.cycle(range(len(hosts)))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.known: dict[str, Known] = {}
        self.acknowledged = 0
        self.refused = 0
        self.unexpected: list[str] = []

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No change any more; stopped already is fine."""
        self._end.set()
        self._thread.join(90)
        assert not self._thread.is_alive()

    def _work(self) -> None:
        while not self._end.is_set():
            host = self._hosts[next(self._turns)]
            there = [name for name, known in self.known.items() if known.possible != {GONE}]
            sure = [name for name in there if not self.known[name].perhaps]
            if len(there) < 3 or (len(there) < _MOST and self._random.random() < 0.4):
                self._create(host)
            elif sure and self._random.random() < 0.25:
                self._remove(host, self._random.choice(sure))
            elif sure:
                self._change(host, self._random.choice(sure))
            else:
                self._look(host, self._random.choice(there))

    def _look(self, host: Host, name: str) -> None:
        """See what an unanswered change has come to."""
        found = host.ask("GET", f"/services/{name}")
        number = int(found.json["Spec"]["Labels"]["number"]) if found.status == 200 else GONE if found.status == 404 else None
        if number is None:
            time.sleep(0.1)
        elif number in self.known[name].possible:
            self.known[name] = Known(number)
        else:
            self.unexpected.append(f"{name} is {number}, known: {self.known[name]}")
            self.known[name] = Known(number)

    def _spec(self, name: str, number: int) -> dict[str, object]:
        made = service(name, number % 3, Labels={"number": str(number)})
        made["TaskTemplate"]["ContainerSpec"]["Env"] = [f"N={number // 4}"]  # some changes replace tasks, some only scale
        return made

    def _outcome(self, status: int, name: str, number: int, what: str, body: bytes) -> None:
        if status in (200, 201):
            self.acknowledged += 1
            self.known[name] = Known(number)
        elif status in (0, 500, 503):  # nobody knows whether it is done
            self.refused += 1
            self.known.setdefault(name, Known(GONE)).perhaps.add(number)
            time.sleep(0.1)
        elif b"out of sequence" not in body:
            self.unexpected.append(f"{what} {name}: {status} {body[:200]!r}")

    def _create(self, host: Host) -> None:
        number = next(self._numbers)
        name = f"w{number}"
        reply = host.ask("POST", "/services/create", self._spec(name, number))
        self._outcome(reply.status, name, number, "create", reply.body)

    def _remove(self, host: Host, name: str) -> None:
        reply = host.ask("DELETE", f"/services/{name}")
        self._outcome(reply.status, name, GONE, "remove", reply.body)

    def _change(self, host: Host, name: str) -> None:
        found = host.ask("GET", f"/services/{name}")
        if found.status != 200:
            if found.status not in (0, 404, 500, 503):  # 404: another manager's copy may be a moment behind
                self.unexpected.append(f"inspect {name}: {found.status}")
            time.sleep(0.05)
            return
        number = next(self._numbers)
        reply = host.ask("POST", f"/services/{name}/update?version={found.json['Version']['Index']}", self._spec(name, number))
        if reply.status != 404:
            self._outcome(reply.status, name, number, "update", reply.body)

    def lost(self, host: Host) -> list[str]:
        """What was acknowledged and is not so, as this manager sees it."""
        rows = [row["Spec"] for row in host.get("/services") if "number" in row["Spec"]["Labels"]]
        there = {spec["Name"]: int(spec["Labels"]["number"]) for spec in rows}
        wrong = [
            f"{name} is {there.get(name, GONE)}, known: {known}"
            for name, known in self.known.items()
            if there.get(name, GONE) not in known.possible
        ]
        return wrong + [f"{name} was never asked for" for name in there if name not in self.known]

"""The member of etcd that a manager runs: a process of this daemon, which dies with it and is started again when it dies alone.

Its data lie in `<data>/swarm/etcd`, its socket, certificates and messages in `<run>/swarm/etcd`, which only root enters. Members speak to
each other over mutual TLS with a root of their own that only managers have: a worker's certificate opens nothing here.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from scow import aio, log
from scow.aio import Supervisor, in_pool
from scow.errors import ScowError, Unavailable
from scow.kernel import pidfd, spawn
from scow.swarm import ca
from scow.swarm.ca.peers import Trust
from scow.swarm.store.etcd.client import Client, EtcdError, Health

logger = log.get(__name__)

PORT_AFTER = 1
"""Members listen at the port after the swarm's: 2378."""
_SOCKET = "client:0"
_HEARTBEAT_MS, _ELECTION_MS = 150, 1500
_STOP_SECONDS = 5.0
_AGAIN_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
_INSTALL_SECONDS = 300.0
_QUOTA = 4 << 30
_QUICK_SECONDS = 30.0
_DAMAGED_AFTER = 2
_DAMAGE = re.compile(
    r"crc mismatch|checksum|invalid database|failed to open database|freepages|freelist|out of bounds|entry size limit|unexpected EOF"
    r"|corrupt|failed to read WAL|failed to recover|no matching snap|page \d+: |version mismatch|can't find member|local name|member count"
)
"""What etcd says of data that it cannot use. A full disk and the like are no damage: it goes on when there is room."""
_IMPATIENT = ("Acquire::Retries=0", "Acquire::http::Timeout=10", "Acquire::https::Timeout=10")
"""A host without a way out says so soon; apt by itself tries for minutes."""
_NO_SERVICE = [
    part
    for option in (
        "DPkg::Lock::Timeout=60",
        *_IMPATIENT,
        *(
            f"DPkg::Options::=--path-exclude={path}"
            for path in ("/etc/init.d/etcd", "/lib/systemd/system/etcd.service", "/usr/lib/systemd/system/etcd.service")
        ),
    )
    for part in ("-o", option)
]
"""The package would start an etcd of its own, which nobody asked for."""
_MISSING = (
    "a swarm with more than one manager keeps its state in etcd, and etcd is not installed on {host}: {why}. "
    "Install Debian's package etcd-server there (apt-get install etcd-server) and try again"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member is: its name (the node's id), what others call it by, what it listens at; data and run directories."""

    name: str
    advertise: str
    listen: str
    data: Path
    run: Path

    @property
    def peer(self) -> str:
        """Its address for other members."""
        return peer_url(self.advertise)


def peer_url(address: str) -> str:
    """The address of a node's member, of the node's own (`host:port`)."""
    host, _, port = address.rpartition(":")
    return f"https://{host}:{int(port) + PORT_AFTER}"


async def program() -> str:
    """The path of etcd; installed from the distribution's packages where it is missing. Raises Unavailable."""
    if found := shutil.which("etcd", path=spawn.PATH):
        return found
    host = os.uname().nodename
    apt = shutil.which("apt-get", path=spawn.PATH)
    if apt is None:
        raise Unavailable(_MISSING.format(host=host, why="this system has no apt-get to install it with"))
    logger.info("etcd is missing: apt-get installs it")
    said = ""
    for update in (False, True):  # a fresh system has no lists of packages yet
        if update:
            await _run([apt, "update", "-qq", *(part for option in _IMPATIENT for part in ("-o", option))])
        said = await _run([apt, "install", "-y", "-qq", "--no-install-recommends", *_NO_SERVICE, "etcd-server"])
        if found := shutil.which("etcd", path=spawn.PATH):
            logger.info("etcd was installed: %s", found)
            return found
    raise Unavailable(_MISSING.format(host=host, why=f"apt-get could not install it ({said or 'no reason given'})"))


async def _run(argv: Sequence[str]) -> str:
    """Run a program to its end; the last line that it said."""
    fd = os.memfd_create("output")
    try:
        env = {"PATH": spawn.PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        pid = spawn.spawn(argv, {1: fd, 2: fd}, env, new_session=True)
        process = pidfd.open_pid(pid)
        try:
            async with asyncio.timeout(_INSTALL_SECONDS):
                await aio.readable(process)
        except TimeoutError:
            pidfd.send_signal(process, signal.SIGKILL)
            await aio.readable(process)
        finally:
            pidfd.reap(process)
            os.close(process)
        lines = os.pread(fd, 1 << 16, max(0, os.fstat(fd).st_size - (1 << 16))).decode(errors="replace").split("\n")
        return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
    finally:
        os.close(fd)


class Etcd:
    """One member. `client` speaks to it while it runs."""

    def __init__(self, place: Place, trust: Trust, quota: int = _QUOTA) -> None:
        """`quota`: bytes that the database may have."""
        self._quota = quota
        self.place = place
        self.trust = trust
        self._supervisor = Supervisor("etcd")
        self._process = -1
        self._folder = -1
        self.client = Client(Path("/nonexistent"))
        self.trouble = ""
        """What it said when it ended by itself; its user makes it "" when it has answered since."""
        self.damaged = ""
        """What it said when its data could not be used several times in a row; "" while they can."""

    @property
    def known(self) -> bool:
        """Whether this member has data: then it knows its cluster. Half of them are none: etcd would take them for all there is."""
        data = self.place.data / "member"
        return (data / "snap" / "db").is_file() and any((data / "wal").glob("*.wal"))

    async def start(self, cluster: str = "", fresh: bool = False, alone: bool = False) -> None:
        """Start and keep running. `cluster`: `name=url,…` of all members, when there are no data yet (`fresh`: this one founds it);
        `alone`: forget the other members, which are lost. Raises Unavailable."""
        etcd = await program()
        place = self.place
        for folder in (place.data, place.run):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
        self._folder = os.open(place.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        # a socket's path is limited to 108 bytes: it is reached by the directory's descriptor
        self.client = Client(Path(f"/proc/self/fd/{self._folder}/{_SOCKET}"))
        self.certify(self.trust)
        if not self.known:
            await in_pool(shutil.rmtree, place.data / "member", True)
        argv = self._argv(etcd, cluster, fresh)
        self._launch([*argv, "--force-new-cluster"] if alone else argv)
        self._supervisor.start(self._keep(argv), "process")

    async def begin_anew(self, cluster: str, trust: Trust) -> None:
        """Be another member, which learns, in the place of this one, whose data are of no use; `client` stays. Raises Unavailable."""
        argv = await self._prepared(trust, cluster)
        await self._supervisor.close()
        await self._end()
        await in_pool(shutil.rmtree, self.place.data / "member", True)
        self.damaged = ""
        self._supervisor.start(self._keep(argv), "process")

    async def restart(self, trust: Trust) -> None:
        """End it and start it with other roots that it believes; its data and `client` stay. Raises Unavailable."""
        argv = await self._prepared(trust)
        await self._supervisor.close()
        await self._end()
        self._supervisor.start(self._keep(argv), "process")

    async def _prepared(self, trust: Trust, cluster: str = "") -> list[str]:
        """How it is to be started, with all there that it needs: what can go wrong does so before it ends. Raises Unavailable."""
        argv = self._argv(await program(), cluster, False)
        self.certify(trust)
        return argv

    def certify(self, trust: Trust) -> None:
        """Have a certificate made of another root, which it shows from now on; whom it believes, it reads when it starts. Raises
        Unavailable."""
        host = self.place.advertise.rpartition(":")[0].strip("[]")
        made = ca.member_certificate(trust.root, self.place.name, host)
        try:
            for name, text in (("root.pem", trust.believed), ("member.key", made.key), ("member.pem", made.certificate)):
                new = self.place.run / f"{name}.new"
                new.unlink(missing_ok=True)
                with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(text)
                new.replace(self.place.run / name)
        except OSError as error:
            raise Unavailable(f"the certificate of etcd's member cannot be written: {error.strerror}") from None
        self.trust = trust

    def _argv(self, etcd: str, cluster: str, fresh: bool) -> list[str]:
        place = self.place
        host, _, port = place.listen.rpartition(":")
        options = {
            "name": place.name,
            "data-dir": str(place.data),
            "listen-client-urls": f"unix://{_SOCKET}",
            "advertise-client-urls": "http://127.0.0.1:1",  # nobody is to find it
            "listen-peer-urls": f"https://{host}:{int(port) + PORT_AFTER}",
            "initial-advertise-peer-urls": place.peer,
            "initial-cluster": cluster or f"{place.name}={place.peer}",
            "initial-cluster-state": "new" if fresh else "existing",
            "peer-cert-file": "member.pem",
            "peer-key-file": "member.key",
            "peer-trusted-ca-file": "root.pem",
            "peer-client-cert-auth": "true",
            "experimental-peer-skip-client-san-verification": "true",  # the root is only managers' anyway; hosts may have many addresses
            "heartbeat-interval": str(_HEARTBEAT_MS),
            "election-timeout": str(_ELECTION_MS),
            "pre-vote": "true",
            "strict-reconfig-check": "false",  # it refuses for five seconds after any change; whom to let go is checked by the control API
            "auto-compaction-mode": "revision",
            "auto-compaction-retention": "5000",
            "quota-backend-bytes": str(self._quota),
            "max-txn-ops": "1000000",
            "max-request-bytes": str(512 << 20),
            "logger": "zap",
            "log-level": "warn",
            "log-outputs": "stderr",
        }
        # it ends with the daemon, however that ends: a manager without its daemon must not lead
        lead = ["env", "-C", str(place.run), "setpriv", "--pdeathsig", "KILL", etcd]
        return [*lead, *(f"--{name}={value}" for name, value in options.items())]

    def _launch(self, argv: Sequence[str]) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.place.run / _SOCKET).unlink()
        fd = os.open(self.place.run / "etcd.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        env = {"PATH": spawn.PATH, "ETCD_UNSUPPORTED_ARCH": {"aarch64": "arm64"}.get(os.uname().machine, "")}
        try:
            self._process = pidfd.open_pid(spawn.spawn(argv, {1: fd, 2: fd}, {name: value for name, value in env.items() if value}))
        except OSError as error:
            raise Unavailable(f"etcd cannot be started: {error.strerror}") from None
        finally:
            os.close(fd)

    async def _keep(self, argv: Sequence[str]) -> None:
        """Start it when it does not run, and again when it ends."""
        tries = 0
        while True:
            while self._process < 0:
                try:
                    self._launch(argv)
                except (Unavailable, OSError) as error:
                    tries += 1
                    logger.warning("etcd cannot be started: %s", error)
                    await asyncio.sleep(_AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS) - 1)])
            began = asyncio.get_running_loop().time()
            await aio.readable(self._process)
            code = pidfd.reap(self._process)
            os.close(self._process)
            self._process = -1
            logger.warning("etcd has ended with code %s: %s", code, self.last_words())
            tries = 0 if asyncio.get_running_loop().time() - began > _QUICK_SECONDS else tries + 1
            self.trouble = words = self.last_words()
            useless = not self.known or (bool(_DAMAGE.search(words)) and "no space left" not in words)
            self.damaged = words if useless and tries >= _DAMAGED_AFTER else ""
            await asyncio.sleep(_AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS) - 1)])

    def last_words(self) -> str:
        """Why it ended, as far as it said so; otherwise its last line."""
        with contextlib.suppress(OSError), open(self.place.run / "etcd.log", "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - (64 << 10)))
            lines = file.read().decode(errors="replace").strip().split("\n")
            said = [
                _sentence(line) for line in lines if line.startswith("panic:") or '"level":"fatal"' in line or '"level":"panic"' in line
            ]
            return (": ".join(dict.fromkeys(said)) or _sentence(lines[-1]))[:300]
        return ""

    async def ready(self, seconds: float, learning: bool = False) -> Health:
        """Wait until it answers, knows a leader and votes, or learns where that is enough. Raises Unavailable."""
        error: ScowError = Unavailable("etcd does not answer")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        health = await self.client.health()
                        if health.leader and (learning or not health.learner):
                            return health
                    except EtcdError as failed:
                        error = failed
                    await asyncio.sleep(0.1)
        raise Unavailable(f"{error.message}; its last message: {self.last_words() or 'none'}")

    def kill(self) -> None:
        """End the process at once (tests of faults); it is started again."""
        pidfd.send_signal(self._process, signal.SIGKILL)

    async def stop(self) -> None:
        """End it; its data stay."""
        await self._supervisor.close()
        await self.client.close()
        await self._end()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    async def _end(self) -> None:
        process = self._process
        if process >= 0:
            with contextlib.suppress(ProcessLookupError):
                pidfd.send_signal(process, signal.SIGTERM)
            try:
                async with asyncio.timeout(_STOP_SECONDS):
                    await aio.readable(process)
            except TimeoutError:
                pidfd.send_signal(process, signal.SIGKILL)
                await aio.readable(process)
            self._process = -1  # not before: whoever is cancelled meanwhile must find it
            pidfd.reap(process)
            os.close(process)

    async def wipe(self) -> None:
        """Remove its data; it must not run."""
        await in_pool(shutil.rmtree, self.place.data, True)
        await in_pool(shutil.rmtree, self.place.run, True)


def _sentence(line: str) -> str:
    """What people are to read of a line of etcd's messages."""
    try:
        found = orjson.loads(line)
    except ValueError:
        return line
    if not isinstance(found, dict):
        return line
    return ": ".join(str(found[key]) for key in ("msg", "error") if found.get(key)) or line

"""WireGuard as a link: the kernel's, or one of the program `wireguard-go`, which does the same over /dev/net/tun and is slower.

A program's process outlives the daemon, as containers do; the next daemon finds it by its link and its pid file and minds it.
"""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from scow import aio, log
from scow.aio import Supervisor, in_pool
from scow.errors import Internal, Unsupported
from scow.kernel import pidfd, spawn, wireguard
from scow.kernel.netlink import Netlink
from scow.kernel.wireguard import WireGuard, WireGuardPeer

logger = log.get(__name__)

KEEPALIVE = 25
"""Seconds between signs of life, so that a host that lost its sessions is heard at once and firewalls keep the way open."""
PROGRAM = "wireguard-go"
_TUN = Path("/dev/net/tun")
_IPV6 = Path("/proc/sys/net/ipv6")
_SOCKETS = Path("/var/run/wireguard")
_START_SECONDS, _STEP_SECONDS = 15.0, 0.05
_ANSWER_SECONDS = 10.0
_MOST_ANSWER = 8 << 20
_RCVBUFFORCE, _ROOM = 33, 4 << 20


class Devices(Protocol):
    """WireGuard links by name. Methods raise Unsupported, Internal."""

    async def ensure(self, name: str, private: bytes, port: int, mtu: int) -> bool:
        """Have the link with this key and port; whether it had to be made."""

    async def peers(self, name: str) -> set[bytes]:
        """Public keys of its peers."""

    async def change_peers(self, name: str, wanted: Sequence[WireGuardPeer], gone: Collection[bytes]) -> None:
        """Add or change peers, remove others."""

    async def remove(self, name: str) -> None:
        """Take it away; absent is fine."""

    async def close(self) -> None:
        """The daemon stops; links stay."""


def missing() -> str:
    """Why this host cannot encrypt, as a sentence; "" when it can."""
    if not _IPV6.exists():
        return "encrypted overlay networks need IPv6 in the kernel, which was started without it (ipv6.disable=1)"
    if wireguard.available():
        return ""
    if _program() is None:
        return (
            f"encrypted overlay networks need WireGuard, which the kernel of {os.uname().nodename} has not: load the module wireguard, "
            f"or install Debian's package wireguard-go there (apt-get install wireguard-go)"
        )
    if not _TUN.exists():
        return f"encrypted overlay networks need WireGuard in the kernel, or {_TUN} for wireguard-go: load the module tun"
    return ""


def _program() -> str | None:
    return shutil.which(PROGRAM, path=spawn.PATH)


def choose(folder: Path, ended: Callable[[], None]) -> Devices:
    """What this host has. Raises Unsupported. `folder` as for ProgramDevices; `ended()`: a link has gone by itself."""
    if why := missing():
        raise Unsupported(why)
    if wireguard.available():
        return KernelDevices()
    return ProgramDevices(folder, ended)


class KernelDevices:
    """Of the kernel."""

    async def ensure(self, name: str, private: bytes, port: int, mtu: int) -> bool:
        """See Devices."""
        return await in_pool(self._ensure, name, private, port, mtu)

    @staticmethod
    def _ensure(name: str, private: bytes, port: int, mtu: int) -> bool:
        try:
            with Netlink() as netlink:
                present = netlink.link(name)
                if present is not None and present.kind != "wireguard":
                    netlink.delete_link(name)
                    present = None
                if present is None:
                    netlink.add_wireguard(name, mtu)
            if present is None:
                with WireGuard() as device:
                    device.configure(name, private, port)
        except OSError as error:
            with Netlink() as netlink:
                netlink.delete_link(name)
            if error.errno in (errno.EOPNOTSUPP, errno.ENOENT):
                raise Unsupported(missing() or "the kernel has lost WireGuard: load the module wireguard") from None
            raise Internal(_failed(name, port, error)) from None
        return present is None

    async def peers(self, name: str) -> set[bytes]:
        """See Devices."""

        def read() -> set[bytes]:
            with WireGuard() as device:
                return device.peers(name)

        try:
            return await in_pool(read)
        except OSError as error:
            raise Internal(f"the WireGuard link {name} does not answer: {error.strerror}") from None

    async def change_peers(self, name: str, wanted: Sequence[WireGuardPeer], gone: Collection[bytes]) -> None:
        """See Devices."""

        def write() -> None:
            with WireGuard() as device:
                device.change_peers(name, wanted, gone, KEEPALIVE)

        try:
            await in_pool(write)
        except OSError as error:
            raise Internal(f"the peers of the WireGuard link {name} cannot be set: {error.strerror}") from None

    async def remove(self, name: str) -> None:
        """See Devices."""
        await in_pool(_delete, name)

    async def close(self) -> None:
        """See Devices."""


def _delete(name: str) -> None:
    with Netlink() as netlink:
        netlink.delete_link(name)


def _failed(name: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"UDP port {port}, which encrypted networks need, is in use on this host: set swarm-encryption-port in daemon.json"
    return f"the WireGuard link {name} cannot be made: {error.strerror}"


class ProgramDevices:
    """Of `wireguard-go`, one process per link. `folder` keeps pid files and the processes' messages."""

    def __init__(self, folder: Path, ended: Callable[[], None], sockets: Path = _SOCKETS) -> None:
        self._folder = folder
        self._ended = ended
        self._sockets = sockets
        self._supervisor = Supervisor("wireguard-go")
        self._minded: set[str] = set()
        self._told = False

    async def ensure(self, name: str, private: bytes, port: int, mtu: int) -> bool:
        """See Devices."""
        if await in_pool(self._lives, name):
            self._mind(name, await in_pool(self._adopted, name))
            return False
        await self.remove(name)
        self._mind(name, await in_pool(self._launch, name))
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._until(name, self._lives, name)
                await in_pool(_raise, name, mtu)
                await in_pool(self._ask, name, f"set=1\nprivate_key={private.hex()}\nlisten_port={port}\n\n", port)
                # it hears later that its link is up; a greeting sent before it listens would be said again after five seconds only
                await self._until(name, _listens, port)
                await in_pool(self._widen, name)
        except TimeoutError:
            words = self._last_words(name) or "it says nothing"
            await self.remove(name)
            raise Internal(f"wireguard-go does not come up: {words}") from None
        except BaseException:
            await self.remove(name)
            raise
        return True

    async def _until(self, name: str, check: Callable[..., bool], *args: Any) -> None:
        """Wait for something, as long as the program runs. Raises Internal."""
        while True:
            if await in_pool(check, *args):
                return
            if name not in self._minded:
                raise Internal(f"wireguard-go has ended: {self._last_words(name) or 'it said nothing'}")
            await asyncio.sleep(_STEP_SECONDS)

    def _lives(self, name: str) -> bool:
        try:
            with Netlink() as netlink:
                if netlink.link(name) is None:
                    return False
            with self._connect(name):
                return True
        except OSError:
            return False

    def _connect(self, name: str) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            made.settimeout(_ANSWER_SECONDS)
            made.connect(str(self._sockets / f"{name}.sock"))
        except BaseException:
            made.close()
            raise
        return made

    def _ask(self, name: str, text: str, port: int = 0) -> str:
        """One question of its protocol (https://www.wireguard.com/xplatform/); the answer has the private key and is never to be shown."""
        try:
            with self._connect(name) as link:
                link.sendall(text.encode())
                said = b""
                while not said.endswith(b"\n\n") and (part := link.recv(1 << 16)):
                    said += part
                    if len(said) > _MOST_ANSWER:
                        raise Internal("wireguard-go says more than can be")
        except OSError as error:
            raise Internal(f"wireguard-go does not answer: {error.strerror or 'too late'}") from None
        answer = said.decode(errors="replace")
        code = next((line.partition("=")[2] for line in answer.splitlines() if line.startswith("errno=")), "")
        if code != "0":
            number = -int(code) if code.removeprefix("-").isdigit() else errno.EIO
            raise Internal(_failed(name, port, OSError(abs(number), os.strerror(abs(number)))))
        return answer

    # --- processes

    def _widen(self, name: str) -> None:
        """Give its UDP sockets more room: on a busy host the usual 200 KiB lose every tenth packet while it waits for a processor."""
        process = self._adopted(name)
        if process < 0:
            return
        try:
            with contextlib.suppress(OSError, ValueError):
                pid = int((self._folder / f"{name}.pid").read_text())
                for path in Path(f"/proc/{pid}/fd").iterdir():
                    if os.readlink(path).startswith("socket:"):
                        with socket.socket(fileno=pidfd.descriptor(process, int(path.name))) as one:
                            if one.type == socket.SOCK_DGRAM and one.family in (socket.AF_INET, socket.AF_INET6):
                                one.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _ROOM)
        finally:
            os.close(process)

    def _launch(self, name: str) -> int:
        """Start one; its pidfd."""
        program = _program()
        if program is None:
            raise Unsupported(missing() or "wireguard-go is gone: install Debian's package wireguard-go")
        if not self._told:
            self._told = True
            logger.warning("this kernel has no WireGuard: encrypted overlay networks go through the program wireguard-go, which is slower")
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            env = {"PATH": spawn.PATH, "LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"}
            pid = spawn.spawn([program, "-f", name], {1: fd, 2: fd}, env, new_session=True)
            (self._folder / f"{name}.pid").write_text(str(pid))
            return pidfd.open_pid(pid)
        except OSError as error:
            raise Internal(f"wireguard-go cannot be started: {error.strerror}") from None
        finally:
            os.close(fd)

    def _adopted(self, name: str) -> int:
        """The pidfd of a process that an earlier daemon has started, -1 when it is not found."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._folder / f"{name}.pid").read_text())
            fd = pidfd.open_pid(pid)
            if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return fd
            os.close(fd)
        return -1

    def _mind(self, name: str, process: int) -> None:
        if process < 0 or name in self._minded:
            if process >= 0:
                os.close(process)
            return
        self._minded.add(name)
        self._supervisor.start(self._wait(name, process), name)

    async def _wait(self, name: str, process: int) -> None:
        try:
            await aio.readable(process)
            pidfd.reap(process)
        finally:
            os.close(process)
            self._minded.discard(name)
        self._ended()

    def _last_words(self, name: str) -> str:
        with contextlib.suppress(OSError):
            lines = (self._folder / f"{name}.log").read_text(errors="replace")[-4096:].strip().split("\n")
            return lines[-1][:300]
        return ""

    # --- the rest of Devices

    async def peers(self, name: str) -> set[bytes]:
        """See Devices."""
        answer = await in_pool(self._ask, name, "get=1\n\n")
        with contextlib.suppress(ValueError):
            return {bytes.fromhex(line.partition("=")[2]) for line in answer.splitlines() if line.startswith("public_key=")}
        raise Internal("wireguard-go gives an answer that is none")

    async def change_peers(self, name: str, wanted: Sequence[WireGuardPeer], gone: Collection[bytes]) -> None:
        """See Devices."""
        lines = ["set=1"]
        for public in gone:
            lines += [f"public_key={public.hex()}", "remove=true"]
        for one in wanted:
            host = f"[{one.host}]" if ":" in one.host else one.host
            lines += [f"public_key={one.public.hex()}", f"endpoint={host}:{one.port}", f"persistent_keepalive_interval={KEEPALIVE}"]
            lines += ["replace_allowed_ips=true", f"allowed_ip={one.address}/128"]
        await in_pool(self._ask, name, "\n".join(lines) + "\n\n")

    async def remove(self, name: str) -> None:
        """See Devices. The process ends when its link goes; one that does not is killed."""
        await in_pool(self._remove, name)

    def _remove(self, name: str) -> None:
        process = self._adopted(name)
        _delete(name)
        if process >= 0:
            with contextlib.suppress(ProcessLookupError):
                pidfd.send_signal(process, signal.SIGKILL)
            os.close(process)
        for path in (self._folder / f"{name}.pid", self._folder / f"{name}.log", self._sockets / f"{name}.sock"):
            with contextlib.suppress(OSError):
                path.unlink()

    async def close(self) -> None:
        """See Devices."""
        await self._supervisor.close()


def _raise(name: str, mtu: int) -> None:
    with Netlink() as netlink:
        if (link := netlink.link(name)) is not None:
            netlink.set_link(link.index, mtu=mtu, up=True)


def _listens(port: int) -> bool:
    """Whether somebody has this UDP port."""
    for path in ("/proc/self/net/udp", "/proc/self/net/udp6"):
        with contextlib.suppress(OSError), open(path) as file:
            if any(line.split()[1].endswith(f":{port:04X}") for line in file.readlines()[1:]):
                return True
    return False

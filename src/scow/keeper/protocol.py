"""What daemon and keeper say to each other: one JSON object per SEQPACKET packet, descriptors beside it (SCM_RIGHTS).

Requests `{"op": …, "n": number, …}`; replies `{"re": number, …}`; events `{"ev": …}`. `fds` names the descriptors in their order.
Exit records live here too, as both sides write and read them: run/exits/<container id>, or <container id>.<exec id>; the first writer wins.
"""

import array
import contextlib
import json
import os
import socket
from typing import Any

VERSION = 1
MAX_PACKET = 192 * 1024
_MAX_FDS = 64

Message = dict[str, Any]


def pack(message: Message) -> bytes:
    """The bytes of one packet; ValueError when too long for one."""
    data = json.dumps(message, separators=(",", ":")).encode()
    if len(data) > MAX_PACKET:
        raise ValueError("message too long for a packet")
    return data


def send(sock: socket.socket, message: Message, fds: list[int] | None = None) -> None:
    """Send one packet; BlockingIOError when the socket is full."""
    data = pack(message)
    if fds:
        socket.send_fds(sock, [data], fds)
    else:
        sock.send(data)


def receive(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """One packet with its descriptors (close-on-exec); None at the end; BlockingIOError when there is none."""
    data, ancillary, _, _ = sock.recvmsg(MAX_PACKET, socket.CMSG_SPACE(_MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    if not data:
        for fd in fds:
            os.close(fd)
        return None
    return json.loads(data), list(fds)


def record_name(container_id: str, exec_id: str) -> str:
    """File name of an exit record."""
    return f"{container_id}.{exec_id}" if exec_id else container_id


def write_record(directory: str, name: str, record: Message) -> Message:
    """Write an exit record unless there is one of this process (`pid`); returns the one that counts."""
    final = os.path.join(directory, name)
    temporary = f"{final}.{os.getpid()}.tmp"
    with open(temporary, "w") as file:
        json.dump(record, file)
    try:
        os.link(temporary, final)
    except FileExistsError:
        old = read_record(directory, name)
        if old is not None and is_of(old, record.get("pid")):
            return old
        os.replace(temporary, final)
        return record
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return record


def is_of(record: Message, pid: int | None) -> bool:
    """Whether a record or an exit event tells of this process, and not of an earlier one of its name."""
    return pid is None or record.get("pid") in (None, pid)


def read_record(directory: str, name: str) -> Message | None:
    """The exit record `{"code", "at", "oom", "known", "pid"}`, or None."""
    try:
        with open(os.path.join(directory, name)) as file:
            record = json.load(file)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def oom_killed(files: list[str]) -> bool:
    """Whether the kernel's out-of-memory killer struck in the cgroup with these event files."""
    for path in files:
        try:
            with open(path) as file:
                for line in file:
                    key, _, value = line.partition(" ")
                    if key == "oom_kill" and int(value) > 0:
                        return True
        except (OSError, ValueError):
            continue
    return False

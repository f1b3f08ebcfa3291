"""Questions for a name, as many as one container gets answered; prints answers per second. Works on any Docker-compatible engine.

usage: dns_load.py --engine unix:///engine.sock [SECONDS]    makes a network and a container (busybox), asks from inside, takes them away
       nsenter -t PID -n python3 dns_load.py NAME [SECONDS]  asks from the network namespace of a container that is there
"""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time

_OPEN = 64  # questions under way at once
_NAME = "dns-load"


def question(name: str) -> bytes:
    """A query for the IPv4 address of `name`."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def ask(name: str, seconds: float) -> int:
    """Answers per second."""
    data, count = question(name), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.11", 53))
        sock.settimeout(1)
        start = time.monotonic()
        pending = 0
        while time.monotonic() - start < seconds:
            while pending < _OPEN:
                sock.send(data)
                pending += 1
            with contextlib.suppress(TimeoutError):
                sock.recv(4096)
                count += 1
                pending -= 1
                continue
            pending = 0
        return int(count / (time.monotonic() - start))


def on_engine(host: str, seconds: float) -> None:
    """The whole of it on an engine, by the docker CLI."""
    env = {**os.environ, "DOCKER_HOST": host}

    def docker(*args: str, check: bool = True) -> str:
        return subprocess.run(["docker", *args], env=env, check=check, capture_output=True, text=True).stdout.strip()

    docker("network", "create", _NAME)
    try:
        docker("run", "-d", "--name", _NAME, "--network", _NAME, "busybox", "sleep", "1000")
        pid = docker("inspect", "-f", "{{.State.Pid}}", _NAME)
        subprocess.run(["nsenter", "-t", pid, "-n", sys.executable, __file__, _NAME, str(seconds)], check=True)
    finally:
        docker("rm", "-f", _NAME, check=False)
        docker("network", "rm", _NAME, check=False)


def main(args: list[str]) -> None:
    """See the usage."""
    if args[:1] == ["--engine"]:
        on_engine(args[1], float(args[2]) if len(args) > 2 else 5.0)
    else:
        print(ask(args[0], float(args[1]) if len(args) > 1 else 5.0), "answers/s")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Questions for a name, as many as one container gets answered: run in a container's network namespace, prints answers per second.

usage: nsenter -t PID -n python3 tests/bench/dns_load.py NAME [SECONDS]
"""

import contextlib
import socket
import struct
import sys
import time

_OPEN = 64  # questions under way at once


def question(name: str) -> bytes:
    """A query for the IPv4 address of `name`."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 1, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def main(name: str, seconds: float) -> int:
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


if __name__ == "__main__":
    print(main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5.0), "answers/s")

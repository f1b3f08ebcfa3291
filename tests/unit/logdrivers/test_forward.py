"""Syslog gets each line once, also after a restart."""

import asyncio
import socket
from pathlib import Path

from scow.keeper import jsonlog
from scow.logdrivers.forward import forward
from scow.logdrivers.plan import LogPlan


def test_syslog_over_a_socket(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(tmp_path / "s"))
    server.setblocking(False)
    path = tmp_path / "container.log"
    plan = LogPlan("syslog", path, options={"syslog-address": f"unixgram://{tmp_path}/s"}, tag="web")
    path.write_bytes(jsonlog.encode(b"one\n", "stdout", 10) + jsonlog.encode(b"two\n", "stderr", 20))
    asyncio.run(forward(plan, "c" * 64, lambda: True))
    first, second = server.recv(1000), server.recv(1000)
    assert first.startswith(b"<30>")
    assert first.endswith(b": one")
    assert second.startswith(b"<27>")
    with path.open("ab") as file:
        file.write(jsonlog.encode(b"three\n", "stdout", 30))
    asyncio.run(forward(plan, "c" * 64, lambda: True))
    assert server.recv(1000).endswith(b": three")
    server.close()

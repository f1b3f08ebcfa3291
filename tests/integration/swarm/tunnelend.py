"""One end of a tunnel for `test_tunnel.py`: reads commands (JSON, one a line) from its input, answers on its output. Runs in a network
namespace of its own with the link `wire`; whatever it sends within the tunnel has MARK in it, and it looks for that on the wire."""

import asyncio
import base64
import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from scow.kernel.wireguard import WireGuardPeer
from scow.network.encryption.keys import address_of
from scow.network.encryption.tunnel import Tunnel

PORT = 4790
MARK = b"this is not for the wire"
_PATIENCE = 2.0
_GAP = 0.004


class End:
    def __init__(self, folder: Path) -> None:
        self.skipped = 0
        self.tunnel = Tunnel(folder, now_ns=lambda: time.time_ns() + self.skipped)
        self.target = ""
        self.sent = self.answered = self.seen = self.packets = 0
        self._running = True
        self._echo = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._echo.bind(("::", PORT))
        self._asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._asking.bind(("::", 0))
        self._asking.settimeout(_PATIENCE)
        self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._wire.bind(("wire", 0))
        for work in (self._answer, self._look):
            threading.Thread(target=work, daemon=True).start()

    def _answer(self) -> None:
        while True:
            data, who = self._echo.recvfrom(4096)
            if data.startswith(b"answer"):  # comes to the same port: only that one passes the tunnel
                self.answered += 1
            else:
                self._echo.sendto(b"answer" + data, (who[0], PORT))

    def _look(self) -> None:
        while True:
            data = self._wire.recv(65536)
            self.packets += 1
            self.seen += MARK in data

    async def ask(self, seconds: float) -> None:
        """Send all the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._echo.sendto(MARK + str(self.sent).encode(), (self.target, PORT))
            self.sent += 1
            await asyncio.sleep(_GAP)

    async def do(self, name: str, value: Any) -> Any:
        tunnel = self.tunnel
        match name:
            case "ensure":
                await tunnel.ensure(PORT)
            case "lead":
                keys = [(base64.b64decode(row["key"]), int(row["port"])) for row in value["rows"]]
                await tunnel.lead([WireGuardPeer(key, value["host"], port, address_of(key)) for key, port in keys], True)
                self.target = address_of(keys[0][0])
            case "known":
                tunnel.known(tunnel.rows)
            case "skip":
                self.skipped += int(value)
                await tunnel.tick()
            case "ask":
                await self.ask(float(value))
            case "forget":
                await tunnel.forget()
        counts = {"sent": self.sent, "answered": self.answered, "seen": self.seen, "packets": self.packets}
        return {"rows": list(tunnel.rows), **counts}


async def main() -> None:
    end = End(Path(sys.argv[1]))
    loop = asyncio.get_running_loop()
    asking: asyncio.Task[Any] | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, value = json.loads(line)
        if name == "ask":
            asking = loop.create_task(end.do(name, value))
            answer: Any = None
        elif name == "asked":
            assert asking is not None
            await asking
            for _ in range(100):
                if end.answered >= end.sent:
                    break
                await asyncio.sleep(0.1)
            answer = await end.do("", None)
        else:
            answer = await end.do(name, value)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())

"""Scow's registry server beside Debian's docker-registry: bytes served and taken for each second of the server's CPU, memory, and a garbage
collection over many blobs while pushes go on.

    .venv/bin/python tests/bench/registry_server.py [--size MB] [--rounds N] [--blobs N]

Needs docker-registry in PATH; works below /var/tmp. Run it on a quiet machine.
"""

import argparse
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICK = os.sysconf("SC_CLK_TCK")
CHUNK = 32 << 10  # what Go's clients send at a time


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """A registry under measurement."""

    def __init__(self, name: str, argv: list[str], port: int) -> None:
        self.name, self.port = name, port
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while True:
            try:
                self.call("GET", "/v2/")
                break
            except OSError:
                assert time.monotonic() < end and self.process.poll() is None, f"{name} does not start"
                time.sleep(0.05)

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        reply.read()
        connection.close()
        return reply.status, {key.lower(): value for key, value in reply.getheaders()}

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def peak(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition("VmHWM:")[2].split()[0]) // 1024

    def location(self) -> str:
        status, headers = self.call("POST", "/v2/bench/x/blobs/uploads/", b"")
        assert status == 202
        where = headers["location"]
        return where[where.index("/v2/") :]

    def push(self, path: Path, digest: str, chunked: bool) -> None:
        where = self.location()
        head = f"PATCH {where} HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        with socket.create_connection(("127.0.0.1", self.port)) as sock, path.open("rb") as file:
            if chunked:
                sock.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
                while data := file.read(CHUNK):
                    sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))
                sock.sendall(b"0\r\n\r\n")
            else:
                sock.sendall((head + f"Content-Length: {path.stat().st_size}\r\n\r\n").encode())
                sock.sendfile(file)
            reply = b""
            while b"\r\n\r\n" not in reply:
                data = sock.recv(4096)
                assert data, reply
                reply += data
        assert b" 202 " in reply[:20], reply[:300]
        text = next(line for line in reply.decode().split("\r\n") if line.lower().startswith("location:")).partition(":")[2].strip()
        where = text[text.index("/v2/") :]
        status, _ = self.call("PUT", f"{where}{'&' if '?' in where else '?'}digest={digest}", b"")
        assert status == 201, status

    def pull(self, digest: str, size: int) -> None:
        buffer = bytearray(1 << 20)
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.sendall(f"GET /v2/bench/x/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            got = 0
            while count := sock.recv_into(buffer):
                got += count
        assert got > size, (got, size)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def scow(folder: Path, *more: str) -> Server:
    port = free_port()
    argv = [str(ROOT / ".venv/bin/scow"), "registry", "serve", "--root", str(folder / "scow"), "--listen", f"127.0.0.1:{port}"]
    return Server("scow", [*argv, "--anonymous-push", "--log-level", "warn", *more], port)


def debian(folder: Path) -> Server:
    port = free_port()
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "docker-registry")}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "x"},
    }
    (folder / "config.yml").write_text(json.dumps(config))
    return Server("docker-registry", ["docker-registry", "serve", str(folder / "config.yml")], port)


def transfers(servers: list[Server], folder: Path, size: int, rounds: int) -> None:
    path = folder / "blob"
    results: dict[str, dict[str, list[float]]] = {server.name: {} for server in servers}
    for number in range(rounds):
        with path.open("wb") as file:
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
        with path.open("rb") as file:
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        for server in servers if number % 2 else reversed(servers):
            for what in ("take, chunked", "take, with length", "serve"):
                before, begun = server.cpu(), time.monotonic()
                count = 5 if what == "serve" else 1
                for _ in range(count):
                    if what == "serve":
                        server.pull(digest, size)
                    else:
                        server.push(path, digest, "chunked" in what)
                used = max(server.cpu() - before, 1 / TICK)
                rows = results[server.name].setdefault(what, [])
                rows += [size * count / used / 1e6]
                results[server.name].setdefault(f"{what}, wall", []).append(size * count / (time.monotonic() - begun) / 1e6)
    print(f"{'MB per second':24}" + "".join(f"{server.name:>18}" for server in servers) + f"{'ratio':>8}")
    for what in results[servers[0].name]:
        values = [sorted(results[server.name][what])[rounds // 2] for server in servers]
        unit = what if "wall" in what else f"{what}, CPU"
        print(f"{unit:24}" + "".join(f"{value:18.0f}" for value in values) + f"{values[0] / values[1]:8.2f}")
    print(f"{'peak memory, MB':24}" + "".join(f"{server.peak():18d}" for server in servers))


def collection(server: Server, folder: Path, blobs: int) -> None:
    """Fill the catalog with blobs nobody needs, collect them, and push images meanwhile."""
    code = (
        "import sys,time,hashlib;from pathlib import Path;from scow.registryd.store import open_store\n"
        "s=open_store(Path(sys.argv[1]));n=int(sys.argv[2])\n"
        "for base in range(0,n,1000):\n"
        "    with s.db.update() as tx:\n"
        "        for at in range(base,min(base+1000,n)):\n"
        "            data=b'blob %d'%at;d='sha256:'+hashlib.sha256(data).hexdigest();u=d[7:39]\n"
        "            w=s.driver.append(u,0);w.write(memoryview(data));w.close();s.driver.commit(u,d)\n"
        "            s.catalog.add_blob(tx,'bench/old',d,len(data))\n"
        "with s.db.update() as tx:\n"
        "    tx.execute('UPDATE blobs SET touched = 0');tx.execute('UPDATE links SET touched = 0')\n"
    )
    root = str(folder / "scow")
    subprocess.run([str(ROOT / ".venv/bin/python"), "-c", code, root, str(blobs)], check=True)
    stop, pushed, failed = threading.Event(), [0], [0]

    def push() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            try:
                data = f"layer {at} {threading.get_ident()}".encode()
                config = json.dumps({"at": at, "thread": threading.get_ident()}).encode()
                rows = []
                for body in (data, config):
                    digest = "sha256:" + hashlib.sha256(body).hexdigest()
                    status, _ = server.call("POST", f"/v2/bench/new/blobs/uploads/?digest={digest}", body)
                    assert status == 201, status
                    rows.append({"mediaType": "application/octet-stream", "digest": digest, "size": len(body)})
                manifest = {
                    "schemaVersion": 2,
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": rows[1],
                    "layers": rows[:1],
                }
                kind = {"Content-Type": manifest["mediaType"]}
                status, _ = server.call("PUT", f"/v2/bench/new/manifests/t{at % 50}", json.dumps(manifest).encode(), kind)
                assert status == 201, status
                pushed[0] += 1
            except (AssertionError, OSError):
                failed[0] += 1

    threads = [threading.Thread(target=push) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    done = subprocess.run([str(ROOT / ".venv/bin/scow"), "registry", "gc", "--root", root], capture_output=True, text=True)
    took = time.monotonic() - begun
    stop.set()
    for thread in threads:
        thread.join()
    print(f"\ngc of {blobs} blobs: {took:.1f} s; {done.stdout.strip()}; {pushed[0]} images pushed meanwhile, {failed[0]} failed")
    print("last reports:", *done.stderr.strip().splitlines()[-3:], sep="\n  ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512, help="MB of the blob")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blobs", type=int, default=100_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="registry-bench-", dir="/var/tmp"))
    servers: list[Server] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers end with us
    try:
        servers.append(scow(folder))
        if shutil.which("docker-registry"):
            servers.append(debian(folder))
            transfers(servers, folder, given.size << 20, given.rounds)
        if given.blobs:
            collection(servers[0], folder, given.blobs)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

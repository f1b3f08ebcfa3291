"""Memory of the engine and of the registry server while a big layer of random bytes passes: pushed, then pulled. Peaks of PSS, sampled.

    .venv/bin/python tests/bench/big_layer.py [--size MB]

Starts a scowd and a `scow registry serve` of its own below /var/tmp (root; three times the size of free space). The containers' network is
not used: run it with `unshare -n sh -c 'ip link set lo up; exec …'` where the machine's own must stay untouched.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PORT = 5077
BIN = ROOT / ".venv/bin"


def children(pid: int) -> list[int]:
    """A process and those below it."""
    try:
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in below for one in children(int(child)))]


def pss(pid: int) -> int:
    """Proportional memory in KiB of a process and its helpers."""
    total = 0
    for one in children(pid):
        try:
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(text.partition("\nPss:")[2].split()[0])
    return total


class Sampler(threading.Thread):
    """Peaks of several processes, a few times a second."""

    def __init__(self, pids: dict[str, int]) -> None:
        super().__init__(daemon=True)
        self.pids, self.peaks, self.over = pids, dict.fromkeys(pids, 0), threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for name, pid in self.pids.items():
                self.peaks[name] = max(self.peaks[name], pss(pid))


def archive(path: Path, size: int) -> None:
    """An image with one layer of `size` random bytes, as `docker load` takes it."""
    layer = path.with_suffix(".layer")
    info = tarfile.TarInfo("random")
    info.size = size
    with layer.open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
        file.write(bytes(1024))
    with layer.open("rb") as file:
        diff = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}).encode()
    listing = json.dumps([{"Config": "c.json", "RepoTags": [f"127.0.0.1:{PORT}/big:1"], "Layers": ["l.tar"]}]).encode()
    with tarfile.open(path, "w") as out:
        for name, data in (("c.json", config), ("manifest.json", listing)):
            head = tarfile.TarInfo(name)
            head.size = len(data)
            out.addfile(head, io.BytesIO(data))
        out.add(layer, "l.tar")
    layer.unlink()


def main() -> int:
    """See the usage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MB of the layer")
    size = parser.parse_args().size << 20
    folder = Path(tempfile.mkdtemp(prefix="big-layer-", dir="/var/tmp"))
    host = f"unix://{folder}/scow.sock"
    started: list[subprocess.Popen[bytes]] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    def start(*argv: str) -> int:
        with (folder / "log").open("ab") as log:
            started.append(subprocess.Popen([*argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return started[-1].pid

    def scow(*args: str, check: bool = True) -> None:
        subprocess.run([str(BIN / "scow"), "-H", host, *args], check=check, stdout=subprocess.DEVNULL)

    try:
        server = start(str(BIN / "scow"), "registry", "serve", "--root", f"{folder}/r", "--listen", f"127.0.0.1:{PORT}", "--anonymous-push")
        state = ("--data-root", f"{folder}/data", "--exec-root", f"{folder}/run", "--pidfile", f"{folder}/pid", "-H", host)
        daemon = start(str(BIN / "scowd"), *state, "--bridge", "none", "--iptables=false")
        end = time.monotonic() + 60
        while subprocess.run([str(BIN / "scow"), "-H", host, "version"], capture_output=True).returncode:
            assert time.monotonic() < end, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        archive(folder / "image.tar", size)
        scow("load", "-q", "-i", str(folder / "image.tar"))
        (folder / "image.tar").unlink()
        name = f"127.0.0.1:{PORT}/big:1"
        for what in ("push", "pull"):
            if what == "pull":
                scow("rmi", "-f", name)
            sampler = Sampler({"daemon": daemon, "server": server})
            sampler.start()
            begun = time.monotonic()
            scow(what, "-q", name)
            took = time.monotonic() - begun
            sampler.over.set()
            sampler.join()
            print(f"{what}: {took:.1f} s; peak PSS, MB:", {key: value >> 10 for key, value in sampler.peaks.items()}, flush=True)
        scow("rmi", "-f", name, check=False)
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(60)
        subprocess.run(["umount", "-R", f"{folder}/data"], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

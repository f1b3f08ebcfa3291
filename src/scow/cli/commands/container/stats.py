"""`scow stats`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from scow.cli.command import Cli
    from scow.cli.flags import Options

import sys
import time

from scow.cli import terminal
from scow.cli.command import Command, ExitCode
from scow.cli.format.table import render, short_id
from scow.client.api import container_path, json_values
from scow.client.transport import ApiError
from scow.errors import ScowError
from scow.units import bytes_size, human_size

HEADERS = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
MAX_CONTAINERS = 1000


def cpu_percent(sample: dict[str, Any]) -> float:
    """Share of one CPU, in percent, between the sample and the one before it."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    used = ((now.get("cpu_usage") or {}).get("total_usage") or 0) - ((before.get("cpu_usage") or {}).get("total_usage") or 0)
    system = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    cpus = now.get("online_cpus") or len((now.get("cpu_usage") or {}).get("percpu_usage") or []) or 1
    return used / system * cpus * 100.0 if system > 0 and used > 0 else 0.0


def memory_used(memory: dict[str, Any]) -> int:
    """Memory in use without the page cache that can go."""
    stats = memory.get("stats") or {}
    usage: int = memory.get("usage") or 0
    inactive = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return usage - inactive if inactive < usage else usage


def row(asked: str, sample: dict[str, Any] | None, trunc: bool) -> dict[str, Any]:
    """The fields of one container; dashes where there is no sample."""
    if not sample or not sample.get("id"):
        return {
            "BlockIO": "-- / --",
            "CPUPerc": "--",
            "Container": asked,
            "ID": short_id(asked) if trunc and len(asked) == 64 else asked,
            "MemPerc": "--",
            "MemUsage": "-- / --",
            "Name": "--",
            "NetIO": "-- / --",
            "PIDs": "--",
        }
    memory = sample.get("memory_stats") or {}
    used, limit = memory_used(memory), memory.get("limit") or 0
    networks = (sample.get("networks") or {}).values()
    blocks = (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    read = sum(one["value"] for one in blocks if str(one.get("op", "")).lower()[:1] == "r")
    written = sum(one["value"] for one in blocks if str(one.get("op", "")).lower()[:1] == "w")
    ident = sample["id"]
    return {
        "BlockIO": f"{human_size(read, 3)} / {human_size(written, 3)}",
        "CPUPerc": f"{cpu_percent(sample):.2f}%",
        "Container": asked,
        "ID": short_id(ident) if trunc else ident,
        "MemPerc": f"{used / limit * 100 if limit else 0.0:.2f}%",
        "MemUsage": f"{bytes_size(used)} / {bytes_size(limit)}",
        "Name": str(sample.get("name") or "").removeprefix("/"),
        "NetIO": f"{human_size(sum(n.get('rx_bytes', 0) for n in networks), 3)} / {human_size(sum(n.get('tx_bytes', 0) for n in networks), 3)}",
        "PIDs": str((sample.get("pids_stats") or {}).get("current") or 0),
    }


class _Watch:
    """Containers that are measured, each by a thread with a connection of its own."""

    def __init__(self, cli: Cli, named: list[str]) -> None:
        self.samples: dict[str, Any] = {}
        self.errors: list[str] = []
        self.running: dict[str, Any] = {}  # container -> its thread
        self._cli, self._named = cli, named

    def once(self, name: str) -> None:
        """One sample."""
        try:
            self.samples[name] = self._cli.redial().get(container_path(name, "stats"), {"stream": "0"})
        except ApiError as exc:
            self.errors.append(f"Error response from daemon: {exc.message}")
        except (ScowError, OSError) as exc:
            self.errors.append(str(exc))

    def follow(self, name: str) -> None:
        """Samples until the container or the connection ends; that is an error where it was named."""
        try:
            with self._cli.redial().call("GET", container_path(name, "stats"), {"stream": "1"}) as response:
                for sample in json_values(response.iterate()):
                    self.samples[name] = sample
        except (ScowError, OSError) as exc:
            if name in self._named:
                self.errors.append(f"Error response from daemon: {exc}")
        self.samples.pop(name, None)
        self.running.pop(name, None)

    def begin(self, name: str, work: Callable[[str], None]) -> None:
        """Measure a container from now on."""
        import threading

        self.running[name] = thread = threading.Thread(target=work, args=(name,), daemon=True)
        thread.start()

    def check(self) -> None:
        """Raises ExitCode for what went wrong so far."""
        if self.errors:
            raise ExitCode(1, "\n".join(self.errors))


def _draw(text: str, live: bool) -> None:
    if live:
        # from the top, each line and then the rest of the screen cleared: no flicker
        rows = terminal.size()[0]
        text = "".join(text.splitlines(keepends=True)[: max(rows - 1, 2)]) if rows else text
        text = "\033[H" + text.replace("\n", "\033[K\n") + "\033[J"
    sys.stdout.write(text)
    sys.stdout.flush()


def run(cli: Cli, options: Options, args: list[str]) -> int:
    """Prints once, or a live table."""
    client = cli.client
    everything = options.flag("all")
    if args and everything:
        raise ScowError("all containers are shown already: name none with --all")
    fmt = options.text("format") or cli.setting("statsFormat")
    trunc = not options.flag("no-trunc")
    watch = _Watch(cli, args)

    def names() -> list[str]:
        return args or [one["Id"] for one in client.get("/containers/json", {"all": everything})][:MAX_CONTAINERS]

    def table(shown: list[str]) -> str:
        return render([row(name, watch.samples.get(name), trunc) for name in shown], fmt, HEADERS, COLUMNS, kind="*container.statsContext")

    if options.flag("no-stream"):
        shown = names()
        for name in shown:
            watch.begin(name, watch.once)
        for thread in list(watch.running.values()):
            thread.join()
        watch.check()
        _draw(table(shown), live=False)
        return 0
    live = sys.stdout.isatty() and cli.env("TERM") not in ("", "dumb")
    if live:
        cli.out("\033[2J")
    while True:
        shown = names()
        for name in shown:
            if name not in watch.running:
                watch.begin(name, watch.follow)
        time.sleep(1.0)
        watch.check()
        if args and not watch.running:
            return 0
        _draw(table(shown), live)


STATS = Command(
    " [OPTIONS] [CONTAINER...]",
    "Display a live stream of container(s) resource usage statistics",
    (
        ("all", "a", "bool", False, "Show all containers, not only running ones"),
        ("format", "", "string", "", "Format of the output: table, 'table TEMPLATE', json, or a Go template"),
        ("no-stream", "", "bool", False, "Print once and end"),
        ("no-trunc", "", "bool", False, "Print in full length"),
    ),
    run,
)

"""What tasks use, measured on their node for the autoscaler: CPU, memory, open connections."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from scow.containers.container import Container
from scow.engine_executor.request import LABEL

_ESTABLISHED = "01"
_MAX_LINES = 100_000

Sampler = Callable[[Container], dict[str, Any]]


class Meter:
    """Keeps the last CPU reading of each task, to tell what was used since."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._before: dict[str, tuple[float, int]] = {}

    def read(self, containers: Iterable[Container]) -> dict[str, dict[str, float]]:
        """Task id → {"cpu": cores used since the last reading, "memory": bytes, "connections": established}. Blocking."""
        found: dict[str, dict[str, float]] = {}
        for container in containers:
            task_id = container.config.labels.get(LABEL + "task.id")
            if not task_id or not container.state.alive or not container.state.pid:
                continue
            with contextlib.suppress(OSError, KeyError):
                sample = self._sampler(container)
                now, used = time.monotonic(), int(sample["cpu_stats"]["cpu_usage"]["total_usage"])
                row = {"memory": float(memory(sample["memory_stats"])), "connections": float(connections(container.state.pid))}
                before = self._before.get(task_id)
                if before is not None and now > before[0]:
                    row["cpu"] = max(0.0, (used - before[1]) / 1e9 / (now - before[0]))
                self._before[task_id] = (now, used)
                found[task_id] = row
        for gone in set(self._before) - set(found):
            del self._before[gone]
        return found


def memory(stats: Mapping[str, Any]) -> int:
    """Bytes in use without the page cache that can go: a task that reads files fills its limit with it, and is no busier for that."""
    usage = int(stats.get("usage") or 0)
    rows = stats.get("stats") or {}
    cache = int(rows.get("total_inactive_file", rows.get("inactive_file", 0)) or 0)
    return usage - cache if cache < usage else usage


def connections(pid: int, proc: Path = Path("/proc")) -> int:
    """Established TCP connections in a process's network namespace, to ports it listens at."""
    listening: set[str] = set()
    rows: list[tuple[str, str]] = []
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), (proc / str(pid) / "net" / name).open() as file:
            next(file, None)
            for number, line in enumerate(file):
                if number > _MAX_LINES:
                    break
                parts = line.split(None, 4)
                port = parts[1].rpartition(":")[2]
                if parts[3] == "0A":
                    listening.add(port)
                elif parts[3] == _ESTABLISHED:
                    rows.append((port, parts[2]))
    return sum(port in listening for port, _ in rows)

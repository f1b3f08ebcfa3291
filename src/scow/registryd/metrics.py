"""Counters for Prometheus, in its text format. Names of repositories and users are not in them."""

import time
from collections import Counter
from collections.abc import Iterable

Labels = tuple[tuple[str, str], ...]

_HELP = {
    "requests_total": "Requests by endpoint, method and status.",
    "received_bytes_total": "Bytes of blobs taken.",
    "sent_bytes_total": "Bytes of blobs sent.",
    "uploads_total": "Blobs taken.",
    "mounts_total": "Blobs mounted from another repository.",
    "manifests_pushed_total": "Manifests taken.",
    "refused_logins_total": "Passwords and tokens that were wrong.",
    "limited_total": "Requests refused for their rate.",
    "upstream_hits_total": "Requests for upstream content answered from here.",
    "upstream_fetches_total": "Manifests and blobs fetched from upstream.",
    "upstream_errors_total": "Failures of upstream registries.",
    "gc_runs_total": "Garbage collections.",
    "gc_blobs_removed_total": "Blobs removed by garbage collections.",
    "gc_bytes_removed_total": "Bytes removed by garbage collections.",
}
_PREFIX = "scow_registry_"


class Metrics:
    """The process's counters. `add` may be called from pool threads: lost updates would only make a number smaller."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter[Labels]] = {name: Counter() for name in _HELP}
        self._started = time.time()
        self.uploading = 0

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Count; `name` is a key of the help table."""
        self._counters[name][tuple(sorted(labels.items()))] += value  # type: ignore[assignment]

    def value(self, name: str, **labels: str) -> float:
        """A counter's value."""
        return self._counters[name][tuple(sorted(labels.items()))]

    def text(self, gauges: Iterable[tuple[str, str, float]]) -> bytes:
        """Everything in the text format; `gauges` are (name, help, value)."""
        lines: list[str] = []
        for name, words in _HELP.items():
            lines += [f"# HELP {_PREFIX}{name} {words}", f"# TYPE {_PREFIX}{name} counter"]
            rows = self._counters[name] or {(): 0}
            for labels, value in sorted(rows.items()):
                inner = ",".join(f'{key}="{text}"' for key, text in labels)
                lines.append(f"{_PREFIX}{name}{{{inner}}} {value:.15g}" if inner else f"{_PREFIX}{name} {value:.15g}")
        own = [
            ("uploads_in_flight", "Requests that are bringing a blob now.", float(self.uploading)),
            ("start_time_seconds", "When the server started.", self._started),
        ]
        for name, words, number in (*own, *gauges):
            lines += [f"# HELP {_PREFIX}{name} {words}", f"# TYPE {_PREFIX}{name} gauge", f"{_PREFIX}{name} {number:.15g}"]
        return ("\n".join(lines) + "\n").encode()

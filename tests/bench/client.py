"""The client's own cost beside docker's on one engine: `ps` and `run --rm busybox true`, interleaved, medians. Quiet machine only.

    DOCKER_HOST=unix:///… .venv/bin/python tests/bench/client.py [--count 60] [--scow .venv/bin/scow] [--docker docker] [--swarm]

CPU is user and system time of the client process and of what it started (wait4), so it says nothing about the engine; the wall time of
`run` does. The engine must have busybox.
"""

import argparse
import os
import shutil
import statistics
import sys
import time

COMMANDS = {"ps": ["ps"], "--version": ["--version"], "run --rm busybox true": ["run", "--rm", "busybox", "true"]}
SWARM = {"node ls": ["node", "ls"], "service ls": ["service", "ls"], "service create --help": ["service", "create", "--help"]}


def once(program: str, words: list[str]) -> tuple[float, float]:
    """(CPU, wall) of one call in milliseconds. Exits where the command fails."""
    started = time.perf_counter()
    actions = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    pid = os.posix_spawn(program, [program, *words], os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    if status:
        sys.exit(f"{program} {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return (usage.ru_utime + usage.ru_stime) * 1000, wall * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--scow", default=".venv/bin/scow")
    parser.add_argument("--docker", default="docker")
    parser.add_argument("--swarm", action="store_true", help="the swarm's commands instead; the engine must be a manager")
    given = parser.parse_args()
    programs = {"scow": given.scow, "docker": shutil.which(given.docker) or sys.exit("there is no docker CLI")}
    print(f"{'command':24}{'scow cpu':>10}{'docker cpu':>12}{'ratio':>8}{'scow wall':>12}{'docker wall':>13}{'ratio':>8}   (ms, medians)")
    for name, words in (SWARM if given.swarm else COMMANDS).items():
        for program in programs.values():
            once(program, words)  # caches warm
        seen: dict[str, list[tuple[float, float]]] = {key: [] for key in programs}
        for turn in range(given.count):
            for key in sorted(programs, reverse=turn % 2 == 1):
                seen[key].append(once(programs[key], words))
        cpu = {key: statistics.median(one[0] for one in values) for key, values in seen.items()}
        wall = {key: statistics.median(one[1] for one in values) for key, values in seen.items()}
        print(
            f"{name:24}{cpu['scow']:10.1f}{cpu['docker']:12.1f}{cpu['scow'] / cpu['docker']:8.2f}"
            f"{wall['scow']:12.1f}{wall['docker']:13.1f}{wall['scow'] / wall['docker']:8.2f}"
        )


if __name__ == "__main__":
    main()

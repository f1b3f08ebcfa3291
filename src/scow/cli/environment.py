"""What the client takes from around it: variables, its own path, the sockets that are there. Nothing else of the client reads them."""

from __future__ import annotations

import posix
import sys

SOCKETS = ("/run/scow/scow.sock", "/var/run/docker.sock")


def env(name: str) -> str:
    """A variable of the environment, "" where unset."""
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")


def exists(path: str) -> bool:
    """Whether there is something at the path."""
    try:
        posix.stat(path)
    except (OSError, ValueError):
        return False
    return True


def default_host() -> str:
    """The address where nothing names one: scowd's socket, else docker's."""
    return "unix://" + next((path for path in SOCKETS if exists(path)), SOCKETS[0])


def program() -> str:
    """The path of this program, for plugins that call it again."""
    name = sys.argv[0] if sys.argv else ""
    if "/" in name:
        return name if name.startswith("/") else f"{posix.getcwd()}/{name}"
    return next((f"{folder}/{name}" for folder in env("PATH").split(":") if folder and exists(f"{folder}/{name}")), name or "scow")

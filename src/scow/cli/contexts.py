"""The context store of docker's command line: ~/.docker/contexts/meta/<sha256 of the name>/meta.json and tls/<sha256>/docker/*.pem."""

import hashlib
import json
import os
from typing import Any

from scow.errors import ScowError


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def folder(config_dir: str, name: str) -> str:
    """Where a context's metadata is."""
    return f"{config_dir}/contexts/meta/{_digest(name)}"


def read(config_dir: str, name: str) -> dict[str, Any]:
    """A context's metadata. Raises ScowError."""
    path = f"{folder(config_dir, name)}/meta.json"
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(1024 * 1024))
    except FileNotFoundError:
        raise ScowError(f'context "{name}": context not found: open {path}: no such file or directory') from None
    except (OSError, ValueError) as exc:
        raise ScowError(f'context "{name}": {exc}') from None
    return value if isinstance(value, dict) else {}


def names(config_dir: str) -> list[str]:
    """All stored contexts."""
    found = []
    root = f"{config_dir}/contexts/meta"
    for entry in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        try:
            with open(f"{root}/{entry}/meta.json", "rb") as file:
                found.append(str(json.loads(file.read(1024 * 1024)).get("Name")))
        except (OSError, ValueError, AttributeError):
            continue
    return sorted(found)


def endpoint_of(config_dir: str, name: str) -> tuple[str, tuple[str, str, str, bool] | None]:
    """(host, TLS files) of a context. Raises ScowError."""
    docker = (read(config_dir, name).get("Endpoints") or {}).get("docker") or {}
    host = docker.get("Host") or ""
    if not host:
        raise ScowError(f'context "{name}" has no Docker endpoint')
    tls = f"{config_dir}/contexts/tls/{_digest(name)}/docker"
    files = [path if os.path.exists(path) else "" for path in (f"{tls}/ca.pem", f"{tls}/cert.pem", f"{tls}/key.pem")]
    return host, (files[0], files[1], files[2], not docker.get("SkipTLSVerify")) if any(files) else None

"""The context store of docker's command line: ~/.docker/contexts/meta/<sha256 of the name>/meta.json and tls/<sha256>/docker/*.pem.

Called by `cli/engine.py` (where is the engine?) and the context commands. What is stored by docker is read here, and the reverse.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
from typing import Any

from scow.errors import ScowError

TLS_FILES = ("ca", "cert", "key")
MAX_FILE = 10 * 1024 * 1024


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def folder(config_dir: str, name: str) -> str:
    """Where a context's metadata is."""
    return f"{config_dir}/contexts/meta/{_digest(name)}"


def tls_folder(config_dir: str, name: str) -> str:
    """Where a context's TLS files are (in a folder for each endpoint)."""
    return f"{config_dir}/contexts/tls/{_digest(name)}"


def read(config_dir: str, name: str) -> dict[str, Any]:
    """A context's metadata. Raises ScowError."""
    path = f"{folder(config_dir, name)}/meta.json"
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read(MAX_FILE))
    except FileNotFoundError:
        raise ScowError(f'context "{name}": context not found: open {path}: no such file or directory') from None
    except (OSError, ValueError, RecursionError) as exc:
        raise ScowError(f'context "{name}": {exc}') from None
    return value if isinstance(value, dict) else {}


def names(config_dir: str) -> list[str]:
    """All stored contexts."""
    found = []
    root = f"{config_dir}/contexts/meta"
    for entry in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        try:
            with open(f"{root}/{entry}/meta.json", "rb") as file:
                name = json.loads(file.read(MAX_FILE)).get("Name")
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
        if isinstance(name, str):
            found.append(name)
    return sorted(found)


def docker_endpoint(meta: dict[str, Any]) -> dict[str, Any]:
    """The docker endpoint of a context's metadata, {} where it has none."""
    endpoints = meta.get("Endpoints")
    found = endpoints.get("docker") if isinstance(endpoints, dict) else None
    return found if isinstance(found, dict) else {}


def description(meta: dict[str, Any]) -> str:
    """What the context says about itself."""
    inner = meta.get("Metadata")
    text = inner.get("Description") if isinstance(inner, dict) else ""
    return text if isinstance(text, str) else ""


def endpoint_of(config_dir: str, name: str) -> tuple[str, tuple[str, str, str, bool] | None]:
    """(host, TLS files) of a context. Raises ScowError."""
    docker = docker_endpoint(read(config_dir, name))
    host = docker.get("Host")
    if not host or not isinstance(host, str):
        raise ScowError(f'context "{name}" has no Docker endpoint')
    place = f"{tls_folder(config_dir, name)}/docker"
    files = [path if os.path.exists(path) else "" for path in (f"{place}/{kind}.pem" for kind in TLS_FILES)]
    skip = bool(docker.get("SkipTLSVerify"))
    return host, (files[0], files[1], files[2], not skip) if any(files) or skip else None


def material(config_dir: str, name: str) -> dict[str, list[str]]:
    """The TLS files of each endpoint."""
    root = tls_folder(config_dir, name)
    found = {}
    for endpoint in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        if os.path.isdir(f"{root}/{endpoint}"):
            found[endpoint] = sorted(os.listdir(f"{root}/{endpoint}"))
    return found


def tls_data(config_dir: str, name: str) -> dict[str, bytes]:
    """The TLS files of the docker endpoint, by their names (`ca.pem`)."""
    place = f"{tls_folder(config_dir, name)}/docker"
    found = {}
    for kind in TLS_FILES:
        try:
            with open(f"{place}/{kind}.pem", "rb") as file:
                found[f"{kind}.pem"] = file.read(MAX_FILE)
        except OSError:
            continue
    return found


def write(config_dir: str, meta: dict[str, Any], tls: dict[str, bytes] | None) -> None:
    """Stores a context; `tls` replaces the docker endpoint's files (None leaves them). Raises ScowError."""
    name = meta["Name"]
    place = folder(config_dir, name)
    try:
        os.makedirs(place, mode=0o755, exist_ok=True)
        if tls is not None:
            shutil.rmtree(f"{tls_folder(config_dir, name)}/docker", ignore_errors=True)
            for file_name, data in tls.items():
                _put(f"{tls_folder(config_dir, name)}/docker", file_name, data, 0o600)
        _put(place, "meta.json", json.dumps(meta, separators=(",", ":")).encode(), 0o644)
    except OSError as exc:
        raise ScowError(f'context "{name}": {exc}') from exc


def _put(place: str, name: str, data: bytes, mode: int) -> None:
    os.makedirs(place, mode=0o700, exist_ok=True)
    handle = os.open(f"{place}/{name}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(f"{place}/{name}.new", f"{place}/{name}")


def remove(config_dir: str, name: str) -> None:
    """Forgets a context; absent ones too."""
    shutil.rmtree(folder(config_dir, name), ignore_errors=True)
    shutil.rmtree(tls_folder(config_dir, name), ignore_errors=True)


def packed(meta: dict[str, Any], tls: dict[str, bytes]) -> bytes:
    """The archive that `context export` writes: meta.json and tls/docker/*.pem."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:

        def add(name: str, data: bytes | None, mode: int) -> None:
            info = tarfile.TarInfo(name)
            info.mode = mode
            if data is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))

        add("meta.json", json.dumps(meta, separators=(",", ":")).encode(), 0o644)
        add("tls", None, 0o700)
        if tls:
            add("tls/docker", None, 0o700)
        for name, data in tls.items():
            add(f"tls/docker/{name}", data, 0o600)
    return out.getvalue()


def unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(metadata, TLS files) of an exported context, a tar or a zip. Raises ScowError."""
    found = _unzipped(data) if data.startswith(b"PK") else _untarred(data)
    if "meta.json" not in found:
        raise ScowError("invalid context: no metadata found")
    try:
        meta = json.loads(found["meta.json"])
    except (ValueError, RecursionError) as exc:
        raise ScowError(f"invalid context: {exc}") from None
    if not isinstance(meta, dict):
        raise ScowError("invalid context: its metadata is no object")
    tls = {name.removeprefix("tls/docker/"): value for name, value in found.items() if name.startswith("tls/docker/")}
    return meta, {name: value for name, value in tls.items() if name in {f"{kind}.pem" for kind in TLS_FILES}}


def _untarred(data: bytes) -> dict[str, bytes]:
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for member in archive:
                if member.isfile():
                    if member.size > MAX_FILE:
                        raise ScowError(f"invalid context: {member.name} is too large")
                    file = archive.extractfile(member)
                    found[member.name.removeprefix("./")] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, ValueError) as exc:
        raise ScowError("invalid context: it is neither a tar nor a zip archive") from exc
    return found


def _unzipped(data: bytes) -> dict[str, bytes]:
    import zipfile

    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    if info.file_size > MAX_FILE:
                        raise ScowError(f"invalid context: {info.filename} is too large")
                    with archive.open(info) as file:
                        found[info.filename] = file.read(MAX_FILE)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as exc:
        raise ScowError(f"invalid context: {exc}") from None
    return found

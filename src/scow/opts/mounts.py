"""`--mount` (comma separated key=value, csv quoting) and the client's half of `--volume`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

from scow.errors import InvalidArgument
from scow.units import parse_size

TYPES = ("bind", "volume", "tmpfs", "image", "npipe", "cluster")
_TRUE = ("1", "true", "t", "T", "True", "TRUE")
_FALSE = ("0", "false", "f", "F", "False", "FALSE")


def fields_of(text: str) -> list[str]:
    """The comma separated fields of a flag, with csv quoting. Raises InvalidArgument."""
    if not text:
        raise InvalidArgument("value is empty")
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as exc:
        raise InvalidArgument(f"invalid field quoting: {exc}") from None


def _absolute(path: str) -> str:
    import os.path

    return os.path.abspath(os.path.expanduser(path) if path.startswith("~/") else path)


def _boolean(key: str, value: str, has: bool) -> bool:
    if not has or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidArgument(f"invalid value for {key}: {value}")


def parse_mount(text: str) -> dict[str, Any]:
    """The API's Mount of one --mount. Raises InvalidArgument with docker's texts."""
    mount: dict[str, Any] = {"Type": "volume"}
    bind: dict[str, Any] = {}
    volume: dict[str, Any] = {}
    driver: dict[str, Any] = {}
    tmpfs: dict[str, Any] = {}
    image: dict[str, Any] = {}
    used: dict[str, str] = {}
    for field in fields_of(text):
        key, sep, value = field.partition("=")
        key = key.lower().strip()
        if not sep and key not in ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"):
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        kind = key.split("-")[0]
        if kind in ("bind", "volume", "tmpfs", "image") and "-" in key:
            used.setdefault(kind, key)
        if key == "type":
            mount["Type"] = value.lower()
        elif key in ("source", "src"):
            mount["Source"] = _absolute(value) if value in (".", "..") or value.startswith(("./", "../")) else value
        elif key in ("target", "dst", "destination"):
            mount["Target"] = value
        elif key in ("readonly", "ro"):
            if _boolean(key, value, bool(sep)):
                mount["ReadOnly"] = True
        elif key == "consistency":
            mount["Consistency"] = value.lower()
        elif key == "bind-propagation":
            bind["Propagation"] = value.lower()
        elif key == "bind-nonrecursive":
            bind["NonRecursive"] = _boolean(key, value, bool(sep))
        elif key == "bind-create-src":
            bind["CreateMountpoint"] = _boolean(key, value, bool(sep))
        elif key == "bind-recursive":
            _recursive(value, bind, mount)
        elif key == "volume-nocopy":
            volume["NoCopy"] = _boolean(key, value, bool(sep))
        elif key == "volume-subpath":
            volume["Subpath"] = value
        elif key == "volume-driver":
            driver["Name"] = value
        elif key == "volume-label":
            volume.setdefault("Labels", {})[value.partition("=")[0]] = value.partition("=")[2]
        elif key == "volume-opt":
            name, _, setting = value.partition("=")
            driver.setdefault("Options", {})[name] = setting
        elif key == "image-subpath":
            image["Subpath"] = value
        elif key == "tmpfs-size":
            try:
                tmpfs["SizeBytes"] = parse_size(value)
            except InvalidArgument:
                raise InvalidArgument(f"invalid value for {key}: {value}") from None
        elif key == "tmpfs-mode":
            if not value or value.strip("01234567") or len(value) > 7:
                raise InvalidArgument(f"invalid value for {key}: {value}")
            tmpfs["Mode"] = int(value, 8)
        else:
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")
    kind = mount["Type"]
    if not kind:
        raise InvalidArgument("type is required")
    if not mount.get("Target"):
        raise InvalidArgument("target is required")
    for other in used:
        if other != kind and not (other == "volume" and kind == "cluster"):
            raise InvalidArgument(f"cannot mix '{other}-*' options with mount type '{kind}'")
    if driver:
        volume["DriverConfig"] = driver
    groups = {"BindOptions": bind, "VolumeOptions": volume, "TmpfsOptions": tmpfs, "ImageOptions": image}
    mount.update({name: options for name, options in groups.items() if options})
    if bind.get("ReadOnlyForceRecursive") and not mount.get("ReadOnly"):
        raise InvalidArgument("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
    return mount


def _recursive(value: str, bind: dict[str, Any], mount: dict[str, Any]) -> None:
    if value == "enabled":
        return
    if value == "disabled":
        bind["NonRecursive"] = True
    elif value == "writable":
        bind["ReadOnlyNonRecursive"] = True
    elif value == "readonly":
        bind["ReadOnlyForceRecursive"] = True
    else:
        raise InvalidArgument(f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", or "readonly")')


def parse_volume(text: str) -> tuple[str, bool]:
    """One --volume as the daemon wants it, and whether it is a bind (or a named volume) rather than an anonymous one.
    Relative host paths become absolute. Raises InvalidArgument."""
    if not text:
        raise InvalidArgument("invalid empty volume spec")
    source, sep, rest = text.partition(":")
    if not sep:
        return text, False
    if source.startswith(("./", "../", "~/")) or source in (".", ".."):
        source = _absolute(source)
    return f"{source}:{rest}", True

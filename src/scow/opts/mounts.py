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
    parts = _Parts()
    for field in fields_of(text):
        parts.take(field)
    return parts.mount()


_ALONE = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src")
_RECURSIVE = {"disabled": "NonRecursive", "writable": "ReadOnlyNonRecursive", "readonly": "ReadOnlyForceRecursive"}


class _Parts:
    """A mount while its fields are read."""

    def __init__(self) -> None:
        self._plain: dict[str, Any] = {"Type": "volume"}
        self._bind: dict[str, Any] = {}
        self._volume: dict[str, Any] = {}
        self._driver: dict[str, Any] = {}
        self._tmpfs: dict[str, Any] = {}
        self._image: dict[str, Any] = {}
        self._kinds: dict[str, None] = {}  # those that fields are only for

    def take(self, field: str) -> None:
        """One `key=value`, or a key that says enough alone."""
        key, sep, value = field.partition("=")
        key = key.lower().strip()
        if not sep and key not in _ALONE:
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        kind, dash, _ = key.partition("-")
        if dash and kind in ("bind", "volume", "tmpfs", "image"):
            self._kinds[kind] = None
        if key in _ALONE:
            self._switch(key, _boolean(key, value, bool(sep)))
        elif not (self._set_plain(key, value) or self._set_volume(key, value) or self._set_other(key, value)):
            raise InvalidArgument(f"unexpected key '{key}' in '{field}'")

    def _switch(self, key: str, on: bool) -> None:
        match key:
            case "volume-nocopy":
                self._volume["NoCopy"] = on
            case "bind-nonrecursive":
                self._bind["NonRecursive"] = on
            case "bind-create-src":
                self._bind["CreateMountpoint"] = on
            case _ if on:
                self._plain["ReadOnly"] = True

    def _set_plain(self, key: str, value: str) -> bool:
        match key:
            case "type":
                self._plain["Type"] = value.lower()
            case "source" | "src":
                self._plain["Source"] = _absolute(value) if value in (".", "..") or value.startswith(("./", "../")) else value
            case "target" | "dst" | "destination":
                self._plain["Target"] = value
            case "consistency":
                self._plain["Consistency"] = value.lower()
            case _:
                return False
        return True

    def _set_volume(self, key: str, value: str) -> bool:
        name, _, setting = value.partition("=")
        match key:
            case "volume-subpath":
                self._volume["Subpath"] = value
            case "volume-driver":
                self._driver["Name"] = value
            case "volume-label":
                self._volume.setdefault("Labels", {})[name] = setting
            case "volume-opt":
                self._driver.setdefault("Options", {})[name] = setting
            case _:
                return False
        return True

    def _set_other(self, key: str, value: str) -> bool:
        match key:
            case "bind-propagation":
                self._bind["Propagation"] = value.lower()
            case "bind-recursive":
                self._set_recursive(value)
            case "image-subpath":
                self._image["Subpath"] = value
            case "tmpfs-size":
                try:
                    self._tmpfs["SizeBytes"] = parse_size(value)
                except InvalidArgument:
                    raise InvalidArgument(f"invalid value for {key}: {value}") from None
            case "tmpfs-mode":
                if not value or value.strip("01234567") or len(value) > 7:
                    raise InvalidArgument(f"invalid value for {key}: {value}")
                self._tmpfs["Mode"] = int(value, 8)
            case _:
                return False
        return True

    def _set_recursive(self, value: str) -> None:
        if value in _RECURSIVE:
            self._bind[_RECURSIVE[value]] = True
        elif value != "enabled":
            raise InvalidArgument(f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", or "readonly")')

    def mount(self) -> dict[str, Any]:
        """The whole. Raises InvalidArgument for what is missing or does not go together."""
        kind = self._plain["Type"]
        if not kind:
            raise InvalidArgument("type is required")
        if not self._plain.get("Target"):
            raise InvalidArgument("target is required")
        for other in self._kinds:
            if other != kind and not (other == "volume" and kind == "cluster"):
                raise InvalidArgument(f"cannot mix '{other}-*' options with mount type '{kind}'")
        if self._driver:
            self._volume["DriverConfig"] = self._driver
        groups = {"BindOptions": self._bind, "VolumeOptions": self._volume, "TmpfsOptions": self._tmpfs, "ImageOptions": self._image}
        if self._bind.get("ReadOnlyForceRecursive") and not self._plain.get("ReadOnly"):
            raise InvalidArgument("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
        return {**self._plain, **{name: options for name, options in groups.items() if options}}


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

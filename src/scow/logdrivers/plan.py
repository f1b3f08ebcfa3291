"""Check a container's log configuration and settle where its output goes. Stored by the caller, in the container's row.

Called at create (validation) and start; `LogPlan` travels to the keeper.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scow.errors import InvalidArgument
from scow.filters import Pattern
from scow.model.container import LogConfig

_COMMON = {"mode", "max-buffer-size"}
_TAGS = {"labels", "labels-regex", "env", "env-regex", "tag"}
_OPTIONS: dict[str, set[str]] = {
    "json-file": {"max-file", "max-size", "compress"} | _TAGS,
    "local": {"max-file", "max-size", "compress"},
    "none": set(),
    "syslog": {
        "syslog-address",
        "syslog-facility",
        "syslog-format",
        "syslog-tls-ca-cert",
        "syslog-tls-cert",
        "syslog-tls-key",
        "syslog-tls-skip-verify",
    }
    | _TAGS,
    "journald": set(_TAGS),
}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?$", re.IGNORECASE)
_SIZE_TEXT_MAX = 64
_UNIT = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
DEFAULT_SIZE, DEFAULT_FILES = 100 << 20, 5
_LOCAL_SIZE = 20 << 20
DRIVERS = tuple(_OPTIONS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What log options may refer to. `env` is KEY=value."""

    container_id: str
    name: str
    image_id: str = ""
    image_name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    env: tuple[str, ...] = ()
    command: str = ""


@dataclass(frozen=True, slots=True)
class LogPlan:
    """Where output goes. `path` None: nowhere. Sizes in bytes, -1 without bound; `extra` becomes the records' attrs."""

    driver: str
    path: Path | None
    max_size: int = DEFAULT_SIZE
    max_file: int = DEFAULT_FILES
    compress: bool = True
    extra: dict[str, str] = field(default_factory=dict)
    mode: str = "blocking"
    max_buffer_size: int = 1 << 20
    options: dict[str, str] = field(default_factory=dict)
    tag: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the database."""
        found = asdict(self)
        found["path"] = str(self.path) if self.path else None
        return found

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> "LogPlan":
        """The reverse of `to_dict`."""
        return cls(**{**stored, "path": Path(stored["path"]) if stored.get("path") else None})

    def for_keeper(self) -> dict[str, Any] | None:
        """What the keeper needs; None: no log file."""
        if self.path is None:
            return None
        attrs = f'"attrs":{json.dumps(self.extra, separators=(",", ":"), sort_keys=True)},' if self.extra else ""
        return {"path": str(self.path), "max_size": self.max_size, "max_file": self.max_file, "compress": self.compress, "attrs": attrs}


def _size(text: str, option: str) -> int:
    if text.strip() == "-1":
        return -1
    match = _SIZE.match(text.strip())
    if not match or len(text) > _SIZE_TEXT_MAX:
        raise InvalidArgument(f"invalid value for {option}: invalid size: '{text[:100]}'")
    return int(float(match[1]) * _UNIT[match[2].lower()])


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        raise InvalidArgument(f'invalid value for max-file: strconv.Atoi: parsing "{text[:100]}": invalid syntax') from None
    if count < 1:
        raise InvalidArgument("max-file cannot be less than 1")
    return min(count, 1000)


def _boolean(text: str, option: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise InvalidArgument(f'invalid value for {option}: strconv.ParseBool: parsing "{text[:100]}": invalid syntax')


def validate(config: LogConfig, default: LogConfig | None = None) -> LogConfig:
    """The configuration that counts (driver filled in), options checked with dockerd's words. InvalidArgument."""
    driver = config.type or (default.type if default else "") or "json-file"
    options = dict(config.config or {})
    if default is not None and driver == (default.type or "json-file"):
        options = {**(default.config or {}), **options}
    if driver not in _OPTIONS:
        raise InvalidArgument(f'error looking up logging plugin {driver[:100]}: plugin "{driver[:100]}" not found')
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode[:100]}")
    if "max-buffer-size" in options:
        if mode != "non-blocking":
            raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
        _size(options["max-buffer-size"], "max-buffer-size")
    if driver != "none":
        for key in options:
            if key not in _OPTIONS[driver] | _COMMON:
                what = "json-file log driver" if driver == "json-file" else f"{driver} log driver"
                raise InvalidArgument(f"unknown log opt '{key[:100]}' for {what}")
    if driver in ("json-file", "local"):
        size = _size(options["max-size"], "max-size") if "max-size" in options else 1
        if size != -1 and size <= 0:
            raise InvalidArgument("max-size must be a positive number")
        if "max-file" in options:
            _count(options["max-file"])
            if size == -1:
                raise InvalidArgument("max-file cannot be set when max-size is -1: a file without bound is never followed by another")
        if "compress" in options:
            _boolean(options["compress"], "compress")
    for key in ("labels-regex", "env-regex"):
        if key in options:
            _pattern(key, options[key])
    if driver == "syslog":
        _check_syslog(options)
    return LogConfig(type=driver, config=options)


def _pattern(option: str, text: str) -> Pattern:
    """An expression over names of labels or variables; the time it takes is bounded. InvalidArgument."""
    try:
        return Pattern(text)
    except InvalidArgument as exc:
        raise InvalidArgument(f"invalid value for {option}: {exc.message.removeprefix('invalid filter: ')}") from None


_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *(f"local{number}" for number in range(8)),
)


def _check_syslog(options: Mapping[str, str]) -> None:
    address = options.get("syslog-address", "")
    if address and not re.match(r"^(udp|tcp|tcp\+tls|unix|unixgram)://.+", address):
        raise InvalidArgument(f"unsupported scheme: '{address.split('://')[0][:100]}'")
    facility = options.get("syslog-facility", "")
    if facility and facility not in _FACILITIES and not (facility.isdigit() and int(facility) < 24):
        raise InvalidArgument("invalid syslog facility")
    if options.get("syslog-format", "") not in ("", "rfc3164", "rfc5424", "rfc5424micro"):
        raise InvalidArgument("Invalid syslog format")


def _extra(options: Mapping[str, str], facts: Facts) -> dict[str, str]:
    found: dict[str, str] = {}
    env = dict(item.split("=", 1) for item in facts.env if "=" in item)
    for option, values in (("labels", facts.labels), ("env", env)):
        for key in filter(None, (part.strip() for part in options.get(option, "").split(","))):
            if key in values:
                found[key] = values[key]
        if pattern := options.get(f"{option}-regex"):
            wanted = _pattern(f"{option}-regex", pattern)
            found |= {key: value for key, value in values.items() if wanted.search(key)}
    return found


def _tag(template: str, facts: Facts) -> str:
    known = {
        "ID": facts.container_id[:12],
        "FullID": facts.container_id,
        "Name": facts.name.lstrip("/"),
        "ImageID": facts.image_id.removeprefix("sha256:")[:12],
        "ImageFullID": facts.image_id,
        "ImageName": facts.image_name,
        "DaemonName": "docker",
        "Command": facts.command,
    }
    return re.sub(r"\{\{\s*\.(\w+)\s*\}\}", lambda match: known.get(match[1], ""), template)


def plan(config: LogConfig, facts: Facts, directory: Path, default: LogConfig | None = None) -> LogPlan:
    """Settle the log of a container whose directory is `directory`. InvalidArgument as `validate`."""
    settled = validate(config, default)
    driver, options = settled.type, settled.config
    if driver == "none":
        return LogPlan(driver, None, options=options)
    extra = _extra(options, facts)
    template = options.get("tag", "")
    tag = _tag(template or "{{.ID}}", facts)
    if driver == "json-file" and template:
        extra["tag"] = tag
    local = driver != "json-file"
    size = _LOCAL_SIZE if local else DEFAULT_SIZE
    path = directory / "local-logs" / "container.log" if local else directory / f"{facts.container_id}-json.log"
    return LogPlan(
        driver=driver,
        path=path,
        max_size=_size(options["max-size"], "max-size") if "max-size" in options and driver in ("json-file", "local") else size,
        max_file=_count(options["max-file"]) if "max-file" in options and driver in ("json-file", "local") else DEFAULT_FILES,
        compress=_boolean(options.get("compress", "true"), "compress"),
        extra=extra,
        mode=options.get("mode") or "blocking",
        max_buffer_size=_size(options.get("max-buffer-size", "1m"), "max-buffer-size"),
        options=options,
        tag=tag,
    )

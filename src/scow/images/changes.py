"""`--change` of import and commit: Dockerfile instructions applied to a container configuration (Docker's keys). Pure."""

import json
import re
from typing import Any

from scow.errors import InvalidArgument
from scow.units import parse_duration

Config = dict[str, Any]
_ALLOWED = ("CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_MAX_PORTS = 4096


def words(text: str, name: str) -> list[str]:
    """Split like the Dockerfile parser: spaces separate, quotes and backslashes protect. Raises InvalidArgument."""
    found: list[str] = []
    current: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'" and at + 1 < len(text):
            at += 1
            current = [*(current or []), text[at]]
        elif quote:
            if char == quote:
                quote = ""
            else:
                current = [*(current or []), char]
        elif char in "'\"":
            quote = char
            current = current or []
        elif char.isspace():
            if current is not None:
                found.append("".join(current))
                current = None
        else:
            current = [*(current or []), char]
        at += 1
    if quote:
        raise InvalidArgument(f"{name}: unterminated quote in {text!r}")
    if current is not None:
        found.append("".join(current))
    return found


def _json_list(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


def _command(text: str) -> list[str]:
    exact = _json_list(text)
    return exact if exact is not None else ["/bin/sh", "-c", text]


def _pairs(text: str, name: str) -> list[tuple[str, str]]:
    parts = words(text, name)
    if "=" not in parts[0]:
        key, _, rest = text.partition(" ")
        if not rest.strip():
            raise InvalidArgument(f"{name} must have two arguments")
        return [(key, " ".join(words(rest, name)) if name == "ENV" else rest.strip())]
    found = []
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not key:
            raise InvalidArgument(f"Syntax error - can't find = in {part!r}. Must be of the form: name=value")
        found.append((key, value))
    return found


def _flags(text: str) -> tuple[dict[str, str], str]:
    flags: dict[str, str] = {}
    while text.startswith("--"):
        flag, _, text = text.partition(" ")
        key, _, value = flag[2:].partition("=")
        flags[key] = value
        text = text.strip()
    return flags, text


def _health(text: str) -> dict[str, Any]:
    flags, rest = _flags(text)
    kind, _, command = rest.partition(" ")
    if kind.upper() == "NONE":
        return {"Test": ["NONE"]}
    if kind.upper() != "CMD" or not command.strip():
        raise InvalidArgument(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
    exact = _json_list(command.strip())
    found: dict[str, Any] = {"Test": ["CMD", *exact] if exact is not None else ["CMD-SHELL", command.strip()]}
    for flag, key in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ):
        if value := flags.pop(flag, ""):
            found[key] = parse_duration(value)
    if retries := flags.pop("retries", ""):
        if not retries.isdigit():
            raise InvalidArgument(f"HEALTHCHECK: --retries must be a number, not {retries!r}")
        found["Retries"] = int(retries)
    if flags:
        raise InvalidArgument(f"HEALTHCHECK: unknown flag: {next(iter(flags))}")
    return found


def _ports(text: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for word in words(text, "EXPOSE"):
        match = _PORT.match(word)
        if not match:
            raise InvalidArgument(f"Invalid containerPort: {word}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= 65535 or last - first > _MAX_PORTS:
            raise InvalidArgument(f"Invalid containerPort: {word}")
        for port in range(first, last + 1):
            found[f"{port}/{(match[3] or 'tcp').lower()}"] = {}
    return found


def _one(config: Config, name: str, text: str) -> None:
    match name:
        case "CMD":
            config["Cmd"] = _command(text)
        case "ENTRYPOINT":
            config["Entrypoint"] = _command(text)
        case "ENV":
            env = list(config.get("Env") or [])
            for key, value in _pairs(text, name):
                at = next((index for index, entry in enumerate(env) if entry.partition("=")[0] == key), -1)
                if at >= 0:
                    env[at] = f"{key}={value}"
                else:
                    env.append(f"{key}={value}")
            config["Env"] = env
        case "LABEL":
            config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(text, name))}
        case "EXPOSE":
            config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **_ports(text)}
        case "VOLUME":
            exact = _json_list(text)
            config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in (words(text, name) if exact is None else exact)}}
        case "WORKDIR":
            path = "/".join(part for part in text.split("/") if part not in ("", "."))
            base = "" if text.startswith("/") else str(config.get("WorkingDir") or "").rstrip("/")
            config["WorkingDir"] = f"{base}/{path}"
        case "USER":
            config["User"] = text
        case "STOPSIGNAL":
            config["StopSignal"] = text
        case "HEALTHCHECK":
            config["Healthcheck"] = _health(text)
        case _:
            trigger = text.partition(" ")[0].upper()
            if trigger in ("ONBUILD", "FROM", "MAINTAINER"):
                raise InvalidArgument(f"{trigger} isn't allowed as an ONBUILD trigger")
            config["OnBuild"] = [*(config.get("OnBuild") or []), text]


def apply(config: Config, changes: list[str]) -> Config:
    """The configuration after Dockerfile lines (an item may hold several). Raises InvalidArgument."""
    result = dict(config)
    for line in [line.strip() for change in changes for line in change.split("\n")]:
        if not line or line.startswith("#"):
            continue
        name, _, text = line.partition(" ")
        name, text = name.upper(), text.strip()
        if name not in _ALLOWED:
            raise InvalidArgument(f"{line.partition(' ')[0]} is not a valid change command")
        if not text:
            raise InvalidArgument(f"{name} requires at least one argument")
        _one(result, name, text)
    return result

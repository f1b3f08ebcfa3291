"""Reading the options: command line, configuration file, the two together, and what they must satisfy."""

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scow.daemon import checks
from scow.daemon.options import Option, Options, table
from scow.errors import InvalidArgument

_MAX_FILE = 4 << 20
_INT_MAX = (1 << 63) - 1
_TRUE, _FALSE = {"1", "t", "true"}, {"0", "f", "false"}


class UsageError(Exception):
    """The command line is wrong."""


@dataclass(slots=True)
class CommandLine:
    """What the arguments said: values by attribute, and the two that end the program."""

    values: dict[str, Any] = field(default_factory=dict)
    help: bool = False
    version: bool = False


def parse_args(argv: Sequence[str]) -> CommandLine:
    """The arguments after the program's name. Raises UsageError."""
    flags = {option.flag: option for option in table() if option.flag != "-"}
    shorts = {option.short: option for option in table() if option.short}
    out, at = CommandLine(), 0
    while at < len(argv):
        text = argv[at]
        at += 1
        if text in ("-h", "--help"):
            out.help = True
            continue
        if text in ("-v", "--version"):
            out.version = True
            continue
        if text.startswith("--"):
            name, has_value, value = text[2:].partition("=")
            option = flags.get(name)
            shown = f"--{name}"
        elif text.startswith("-") and len(text) > 1:
            name, value = text[1], text[2:]
            has_value, value = ("=" if value else ""), value.removeprefix("=")
            option = shorts.get(name)
            shown = f"-{name}"
        else:
            raise UsageError('"scowd" accepts no arguments.')
        if option is None:
            raise UsageError(f"unknown flag: {shown}" if shown.startswith("--") else f"unknown shorthand flag: '{name}' in {text}")
        if not has_value:
            if option.kind == "bool":
                value = "true"
            elif at < len(argv):
                value = argv[at]
                at += 1
            else:
                raise UsageError(f"flag needs an argument: {shown}")
        try:
            _collect(out.values, option, value)
        except InvalidArgument as exc:
            raise UsageError(f'invalid argument "{value}" for "{shown}" flag: {exc.message}') from exc
    return out


def _collect(values: dict[str, Any], option: Option, text: str) -> None:
    name = option.attribute
    if option.kind == "bool":
        if text.lower() not in _TRUE | _FALSE:
            raise InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')
        values[name] = text.lower() in _TRUE
    elif option.kind == "int":
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise InvalidArgument(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        values[name] = int(text)
    elif option.kind == "size":
        values[name] = _size(text)
    elif option.kind == "list":
        values[name] = (*values.get(name, ()), text)
    elif option.kind == "pools":
        values[name] = (*values.get(name, ()), _pool_text(text))
    elif option.kind in ("map", "object", "runtimes", "ulimits"):
        key, found, value = text.partition("=")
        if not found or not key:
            raise InvalidArgument(f"invalid argument format {text}: must be key=value")
        entry: Any = value
        if option.kind == "runtimes":
            entry = {"path": value}
        elif option.kind == "ulimits":
            entry = _ulimit(key, value)
        values.setdefault(name, {})[key] = entry
    else:
        values[name] = text


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _INT_MAX:
            raise InvalidArgument(f"invalid size: '{value}'")
        return value
    from scow.units import parse_size

    return parse_size(str(value))


def _ulimit(name: str, text: str) -> dict[str, Any]:
    soft, _, hard = text.partition(":")
    if not re.fullmatch(r"-?[0-9]{1,18}", soft) or (hard and not re.fullmatch(r"-?[0-9]{1,18}", hard)):
        raise InvalidArgument(f"invalid ulimit argument: {name}={text}")
    return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}


def _pool_text(text: str) -> dict[str, Any]:
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if set(parts) != {"base", "size"} or not parts["size"].isdigit():
        raise InvalidArgument(f"invalid default address pool: {text}: must be base=SUBNET,size=BITS")
    return {"base": parts["base"], "size": int(parts["size"])}


def read_file(path: str, must_exist: bool) -> dict[str, Any]:
    """The values of a configuration file by attribute; {} when there is none and none is needed. Raises InvalidArgument."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE)
    except FileNotFoundError:
        if must_exist:
            raise InvalidArgument(f"open {path}: no such file or directory") from None
        return {}
    except OSError as exc:
        raise InvalidArgument(f"open {path}: {os.strerror(exc.errno or 0).lower()}") from exc
    if not data.strip():
        return {}
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise InvalidArgument(f"invalid JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise InvalidArgument("the configuration file must hold a JSON object")
    if isinstance(document.get("proxies"), dict):
        document = {**document, **{f"proxies.{name}": value for name, value in document["proxies"].items()}}
        del document["proxies"]
    known = {option.key: option for option in table() if option.key != "-"}
    unknown = sorted(name for name in document if name not in known and name != "default-init")
    if unknown:
        raise InvalidArgument(f"the following directives don't match any configuration option: {', '.join(unknown)}")
    return {
        known[name].attribute: _from_json(known[name], value) for name, value in document.items() if name in known and value is not None
    }


def _from_json(option: Option, value: Any) -> Any:
    kind = option.kind
    wrong = InvalidArgument(f"json: cannot unmarshal {type(value).__name__} into configuration key {option.key}")
    if kind == "bool":
        if not isinstance(value, bool):
            raise wrong
    elif kind == "int":
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _INT_MAX:
            raise wrong
    elif kind == "size":
        return _size(value)
    elif kind == "str":
        if not isinstance(value, str):
            raise wrong
    elif kind == "list":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise wrong
        return tuple(value)
    elif kind == "pools":
        if not isinstance(value, list) or not all(isinstance(item, dict) and isinstance(item.get("base"), str) for item in value):
            raise wrong
        return tuple({"base": item["base"], "size": item.get("size", 24)} for item in value)
    elif not isinstance(value, dict):
        raise wrong
    return value


def combine(flags: dict[str, Any], file: dict[str, Any]) -> Options:
    """One value from both sources. Raises InvalidArgument when they overlap."""
    options = {option.attribute: option for option in table()}
    both = sorted(set(flags) & set(file), key=lambda name: options[name].key)
    clashes = [name for name in both if name != "runtimes"]
    if clashes:
        said = ", ".join(f"{options[name].key}: (from flag: {_shown(flags[name])}, from file: {_shown(file[name])})" for name in clashes)
        raise InvalidArgument(f"the following directives are specified both as a flag and in the configuration file: {said}")
    values = {**file, **flags}
    if "runtimes" in both:
        values["runtimes"] = {**file["runtimes"], **flags["runtimes"]}
    return dataclasses.replace(Options(), **values)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + " ".join(map(str, value)) + "]"
    return str(value)


def load(flags: dict[str, Any]) -> Options:
    """Flags plus the configuration file they name, checked. Raises InvalidArgument."""
    path = flags.get("config_file", Options().config_file)
    try:
        options = combine(flags, read_file(path, must_exist="config_file" in flags))
        checks.check(options)
    except InvalidArgument as exc:
        raise InvalidArgument(f"unable to configure the Scow daemon with file {path}: {exc.message}") from exc
    return options


def unsupported(options: Options) -> list[str]:
    """The options given a value that this engine knows and does not act on."""
    plain = Options()
    return [option.key for option in table() if not option.works and getattr(options, option.attribute) != getattr(plain, option.attribute)]


def usage() -> str:
    """The text of --help."""
    lines = ["", "Usage:  scowd [OPTIONS]", "", "A container engine that speaks Docker.", "", "Options:"]
    for option in table():
        if option.flag == "-":
            continue
        short = f"-{option.short}, " if option.short else "    "
        kind = {"bool": "", "list": " list", "map": " map", "int": " int", "size": " bytes"}.get(option.kind, " string")
        note = option.help or ("(known, not supported yet)" if not option.works else "")
        lines.append(f"  {short}--{option.flag + kind:<38} {note}".rstrip())
    lines += ["  -h, --help", "  -v, --version", ""]
    return "\n".join(lines)

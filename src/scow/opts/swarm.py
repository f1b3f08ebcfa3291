"""Words of swarm commands: published ports, secrets and configs, placement preferences, generic resources, address pools, external
certificate authorities. Each gives what the API wants and raises InvalidArgument with docker's text. Called by `cli/commands/service`,
`cli/commands/swarm` and `cli/commands/stack`."""

from __future__ import annotations

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from typing import Any

from scow.errors import InvalidArgument
from scow.opts.mounts import fields_of
from scow.opts.ports import PROTOCOLS, parse_publish, parse_range

MAX_PORTS = 65536
_LISTEN_PORT = 2377


def _csv(text: str) -> list[str]:
    if not text:
        raise InvalidArgument("EOF")
    return fields_of(text)


def _number(key: str, value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise InvalidArgument(f"invalid {key} port ({value}): value must be an integer: invalid syntax")
    if len(value) > 5 or int(value) > 65535:
        raise InvalidArgument(f"invalid {key} port ({value}): value must be an integer: value out of range")
    return int(value)


def parse_port(text: str) -> list[dict[str, Any]]:
    """PortConfigs of one --publish: `[published:]target[/protocol]`, or `target=80,published=8080,protocol=tcp,mode=host`."""
    if "=" in text:
        return [_long_port(text)]
    found = []
    if not text:
        raise InvalidArgument("no port specified: <empty>")
    for port, bindings in parse_publish(text).items():
        target, _, protocol = port.partition("/")
        for binding in bindings:
            if binding["HostIp"] not in ("", "0.0.0.0"):
                raise InvalidArgument("hostip is not supported")
            low, high = parse_range(binding["HostPort"]) if binding["HostPort"] else (0, 0)
            for published in range(low, high + 1):
                one = {"Protocol": protocol, "TargetPort": int(target), "PublishedPort": published, "PublishMode": "ingress"}
                found.append({key: value for key, value in one.items() if value})
    return found


def _long_port(text: str) -> dict[str, Any]:
    port: dict[str, Any] = {"Protocol": "tcp", "PublishMode": "ingress"}
    for field in _csv(text):
        key, sep, value = field.partition("=")
        key, value = key.lower(), value.lower()
        if not sep or not key:
            raise InvalidArgument(f"invalid field: {field}")
        if key == "protocol":
            if value not in PROTOCOLS:
                raise InvalidArgument(f"invalid protocol value '{value}'")
            port["Protocol"] = value
        elif key == "mode":
            if value not in ("ingress", "host"):
                raise InvalidArgument(f"invalid publish mode value ({value}): must be either 'ingress' or 'host'")
            port["PublishMode"] = value
        elif key == "target":
            port["TargetPort"] = _number("target", value)
        elif key == "published":
            port["PublishedPort"] = _number("published", value)
        else:
            raise InvalidArgument(f"invalid field key: {key}")
    if not port.get("TargetPort"):
        raise InvalidArgument("missing mandatory field 'target'")
    return {key: port[key] for key in ("Protocol", "TargetPort", "PublishedPort", "PublishMode") if port.get(key)}


def parse_reference(text: str, kind: str = "secret") -> dict[str, Any]:
    """A SecretReference (or ConfigReference, by `kind`) without its id: a name, or `source=,target=,uid=,gid=,mode=`."""
    fields = _csv(text)
    file: dict[str, Any] = {"Name": "", "UID": "0", "GID": "0", "Mode": 0o444}
    name = ""
    if len(fields) == 1 and "=" not in fields[0]:
        name = file["Name"] = fields[0]
        return {"File": file, f"{kind.title()}ID": "", f"{kind.title()}Name": name}
    for field in fields:
        key, sep, value = field.partition("=")
        key = key.lower()
        if not sep or not key:
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        if key in ("source", "src"):
            name = value
        elif key == "target":
            file["Name"] = value
        elif key in ("uid", "gid"):
            file[key.upper()] = value
        elif key == "mode":
            file["Mode"] = _mode(value)
        else:
            raise InvalidArgument(f"invalid field in {kind} request: {key}")
    if not name:
        raise InvalidArgument("source is required")
    file["Name"] = file["Name"] or name
    return {"File": file, f"{kind.title()}ID": "", f"{kind.title()}Name": name}


def parse_config(text: str) -> dict[str, Any]:
    """A ConfigReference without its id."""
    return parse_reference(text, "config")


def _mode(text: str) -> int:
    """A number as Go reads it: octal after a zero."""
    base = 8 if text.startswith("0") and text[1:].isdigit() else 0
    try:
        value = int(text, base)
    except ValueError:
        value = -1
    if "_" in text or not 0 <= value < 1 << 32:
        raise InvalidArgument(f'invalid mode specified: strconv.ParseUint: parsing "{text}": invalid syntax')
    return value


def parse_preference(text: str) -> dict[str, Any]:
    """A PlacementPreference of `spread=node.labels.zone`."""
    strategy, sep, arg = text.partition("=")
    if not sep or not strategy:
        raise InvalidArgument('placement preference must be of the format "<strategy>=<arg>"')
    if strategy != "spread":
        raise InvalidArgument(f"unsupported placement preference {strategy} (only spread is supported)")
    return {"Spread": {"SpreadDescriptor": arg}}


def generic_name(text: str) -> str:
    """One --generic-resource as it is, if it has a name and a value."""
    name, sep, value = text.partition("=")
    if not sep or not name or not value:
        raise InvalidArgument(f"invalid generic-resource format `{text}` expected `name=value`")
    return text


def generic_resources(words: list[str]) -> list[dict[str, Any]]:
    """GenericResources of `gpu=2` words."""
    found = []
    for word in words:
        kind, _, value = word.partition("=")
        if not value.isascii() or not value.isdigit() or len(value) > 18:
            raise InvalidArgument(
                f"invalid generic-resource request `{word}`, Named Generic Resources is not supported for service create or update"
            )
        found.append({"DiscreteResourceSpec": {"Kind": kind, "Value": int(value)}})
    return found


def credential_spec(text: str) -> dict[str, str]:
    """A CredentialSpec of Windows: `config://`, `file://` or `registry://`; {} for nothing."""
    if not text:
        return {}
    for lead, key in (("config://", "Config"), ("file://", "File"), ("registry://", "Registry")):
        if text.startswith(lead):
            return {key: text.removeprefix(lead)}
    raise InvalidArgument('invalid credential spec: value must be prefixed with "config://", "file://", or "registry://"')


def listen_address(text: str) -> str:
    """`address[:port]` with the port of swarms where none is given."""
    if not text:
        return f"0.0.0.0:{_LISTEN_PORT}"
    host, sep, port = text.rpartition(":")
    if text.endswith("]") or (":" in host and not host.startswith("[")):
        host, sep, port = text, "", ""
    if not sep:
        return f"{text}:{_LISTEN_PORT}"
    if not port.isascii() or not port.isdigit():
        raise InvalidArgument(f'parse "tcp://{text}": invalid port ":{port}" after host')
    return f"{host or '0.0.0.0'}:{port}"


def parse_pool(text: str) -> list[str]:
    """Address pools of one --default-addr-pool: subnets with commas between them."""
    import ipaddress

    found = []
    for one in text.split(",") if text else ():
        try:
            ipaddress.ip_network(one.strip(), strict=False)
        except ValueError:
            raise InvalidArgument(f"invalid string being converted to CIDR: {one.strip()}") from None
        if "/" not in one:
            raise InvalidArgument(f"invalid string being converted to CIDR: {one.strip()}")
        found.append(str(ipaddress.ip_network(one.strip(), strict=False)))
    return found


def parse_external_ca(text: str) -> dict[str, Any]:
    """An ExternalCA of `protocol=cfssl,url=https://…[,cacert=FILE]`."""
    found: dict[str, Any] = {"Options": {}}
    for field in _csv(text):
        key, sep, value = field.partition("=")
        if not sep:
            raise InvalidArgument(f"invalid field '{field}' must be a key=value pair")
        key = key.lower()
        if key == "protocol":
            if value.lower() != "cfssl":
                raise InvalidArgument(f"unrecognized external CA protocol {value}")
            found["Protocol"] = "cfssl"
        elif key == "url":
            found["URL"] = value
        elif key == "cacert":
            found["CACert"] = read_pem(value)
        else:
            found["Options"][key] = value
    if "Protocol" not in found:
        raise InvalidArgument("the external-ca option needs a protocol= parameter")
    if "URL" not in found:
        raise InvalidArgument("the external-ca option needs a url= parameter")
    return found


def read_pem(path: str) -> str:
    """A file of certificates or keys, which is refused where it holds none."""
    try:
        with open(path, "rb") as file:
            text = file.read(1 << 20).decode()
    except (OSError, ValueError) as exc:
        reason = exc.strerror.lower() if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InvalidArgument(f"open {path}: {reason}") from None
    if "-----BEGIN " not in text:
        raise InvalidArgument("file contents must be in PEM format")
    return text

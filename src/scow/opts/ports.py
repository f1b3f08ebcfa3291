"""`--publish` and `--expose`: `[ip:][host[-range]]:container[-range][/proto]`, and the long form
`target=80,published=8080,protocol=tcp`."""

from __future__ import annotations

from scow.errors import InvalidArgument

PROTOCOLS = ("tcp", "udp", "sctp")
Bindings = dict[str, list[dict[str, str]]]


def parse_range(text: str) -> tuple[int, int]:
    """First and last of `80` or `80-90`. Raises InvalidArgument."""
    first, dash, last = text.partition("-")
    if not _number(first) or (dash and not _number(last)):
        raise InvalidArgument(f"invalid port: '{text}'" if text else "empty string specified for ports")
    low, high = int(first), int(last) if dash else int(first)
    if high > 65535 or low > 65535:
        raise InvalidArgument(f"invalid port: '{text}': value out of range")
    if high < low:
        raise InvalidArgument(f"invalid range specified for port: {text}")
    return low, high


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _split(text: str) -> tuple[str, str, str]:
    """(ip, host port, container port) of `ip:host:container`; IPv6 in brackets."""
    if text.startswith("["):
        address, sep, rest = text[1:].partition("]:")
        if not sep:
            raise InvalidArgument(f"invalid publish argument: {text}")
        host, colon, port = rest.rpartition(":")
        return address, host if colon else "", port if colon else rest
    parts = text.rsplit(":", 2)
    if len(parts) == 1:
        return "", "", parts[0]
    if len(parts) == 2:
        return "", parts[0], parts[1]
    return parts[0], parts[1], parts[2]


def _check_ip(text: str) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise InvalidArgument(f"invalid IP address: {text}") from None


def parse_publish(text: str) -> Bindings:
    """Port bindings (`80/tcp` → [{HostIp, HostPort}]) of one --publish. Raises InvalidArgument."""
    if "=" in text:
        return _long(text)
    address, host, rest = _split(text)
    port, slash, protocol = rest.partition("/")
    protocol = protocol.lower() if slash and protocol else "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    if not port:
        raise InvalidArgument(f"no port specified: {text}<empty>")
    if address:
        _check_ip(address)
    try:
        first, last = parse_range(port)
    except InvalidArgument:
        raise InvalidArgument(f"invalid containerPort: {port}") from None
    found: Bindings = {}
    if not host:
        for number in range(first, last + 1):
            found[f"{number}/{protocol}"] = [{"HostIp": address, "HostPort": ""}]
        return found
    try:
        low, high = parse_range(host)
    except InvalidArgument:
        raise InvalidArgument(f"invalid hostPort: {host}") from None
    if high - low != last - first:
        if last != first:
            raise InvalidArgument(f"invalid ranges specified for container and host Ports: {port} and {host}")
        found[f"{first}/{protocol}"] = [{"HostIp": address, "HostPort": f"{low}-{high}"}]
        return found
    for offset in range(last - first + 1):
        found[f"{first + offset}/{protocol}"] = [{"HostIp": address, "HostPort": str(low + offset)}]
    return found


def _long(text: str) -> Bindings:
    fields = {"protocol": "tcp", "published": "", "target": "", "mode": ""}
    for part in text.split(","):
        key, _, value = part.partition("=")
        if key not in fields:
            raise InvalidArgument(f"invalid field key {key}")
        fields[key] = value.lower()
    if fields["protocol"] not in PROTOCOLS:
        raise InvalidArgument(f"invalid protocol value '{fields['protocol']}'")
    if not fields["target"]:
        raise InvalidArgument(f'invalid field "{text}": target is needed')
    try:
        target = parse_range(fields["target"])[0]
    except InvalidArgument:
        raise InvalidArgument(f"invalid containerPort: {fields['target']}") from None
    if fields["published"]:
        try:
            parse_range(fields["published"])
        except InvalidArgument:
            raise InvalidArgument(f"invalid hostPort: {fields['published']}") from None
    return {f"{target}/{fields['protocol']}": [{"HostIp": "", "HostPort": fields["published"]}]}


def parse_expose(text: str) -> list[str]:
    """`80/tcp` names of one --expose. Raises InvalidArgument."""
    if ":" in text:
        raise InvalidArgument(f"invalid port format for --expose: {text}")
    port, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {protocol}")
    try:
        first, last = parse_range(port)
    except InvalidArgument as exc:
        raise InvalidArgument(f"invalid range format for --expose: {text}, error: {exc.message}") from None
    return [f"{number}/{protocol}" for number in range(first, last + 1)]

"""Legacy links of the default bridge: hosts lines and environment. LIFECYCLE asks for the environment before the start."""

from collections.abc import Iterable


def split(link: str) -> tuple[str, str]:
    """`name:alias`, `name` or Docker's stored `/name:/container/alias` as (name, alias)."""
    name, _, alias = link.partition(":")
    name = name.lstrip("/")
    return name, alias.rsplit("/", 1)[-1] or name


def environment(container: str, alias: str, address: str, exposed: Iterable[str], env: Iterable[str]) -> list[str]:
    """The variables that a link gives to `container`: the target's address, its exposed ports (`80/tcp`) and its own variables."""
    prefix = alias.replace("-", "_").upper()
    result = [f"{prefix}_NAME=/{container}/{alias}"]
    ports = sorted({(int(port), proto or "tcp") for port, _, proto in (text.partition("/") for text in exposed) if port.isdigit()})
    tcp = [port for port in ports if port[1] == "tcp"] or ports
    if tcp:
        result.append(f"{prefix}_PORT={tcp[0][1]}://{address}:{tcp[0][0]}")
    for port, proto in ports:
        name = f"{prefix}_PORT_{port}_{proto.upper()}"
        result += [f"{name}={proto}://{address}:{port}", f"{name}_ADDR={address}", f"{name}_PORT={port}", f"{name}_PROTO={proto}"]
    skipped = ("HOME=", "PATH=")
    result += [f"{prefix}_ENV_{entry}" for entry in env if "=" in entry and not entry.startswith(skipped)]
    return result

"""One container takes another's place: the host's ports lead to it, and the other's names are its. Pure; the changes are carried out by
`sandbox.py`. A client's rollouts (`scow compose up --rollout`) ask for it, when the new container is ready to serve."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from scow.network.endpoint import Endpoint, Published, SandboxState


@dataclass(frozen=True, slots=True)
class Takeover:
    """Both containers as they are afterwards, and the ports that change their target: (before, after)."""

    new: SandboxState
    old: SandboxState
    moved: tuple[tuple[Published, Published], ...]


def plan(
    new: SandboxState, old: SandboxState, targets: tuple[str, str], ports: Collection[str], names: Mapping[str, Sequence[str]]
) -> Takeover:
    """`targets`: the new container's addresses for ports (IPv4, IPv6); `ports`: those that move, as `80/tcp`; `names`: network -> the names
    that the new one has from now on and the old one no more."""
    four, six = targets
    moved = tuple(
        (one, dataclasses.replace(one, address=(six or four) if ":" in one.host_ip else (four or six)))
        for one in old.published
        if f"{one.port}/{one.proto}" in ports and not one.direct
    )
    gone = {before for before, _ in moved}
    published = sorted(
        {*new.published, *(after for _, after in moved)},
        key=lambda one: (one.port, one.proto, ":" in one.host_ip, one.host_ip, one.host_port),
    )
    keys = {f"{one.port}/{one.proto}" for one in gone}
    theirs = {port: bindings for port, bindings in old.request.port_bindings.items() if _key(port) in keys}
    left = {port: bindings for port, bindings in old.request.port_bindings.items() if port not in theirs}
    return Takeover(
        dataclasses.replace(
            new,
            published=tuple(published),
            request=dataclasses.replace(new.request, port_bindings={**new.request.port_bindings, **theirs}),
            endpoints=tuple(_named(one, names.get(one.network, ())) for one in new.endpoints),
        ),
        dataclasses.replace(
            old,
            published=tuple(one for one in old.published if one not in gone),
            request=dataclasses.replace(old.request, port_bindings=left),
            endpoints=tuple(_without(one, names.get(one.network, ())) for one in old.endpoints),
        ),
        moved,
    )


def _key(port: str) -> str:
    return port.lower() if "/" in port else f"{port}/tcp"


def _named(endpoint: Endpoint, names: Sequence[str]) -> Endpoint:
    settings = endpoint.settings
    aliases, known = list(dict.fromkeys([*settings.aliases, *names])), list(dict.fromkeys([*settings.dns_names, *names]))
    return dataclasses.replace(endpoint, settings=dataclasses.replace(settings, aliases=aliases, dns_names=known))


def _without(endpoint: Endpoint, names: Sequence[str]) -> Endpoint:
    settings = endpoint.settings
    aliases = [one for one in settings.aliases if one not in names]
    known = [one for one in settings.dns_names if one not in names]
    return dataclasses.replace(endpoint, settings=dataclasses.replace(settings, aliases=aliases, dns_names=known))

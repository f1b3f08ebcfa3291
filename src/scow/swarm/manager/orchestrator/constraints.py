"""Placement constraints: `node.role == manager`, `node.labels.zone != a`. Pure."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scow.errors import InvalidArgument
from scow.swarm.objects import Node, Service
from scow.swarm.wording import invalid

_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9\-_./]+$")
_VALUE = re.compile(r"^[A-Za-z0-9:\-_\s.*()?+\[\]\\^$|/]+$")
_FIXED = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch")
_PREFIXES = ("node.labels.", "engine.labels.")


@dataclass(frozen=True, slots=True)
class Constraint:
    """One expression."""

    key: str
    equal: bool
    value: str

    @property
    def known(self) -> bool:
        """Whether nodes have such a key; one that they don't have lets no node in, however it is compared."""
        return self.key.lower() in _FIXED or self.key.lower().startswith(_PREFIXES)

    def match(self, node: Node) -> bool:
        """Whether a node satisfies it; values are compared without regard to case."""
        lowered = self.key.lower()
        if not self.known:
            return False
        if lowered == "node.ip":
            return self._address(node) is self.equal
        return (self._value(node).lower() == self.value.lower()) is self.equal

    def _address(self, node: Node) -> bool:
        try:
            return ipaddress.ip_address(node.address) in ipaddress.ip_network(self.value, strict=False)
        except ValueError:
            return False

    def _value(self, node: Node) -> str:
        key = self.key
        lowered = key.lower()
        platform = node.description.get("Platform") or {}
        match lowered:
            case "node.id":
                return node.id
            case "node.hostname":
                return node.hostname
            case "node.role":
                return node.role
            case "node.platform.os":
                return str(platform.get("OS") or "")
            case "node.platform.arch":
                return str(platform.get("Architecture") or "")
        if lowered.startswith("node.labels."):
            return str((node.spec.get("Labels") or {}).get(key[len("node.labels.") :], ""))
        labels = (node.description.get("Engine") or {}).get("Labels") or {}
        return str(labels.get(key[len("engine.labels.") :], ""))


def keys() -> str:
    """What nodes can be chosen by, for people."""
    return ", ".join([*_FIXED, *(f"{prefix}NAME" for prefix in _PREFIXES)])


def parse(expressions: list[str]) -> list[Constraint]:
    """Raises InvalidArgument for what is no constraint."""
    found = []
    for text in expressions:
        key, operator, value = _split(text)
        if not _KEY.match(key):
            raise invalid(f"key '{key[:200]}' is invalid")
        if not _VALUE.match(value):
            raise invalid(f"value '{value[:200]}' is invalid")
        found.append(Constraint(key, operator == "==", value))
    return found


def _split(text: str) -> tuple[str, str, str]:
    for operator in ("==", "!="):
        key, there, value = text.partition(operator)
        if there:
            return key.strip(), operator, value.strip()
    raise invalid(f"constraint expected one operator from ==, !=: {text[:200]}")


def of(spec: Mapping[str, Any]) -> list[str]:
    """The constraint texts of a TaskSpec."""
    return list((spec.get("Placement") or {}).get("Constraints") or ())


def match(service: Service, node: Node) -> bool:
    """Whether a node satisfies all of a service's constraints; a malformed one lets no node in."""
    return match_spec(service.task_spec, node)


def match_spec(spec: Mapping[str, Any], node: Node) -> bool:
    """The same for a TaskSpec."""
    try:
        return all(one.match(node) for one in parse(of(spec)))
    except InvalidArgument:
        return False

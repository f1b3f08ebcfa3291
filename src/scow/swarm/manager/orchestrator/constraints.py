"""Placement constraints: `node.role == manager`, `node.labels.zone != a`. Pure."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scow.errors import InvalidArgument
from scow.swarm.objects import Node, Service

_EXPRESSION = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9_.\-/]*)\s*(==|!=)\s*(.+?)\s*$")
_VALUE = re.compile(r"^[A-Za-z0-9:\-_\s.*()?+\[\]\\^$|/]+$")
_FIXED = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch")
_PREFIXES = ("node.labels.", "engine.labels.")


@dataclass(frozen=True, slots=True)
class Constraint:
    """One expression."""

    key: str
    equal: bool
    value: str

    def match(self, node: Node) -> bool:
        """Whether a node satisfies it; values are compared without regard to case."""
        if self.key.lower() == "node.ip":
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


def parse(expressions: list[str]) -> list[Constraint]:
    """Raises InvalidArgument for what is no constraint."""
    found = []
    for text in expressions:
        match = _EXPRESSION.match(text)
        if not match:
            raise InvalidArgument(f"rpc error: code = InvalidArgument desc = constraint expected one operator from ==, !=: {text[:200]}")
        key, operator, value = match.groups()
        if key.lower() not in _FIXED and not key.lower().startswith(_PREFIXES):
            raise InvalidArgument(f"rpc error: code = InvalidArgument desc = key '{key}' is invalid")
        if not _VALUE.match(value):
            raise InvalidArgument(f"rpc error: code = InvalidArgument desc = value '{value[:200]}' is invalid")
        found.append(Constraint(key, operator == "==", value))
    return found


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

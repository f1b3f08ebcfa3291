"""What a node says of itself and of its tasks, checked before the store sees it: a certificate tells who speaks, not that it makes sense.

What is wrong is refused whole; every loop of the manager and every node's networks rely on what is stored. Pure; asked by `doors`.
"""

import ipaddress
from collections.abc import Mapping
from typing import Any

import orjson

from scow.errors import InvalidArgument
from scow.opts.autoscale import TARGETS
from scow.swarm import shapes
from scow.swarm.objects import ContainerStatus, TaskState, TaskStatus
from scow.swarm.shapes import INT64, STRING, TABLE, Many, Scalar, Struct

_MOST_BYTES = 1 << 20
_LONGEST_NAME = 255
_LONGEST_MESSAGE = 16 << 10
_MOST_PORTS = 4096
_MOST_USED = 1e15

_DESCRIPTION = Struct(
    "swarm.NodeDescription",
    {
        "Hostname": STRING,
        "Platform": shapes.PLATFORM,
        "Resources": shapes.ROOM,
        "Engine": Struct(
            "swarm.EngineDescription",
            {
                "EngineVersion": STRING,
                "Labels": TABLE,
                "Plugins": Many(Struct("swarm.PluginDescription", {"Type": STRING, "Name": STRING})),
            },
        ),
        "TLSInfo": Struct("swarm.TLSInfo", {"TrustRoot": STRING, "CertIssuerSubject": STRING, "CertIssuerPublicKey": STRING}),
    },
)
_STATUS = Struct(
    "swarm.TaskStatus",
    {
        "state": INT64,
        "at_ns": Scalar("int64", int, 0, (1 << 63) - 1),
        "message": STRING,
        "error": STRING,
        "container": Struct("swarm.ContainerStatus", {"container_id": STRING, "pid": INT64, "exit_code": INT64}),
        "ports": Many(shapes.PORT),
        "applied_by": STRING,
    },
)


def _read(value: Any, shape: Struct) -> dict[str, Any]:
    if len(orjson.dumps(value)) > _MOST_BYTES:
        raise InvalidArgument(f"a node's {shape.name} has at most {_MOST_BYTES} bytes")
    return shapes.read(value, shape)


def address(value: Any) -> str:
    """The address of a node's data path. Raises InvalidArgument."""
    try:
        found = ipaddress.ip_address(str(value))
    except ValueError:
        raise InvalidArgument(f"a node's address is an IP address, not {str(value)[:80]!r}") from None
    if found.is_unspecified or found.is_multicast:
        raise InvalidArgument(f"{found} cannot be a node's address")
    return str(found)


def description(value: Any) -> dict[str, Any]:
    """A node's description, without what this version does not know. Raises InvalidArgument."""
    found = _read(value, _DESCRIPTION)
    if len(str(found.get("Hostname", ""))) > _LONGEST_NAME:
        raise InvalidArgument(f"a host's name has at most {_LONGEST_NAME} characters")
    for row in (found.get("Resources") or {}).get("GenericResources") or ():
        if any("Kind" not in one or "Value" not in one for one in row.values()):
            raise InvalidArgument("a generic resource has a Kind and a Value")
    return found


def status(value: Any) -> TaskStatus:
    """A task's status; long messages are cut. Raises InvalidArgument."""
    found = _read(value, _STATUS)
    try:
        state = TaskState(found.get("state", 0))
    except ValueError:
        raise InvalidArgument(f"{found['state']} is no state of a task") from None
    container = found.get("container")
    return TaskStatus(
        state,
        found.get("at_ns", 0),
        found.get("message", "")[:_LONGEST_MESSAGE],
        found.get("error", "")[:_LONGEST_MESSAGE],
        ContainerStatus(**container) if container else None,
        tuple(found.get("ports", ())[:_MOST_PORTS]),
        found.get("applied_by", "")[:_LONGEST_NAME],
    )


def usage(value: Any) -> dict[str, dict[str, float]]:
    """Measurements: task id → metric → value; what is none, or nothing that a host could have, is left out."""
    rows = value if isinstance(value, Mapping) else {}
    return {
        str(id): {
            name: float(one)
            for name in TARGETS
            if isinstance(one := row.get(name), int | float) and not isinstance(one, bool) and 0 <= one <= _MOST_USED
        }
        for id, row in rows.items()
        if isinstance(row, Mapping)
    }

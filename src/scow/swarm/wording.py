"""What clients hear when the cluster refuses something, worded as dockerd's API and swarmkit's gRPC: clients and people's scripts look for
these texts."""

from collections.abc import Mapping
from typing import Any

from scow.errors import InvalidArgument

INACTIVE: Mapping[str, Any] = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}
"""The Swarm part of /info on a node that is in no swarm."""

NOT_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
)
WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. "
    "Please run this command on a manager node or promote the current node to a manager."
)
NO_SWARM = "This node is not part of a swarm"
IN_SWARM = 'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
LOCKED = 'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
LOCKED_STAYS = "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message."
JOINS_LATER = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. "
    'Use the "docker info" command to see the current swarm status of your node.'
)
_LAST = (
    "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager erases all current "
    "state of the swarm. Use `--force` to ignore this message. "
)
_MANAGER = "You are attempting to leave the swarm on a node that is participating as a manager. "
_LOSES = "Removing this node leaves {reachable} managers out of {managers}. Without a Raft quorum your swarm will be inaccessible. "
_FORCE = (
    "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. "
    "Use `--force` to suppress this message."
)


def rpc(code: str, text: str) -> str:
    """A sentence with its gRPC code, such as FailedPrecondition."""
    return f"rpc error: code = {code} desc = {text}"


def invalid(text: str) -> InvalidArgument:
    """The error for what cannot be meant."""
    return InvalidArgument(rpc("InvalidArgument", text))


def precondition(text: str) -> InvalidArgument:
    """The error for what the state of the cluster does not allow."""
    return InvalidArgument(rpc("FailedPrecondition", text))


def why_stay(reachable: int, managers: int) -> str:
    """Why a manager does not leave without force; `managers`: how many there are, with it."""
    if managers <= 1:
        return _LAST
    if reachable - 2 <= managers - reachable:
        return f"{_MANAGER}{_LOSES.format(reachable=max(reachable - 1, 0), managers=managers)}{_FORCE}"
    return _MANAGER + _FORCE

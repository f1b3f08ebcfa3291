"""What a manager that comes asks of the one that leads: to be let in with a member of etcd, and to have that member vote.

Nothing stored; `managers.Managers` has the side that answers, and uses this one.
"""

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from scow import log
from scow.errors import ScowError, Unavailable
from scow.swarm import ca
from scow.swarm.ca.peers import Trust
from scow.swarm.links.rpc import Json
from scow.swarm.store.etcd import member

if TYPE_CHECKING:
    from scow.swarm.node import SwarmNode
    from scow.swarm.state import NodeState

logger = log.get(__name__)

_ADMIT_SECONDS = 400.0
_PROMOTE_SECONDS = 90.0
_PROMOTE_AGAIN_SECONDS = 0.3
_AGAIN_SECONDS = 3.0
_LOST = (
    "this manager's copy of the swarm's state is lost ({why}), and the others do not give it another yet: {error}. It is tried again. "
    "If they are gone for good, let this node leave by force (swarm leave --force)"
)


async def admitted(node: "SwarmNode") -> tuple["NodeState", str, str]:
    """The state of a worker that the leader has let in as a manager, the cluster that its member comes to, the unlock key.

    Raises ScowError."""
    await member.program()
    answer = await _asked(node)
    state = replace(node.state, role="manager", etcd=True, data_key=str(answer["data_key"])).trusting(_trust(answer))
    return state, str(answer["cluster"]), str(answer["unlock_key"])


async def admitted_again(node: "SwarmNode", why: str) -> str:
    """Be let in as if this manager came for the first time: the others have all that it had. Tried until the leader does it; the cluster
    for `Etcd.start`. What the member is to work with now is in the node's state then."""
    while True:
        try:
            answer = await _asked(node)
        except ScowError as error:
            node.problem = _LOST.format(why=why, error=error.message)
            logger.warning("%s", node.problem)
        else:
            node.problem = ""
            node.keep_trust(_trust(answer))
            return str(answer["cluster"])
        await asyncio.sleep(_AGAIN_SECONDS)


async def _asked(node: "SwarmNode") -> Json:
    async with await node.to_leader() as client:
        answer: Json = await client.call("member.admit", {"address": node.state.advertise}, _ADMIT_SECONDS)
    return answer


def _trust(answer: Json) -> Trust:
    return Trust(ca.KeyPair(str(answer["peer_root"]), str(answer["peer_key"])), str(answer["peer_believed"]))


async def promoted(node: "SwarmNode") -> None:
    """The leader makes the member vote, once it has caught up. Raises Unavailable."""
    last = "no reason is known"
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PROMOTE_SECONDS):
            while True:
                try:
                    async with await node.to_leader() as client:
                        await client.call("member.promote", {"address": node.state.advertise})
                        return
                except ScowError as error:
                    last = error.message
                await asyncio.sleep(_PROMOTE_AGAIN_SECONDS)
    raise Unavailable(f"this node's copy of the swarm's state was not let in: {last}")

"""The side of a host that joins: it believes the root that its token names, shows the token, and gets a certificate."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Any

from scow import log
from scow.errors import InvalidArgument, ScowError, Unavailable
from scow.swarm import ca
from scow.swarm.addressing import OwnAddresses
from scow.swarm.links import tls
from scow.swarm.links.rpc import Client, dial
from scow.swarm.state import NodeState

logger = log.get(__name__)

_HELLO_SECONDS = 2.5
_MOST = 64
_PENDING_SECONDS = 20.0
_PENDING_AGAIN_SECONDS = 1.0


async def leader(addresses: Iterable[str], context: Any) -> Client:
    """A link to the manager that leads, found by asking those that are known. Raises Unavailable."""
    queue, tried = deque(addresses), set[str]()
    last: ScowError = Unavailable("no manager of this swarm is known")
    while queue and len(tried) < _MOST:
        address = queue.popleft()
        if not address or address in tried:
            continue
        tried.add(address)
        try:
            client = await dial(address, context, _HELLO_SECONDS)
        except ScowError as error:
            last = error
            continue
        try:
            answer = await client.call("hello", seconds=_HELLO_SECONDS)
        except ScowError as error:
            last = error
            await client.close()
            continue
        if answer.get("leading"):
            return client
        await client.close()
        last = Unavailable(f"the manager at {address} knows of no leader: are more than half of the managers online?")
        if answer.get("leader"):
            queue.appendleft(str(answer["leader"]))
    raise last


async def root_of(addresses: Iterable[str], digest: str) -> tuple[str, list[str]]:
    """The root certificate that a token names, and the addresses that have it. Raises Unavailable, InvalidArgument (another swarm's)."""
    found, good = "", list[str]()
    last: ScowError = Unavailable("no manager answers")
    for address in addresses:
        try:
            client = await dial(address, tls.stranger())
        except ScowError as error:
            last = error
            continue
        try:
            root = str((await client.call("ca.root")).get("root"))
        except ScowError as error:
            last = error
            continue
        finally:
            await client.close()
        if not tls.same_root(root, digest):
            raise InvalidArgument("remote CA does not match fingerprint: the join token is of another swarm, or its root was exchanged")
        found = root
        good.append(address)
    if not found:
        raise last
    return found, good


async def enter(addresses: list[str], token: str, availability: str, own: OwnAddresses) -> NodeState:
    """Become a node of the swarm whose managers are at `addresses`. The state of a worker, which a manager also is at first (`role` says
    what it is to become). Raises ScowError."""
    digest, _ = ca.read_token(token)
    root, good = await root_of(addresses, digest)
    wanted = ca.new_request()
    body = {"token": token, "request": wanted.certificate, "availability": availability, "address": own.data_path}
    answer = await _issued(good, tls.client(root), body)
    return NodeState(
        node_id=str(answer["node"]),
        cluster_id=str(answer["cluster"]),
        role=str(answer["role"]),
        listen=own.listen,
        advertise=own.advertise,
        data_path=own.data_path,
        managers=tuple(f"{id}@{address}" for id, address in answer["managers"]),
        root=str(answer["roots"]),
        issuer=str(answer["issuer"]),
        certificate=str(answer["certificate"]),
        key=wanted.key,
    )


async def _issued(addresses: list[str], context: Any, body: dict[str, Any]) -> dict[str, Any]:
    """What `ca.issue` answers, asked again while an external CA does not sign. Raises ScowError."""
    until = asyncio.get_running_loop().time() + _PENDING_SECONDS
    while True:
        client = await leader(addresses, context)
        try:
            answer: dict[str, Any] = await client.call("ca.issue", body)
        finally:
            await client.close()
        if "pending" not in answer:
            return answer
        if asyncio.get_running_loop().time() > until:
            raise Unavailable(f"this node got no certificate within {_PENDING_SECONDS:.0f} seconds, join again: {answer['pending']}")
        logger.info("this node waits for its certificate: %s", answer["pending"])
        await asyncio.sleep(_PENDING_AGAIN_SECONDS)


async def renewed(state: NodeState) -> NodeState:
    """The state with a fresh certificate, for the role that the cluster wishes. Raises ScowError."""
    wanted = ca.new_request(state.node_id)
    client = await leader(state.addresses, tls.client(state.root, state.certificate, state.key))
    try:
        answer = await client.call("ca.renew", {"request": wanted.certificate})
    finally:
        with contextlib.suppress(ScowError):
            await client.close()
    return with_answer(state, answer, wanted.key)


def with_answer(state: NodeState, answer: dict[str, Any], key: str) -> NodeState:
    """What `ca.renew` answered, in the state."""
    from dataclasses import replace

    return replace(
        state,
        root=str(answer["roots"]),
        issuer=str(answer["issuer"]),
        certificate=str(answer["certificate"]),
        key=key,
        managers=tuple(f"{id}@{address}" for id, address in answer["managers"]),
    )

"""The side of a host that joins: it believes the root that its token names, shows the token, and gets a certificate."""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scow import log
from scow.errors import Internal, InvalidArgument, ScowError, Unavailable
from scow.swarm import ca
from scow.swarm.addressing import OwnAddresses
from scow.swarm.links import tls
from scow.swarm.links.rpc import Broken, Client, dial
from scow.swarm.state import NodeState

logger = log.get(__name__)

_HELLO_SECONDS = 2.5
_MOST = 64
_AGAIN_SECONDS, _AGAIN_MOST_SECONDS = 1.0, 15.0


async def leader(addresses: Iterable[str], context: ssl.SSLContext) -> Client:
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
            async with await dial(address, tls.stranger()) as client:
                root = str((await client.call("ca.root")).get("root"))
        except Broken:
            last = Unavailable(f"{address} broke the connection off before it said of which swarm it is: {tls.IS_IT_RIGHT}")
            continue
        except ScowError as error:
            last = error
            continue
        if not tls.same_root(root, digest):
            raise InvalidArgument("remote CA does not match fingerprint: the join token is of another swarm, or its root was exchanged")
        found = root
        good.append(address)
    if not found:
        raise last
    return found, good


@dataclass(frozen=True, slots=True)
class Wish:
    """To join the swarm that `token` names, by managers at `remotes` (`host:port`), as a node with the addresses `own`. `asked`: the
    certificate request and its key; a manager that gets it twice takes both for one node."""

    remotes: tuple[str, ...]
    token: str = field(repr=False)
    availability: str
    own: OwnAddresses
    asked: ca.KeyPair


def kept(wish: Wish) -> dict[str, Any]:
    """A wish as it is stored."""
    return asdict(wish)


def read(row: Mapping[str, Any]) -> Wish:
    """A wish as it was stored."""
    own, asked = OwnAddresses(**row["own"]), ca.KeyPair(**row["asked"])
    return Wish(tuple(row["remotes"]), str(row["token"]), str(row["availability"]), own, asked)


class Attempt:
    """The way into a swarm, gone again and again until the node has a certificate or somebody says no. `service.py` stores the wish."""

    def __init__(self, wish: Wish, patient: bool) -> None:
        """`patient`: managers that refuse connections are tried again from the beginning on, for nobody waits for the answer."""
        self.wish = wish
        self.patient = patient
        self.why = ""
        """What it waits for, or why it has ended, for people."""
        self.failed = False
        self.work: asyncio.Task[tuple[str, ScowError | None]] | None = None
        """(the role that the node is to have, None), or why it is no use to try again."""

    async def enter(self) -> NodeState:
        """The state of a worker, which a manager also is at first (`role` says what it is to become). Raises ScowError: it is no use to
        try again."""
        wait = _AGAIN_SECONDS
        while True:
            try:
                return await self._try()
            except (KeyError, TypeError, ValueError, AttributeError):
                raise Internal("what answers as a manager of this swarm was not understood: is it one?") from None
            except Unavailable as error:
                # where there is no manager at all, the address is wrong more often than not
                if not self.patient and not isinstance(error, tls.NoAnswer):
                    raise
                if self.why != error.message:
                    self.why = error.message
                    logger.info("this node waits to join: %s", self.why)
            await asyncio.sleep(wait)
            wait = min(wait * 1.3, _AGAIN_MOST_SECONDS)

    async def _try(self) -> NodeState:
        wish, own = self.wish, self.wish.own
        digest, _ = ca.read_token(wish.token)
        root, good = await root_of(wish.remotes, digest)
        self.patient = True
        body = {"token": wish.token, "request": wish.asked.certificate, "availability": wish.availability, "address": own.data_path}
        async with await leader(good, tls.client(root)) as client:
            answer: dict[str, Any] = await client.call("ca.issue", body)
        if "pending" in answer:
            raise Unavailable(str(answer["pending"]))
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
            key=wish.asked.key,
        )


async def renewed(state: NodeState) -> NodeState:
    """The state with a fresh certificate, for the role that the cluster wishes. Raises ScowError."""
    wanted = ca.new_request(state.node_id)
    async with await leader(state.addresses, tls.client(state.root, state.certificate, state.key)) as client:
        answer = await client.call("ca.renew", {"request": wanted.certificate})
    return with_answer(state, answer, wanted.key)


def with_answer(state: NodeState, answer: dict[str, Any], key: str) -> NodeState:
    """What `ca.renew` answered, in the state."""
    return replace(
        state,
        root=str(answer["roots"]),
        issuer=str(answer["issuer"]),
        certificate=str(answer["certificate"]),
        key=key,
        managers=tuple(f"{id}@{address}" for id, address in answer["managers"]),
    )

"""Makes this host's kernel equal to what the cluster says: tunnels to other hosts, load balancing, published ports. Behind the state, one
run at a time, what changes meanwhile together in the next. `networks.py` says when. Stores nothing.
"""

import asyncio
from collections.abc import Callable, Sequence

from scow import log
from scow.aio import Supervisor, in_pool
from scow.engine_executor import netstate
from scow.errors import ScowError
from scow.network import vxlan
from scow.network.encryption.tunnel import Tunnel
from scow.network.network import Network
from scow.network.service import NetworkService
from scow.swarm.wire import ClusterState

logger = log.get(__name__)

_REST_SECONDS = 0.2


class Programming:
    """Of one host."""

    def __init__(
        self,
        service: NetworkService,
        tunnel: Tunnel,
        state: Callable[[], ClusterState | None],
        serves: netstate.Serves,
        supervisor: Supervisor,
    ) -> None:
        """`state()`: what the cluster says now; `serves(peer)`: whether load may go to it."""
        self._service = service
        self._tunnel = tunnel
        self._state = state
        self._serves = serves
        self._supervisor = supervisor
        self._turn = asyncio.Lock()
        self._due: asyncio.Task[None] | None = None
        self._rested = 0.0  # from then on the kernel is programmed again
        self._led: dict[str, Sequence[vxlan.Far]] = {}  # network → where its tunnel leads now

    def soon(self) -> "asyncio.Task[None]":
        """Something has changed; ends when the kernel has it."""
        if self._due is None or self._due.done():
            self._due = self._supervisor.start(self._when_rested(), "settle")
        return self._due

    async def _when_rested(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(max(self._rested - loop.time(), 0.0))  # while much changes, more of it goes together
            self._due = None  # what changes from here on is due again
            begun = loop.time()
            await self._program(anew=False)
            self._rested = loop.time() + min(loop.time() - begun, _REST_SECONDS)

    async def now(self, anew: bool = False) -> None:
        """Do it at once. `anew`: what the kernel had may be gone."""
        async with self._turn:
            await self._program(anew)

    async def encrypt(self, network: Network) -> None:
        """Have the tunnel before an encrypted network has links that lead into it. Raises ScowError."""
        if network.encrypted:
            await self._tunnel.ensure(int(network.data_path.partition(" ")[0]), vxlan.mtu(network) + vxlan.TUNNEL_BYTES)

    def remade(self, network_id: str) -> None:
        """The links of a network are new: they lead nowhere yet."""
        self._led.pop(network_id, None)

    async def _program(self, anew: bool) -> None:
        state = self._state()
        made = {id: network for id, network in self._service.made.items() if network.driver == netstate.OVERLAY}
        await self._lead(state, made, anew)
        await self._service.balancers.set(netstate.virtuals(state, self._serves) if state is not None else {})
        ingress = next((network.link for network in made.values() if network.ingress), "")
        links = [network.link for network in made.values()]
        await self._service.balancers.mesh(netstate.entries(state, self._serves) if state is not None else (), ingress, links, anew)

    async def _lead(self, state: ClusterState | None, made: dict[str, Network], anew: bool) -> None:
        """Tunnels to the hosts that have a part of each network; the encrypted one first."""
        encrypted = [network for network in made.values() if network.encrypted]
        if anew:
            self._led.clear()
            try:
                for network in encrypted:
                    await self.encrypt(network)
                await self._tunnel.mend()
            except ScowError as error:
                logger.error("encrypted networks lead nowhere now: %s", error.message)
        await self._tunnel.lead(netstate.tunnel_peers(state) if state is not None else (), bool(encrypted))
        ends = netstate.far(state) if state is not None else {}
        for id, network in made.items():
            if self._led.get(id) != (wanted := ends.get(id, [])):
                try:
                    await in_pool(vxlan.lead, network, wanted)
                    self._led[id] = wanted
                except OSError as error:
                    logger.error("the tunnel of network %s cannot be led to other hosts: %s", network.name, error)

"""Making endpoints: addresses, names, MAC address and interface name; pure bookkeeping on the loop. An address is remembered for the
container's next start."""

import dataclasses
from collections import OrderedDict
from collections.abc import Collection

from scow import ids
from scow.errors import Forbidden, NotFound
from scow.model.network import EndpointIPAMConfig, EndpointSettings
from scow.network import checks, osl
from scow.network.endpoint import Endpoint, SandboxRequest
from scow.network.network import Network
from scow.network.store import NetworkStore

_REMEMBERED = 1024


class Endpoints:
    """Takes addresses of networks and gives them back."""

    def __init__(self, networks: NetworkStore) -> None:
        self._networks = networks
        self._last: OrderedDict[tuple[str, str, int], str] = OrderedDict()

    def make(self, request: SandboxRequest, network: Network, asked: EndpointSettings, taken: Collection[str]) -> Endpoint:
        """An endpoint with addresses of its own, which the caller must free if it is not stored; `taken`: names of interfaces."""
        filled = dataclasses.replace(
            asked, network_id=network.id, endpoint_id=ids.new_id(), dns_names=self._dns_names(request, network, asked)
        )
        if not network.attaches:
            return Endpoint(filled.endpoint_id, network.id, network.name, filled)
        wanted = asked.ipam_config or EndpointIPAMConfig()
        addresses = self._networks.addresses(network)
        four = six = ""
        if network.enable_ipv4:
            four, pool = addresses.take(4, wanted.ipv4_address, self._last.get((request.container_id, network.id, 4), ""))
            filled = dataclasses.replace(filled, ip_address=four, ip_prefix_len=pool.network.prefixlen, gateway=network.way_out(pool))
        if network.enable_ipv6:
            try:
                six, pool = addresses.take(6, wanted.ipv6_address, self._last.get((request.container_id, network.id, 6), ""), beside=four)
            except BaseException:
                if four:
                    addresses.free(four)
                raise
            filled = dataclasses.replace(
                filled, global_ipv6_address=six, global_ipv6_prefix_len=pool.network.prefixlen, ipv6_gateway=network.way_out(pool)
            )
        filled = dataclasses.replace(filled, mac_address=asked.mac_address.replace("-", ":").lower() or osl.mac_of(four or six))
        inner = asked.driver_opts.get(checks.IFNAME) or next(
            name for number in range(256) if (name := f"{network.prefix}{number}") not in taken
        )
        if inner in taken:
            self.free(Endpoint(filled.endpoint_id, network.id, network.name, filled), request.container_id)
            raise Forbidden(f"interface name {inner} is in use by another endpoint of the container")
        return Endpoint(filled.endpoint_id, network.id, network.name, filled, inner)

    @staticmethod
    def _dns_names(request: SandboxRequest, network: Network, asked: EndpointSettings) -> list[str]:
        if network.predefined:
            return []
        names = [request.name, *asked.aliases, ids.short(request.container_id), request.hostname]
        return list(dict.fromkeys(name for name in names if name))

    def free(self, endpoint: Endpoint, container_id: str) -> None:
        """Give the addresses back."""
        settings = endpoint.settings
        for version, address in ((4, settings.ip_address), (6, settings.global_ipv6_address)):
            if not address:
                continue
            try:
                self._networks.addresses(self._networks.get(endpoint.network_id)).free(address)
            except NotFound:
                return
            self._last[container_id, endpoint.network_id, version] = address
        while len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)

"""/networks."""

from scow.api.call import Call
from scow.api.params import decode
from scow.api.router import Router
from scow.containers.service import ContainerService
from scow.http.messages import Response
from scow.model.network import NetworkConnect, NetworkCreate, NetworkDisconnect
from scow.network.service import NetworkService

_LIST = {"dangling", "driver", "id", "label", "name", "scope", "type"}
_PRUNE = {"until", "label", "label!"}


def register(router: Router, networks: NetworkService, containers: ContainerService) -> None:
    """Add the routes."""

    async def show(call: Call) -> Response:
        filters = call.query.filters(_LIST)
        await networks.fresh()
        return call.json(networks.list(filters), kind="network.list")

    async def inspect(call: Call) -> Response:
        ref, scope, verbose = call.path["id"], call.query.text("scope"), call.query.flag("verbose", explained=True)
        await networks.fresh("" if scope == "swarm" else ref)
        return call.json(networks.inspect(ref, verbose, scope), kind="network.inspect")

    async def create(call: Call) -> Response:
        request = decode(NetworkCreate, await call.body("network.create"))
        await networks.fresh()
        found, warning = await networks.create(request)
        return call.json({"Id": found, "Warning": warning}, 201)

    async def remove(call: Call) -> Response:
        await networks.fresh(call.path["id"])
        await networks.remove(call.path["id"])
        return Response(204)

    async def connect(call: Call) -> Response:
        request = decode(NetworkConnect, await call.body("network.connect"))
        await networks.fresh(call.path["id"])
        network = networks.get(call.path["id"])
        await containers.connect_network(request.container, network.name, request.endpoint_config)
        return Response(200)

    async def disconnect(call: Call) -> Response:
        request = decode(NetworkDisconnect, await call.body("network.disconnect"))
        network = networks.get(call.path["id"])
        await containers.disconnect_network(request.container, network.name, request.force)
        return Response(200)

    async def prune(call: Call) -> Response:
        filters = call.query.filters(_PRUNE)
        await networks.fresh()
        return call.json(await networks.prune(filters))

    def exposed(call: Call) -> Response:
        return call.json(list(networks.exposed()))

    async def repair(call: Call) -> Response:
        await networks.repair()
        return Response(204)

    router.add("GET", "/scow/exposed", exposed)
    router.add("POST", "/scow/networks/repair", repair)
    router.add("GET", "/networks", show)
    router.add("POST", "/networks/create", create)
    router.add("POST", "/networks/prune", prune, since=25)
    router.add("GET", "/networks/{id}", inspect)
    router.add("DELETE", "/networks/{id}", remove)
    router.add("POST", "/networks/{id}/connect", connect)
    router.add("POST", "/networks/{id}/disconnect", disconnect)

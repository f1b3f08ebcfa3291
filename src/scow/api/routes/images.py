"""/images, local; what needs a registry is in distribution.py."""

from collections.abc import Callable, Sequence

from scow.api import streams
from scow.api.call import Call
from scow.api.router import Router
from scow.api.routes import distribution
from scow.api.routes.distribution import platform_parameter
from scow.errors import InvalidArgument
from scow.http.messages import Response
from scow.images.service import ImageService

_LIST = {"before", "since", "dangling", "label", "label!", "reference", "until"}
_PRUNE = {"dangling", "until", "label", "label!"}


class Routes:
    """Handlers; made once by `register`."""

    def __init__(self, images: ImageService, running: Callable[[], set[str]], registry: distribution.Routes) -> None:
        self._images = images
        self._running = running
        self._registry = registry

    async def list(self, call: Call) -> Response:
        """GET /images/json."""
        query = call.query
        rows = await self._images.list(
            query.boolean("all"),
            query.filters(_LIST),
            shared_size=query.boolean("shared-size") and call.version >= 42,
            digests=query.boolean("digests"),
            manifests=query.boolean("manifests") and call.version >= 47,
        )
        return call.json(rows, kind="image.list")

    def inspect(self, call: Call) -> Response:
        """GET /images/{name}/json."""
        manifests = call.query.boolean("manifests") and call.version >= 48
        platform = platform_parameter(call.query.text("platform")) if call.version >= 49 else ""
        if manifests and platform:
            raise InvalidArgument("conflicting options: manifests and platform options cannot both be set")
        return call.json(self._images.inspect(call.path["name"], manifests, platform), kind="image.inspect")

    def history(self, call: Call) -> Response:
        """GET /images/{name}/history."""
        platform = platform_parameter(call.query.text("platform")) if call.version >= 48 else ""
        return call.json(self._images.history(call.path["name"], platform))

    def tag(self, call: Call) -> Response:
        """POST /images/{name}/tag."""
        self._images.tag(call.path["name"], call.query.text("repo"), call.query.text("tag"))
        return Response(201)

    async def remove(self, call: Call) -> Response:
        """DELETE /images/{name}."""
        query = call.query
        platforms = [platform_parameter(text) for text in query.all("platforms") if text] if call.version >= 50 else []
        force, noprune = query.boolean("force"), query.boolean("noprune")
        return call.json(await self._images.remove(call.path["name"], force, noprune, running=self._running(), platforms=platforms))

    async def prune(self, call: Call) -> Response:
        """POST /images/prune."""
        return call.json(await self._images.prune(call.query.filters(_PRUNE)))

    async def create(self, call: Call) -> None:
        """POST /images/create: pull or import."""
        query = call.query
        source = query.text("fromSrc")
        if query.text("fromImage"):
            await self._registry.pull(call)
            return
        if not source:
            raise InvalidArgument("fromImage or fromSrc is needed")
        lines = self._images.import_(
            call.request.body if source == "-" else source,
            query.text("repo"),
            query.text("tag"),
            query.text("message"),
            query.all("changes"),
            query.text("platform") if call.version >= 32 else "",
        )
        await streams.progress(call, lines)

    async def load(self, call: Call) -> None:
        """POST /images/load."""
        platforms = [platform_parameter(text) for text in call.query.all("platform")] if call.version >= 48 else []
        await streams.progress(call, self._images.load(call.request.body, call.query.boolean("quiet", True), platforms))

    async def save_one(self, call: Call) -> None:
        """GET /images/{name}/get."""
        await self._save(call, [call.path["name"]])

    async def save(self, call: Call) -> None:
        """GET /images/get."""
        names = [name for text in call.query.all("names") for name in text.split(",") if name]
        if not names:
            raise InvalidArgument("no image names given: names=NAME is needed")
        await self._save(call, names)

    async def _save(self, call: Call, names: Sequence[str]) -> None:
        platforms = [platform_parameter(text) for text in call.query.all("platform")] if call.version >= 48 else []
        await streams.send_checked(call, self._images.save(list(names), platforms), streams.TAR)


def register(router: Router, images: ImageService, running: Callable[[], set[str]]) -> None:
    """Add the routes. `running()` gives the ids of running containers."""
    on = Routes(images, running, distribution.register(router, images))
    router.add("GET", "/images/json", on.list)
    router.add("POST", "/images/create", on.create, cancel=True)
    router.add("POST", "/images/load", on.load, cancel=True)
    router.add("POST", "/images/prune", on.prune, since=25)
    router.add("GET", "/images/get", on.save, cancel=True)
    router.add("GET", "/images/{name:path}/get", on.save_one, cancel=True)
    router.add("GET", "/images/{name:path}/json", on.inspect)
    router.add("GET", "/images/{name:path}/history", on.history)
    router.add("POST", "/images/{name:path}/tag", on.tag)
    router.add("DELETE", "/images/{name:path}", on.remove)

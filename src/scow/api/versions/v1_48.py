"""1.48: image descriptors and manifests in replies, image mounts, gateway priorities, /info's firewall."""

from typing import Any

from scow.api.versions._tools import child, endpoints, objects, without
from scow.errors import InvalidArgument


def _container(value: Any) -> Any:
    for item in objects(value):
        item.pop("ImageManifestDescriptor", None)
        for endpoint in endpoints(item):
            endpoint.pop("GwPriority", None)
    return value


def _create(value: Any) -> Any:
    mounts = child(value, "HostConfig").get("Mounts")
    if isinstance(mounts, list) and any(isinstance(mount, dict) and mount.get("Type") == "image" for mount in mounts):
        raise InvalidArgument("Mount type Image needs API v1.48 or newer")
    return value


DOWN = {
    "image.inspect": without("Descriptor", "Manifests"),
    "image.list": without("Descriptor"),
    "container.inspect": _container,
    "container.list": _container,
    "info": without("FirewallBackend"),
}
UP = {"container.create": _create}

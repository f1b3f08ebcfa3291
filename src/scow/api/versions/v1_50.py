"""1.50: image configs lose the fields that never meant anything for an image; /info loses the bridge-nf flags, gains devices."""

from typing import Any

from scow.api.versions._tools import child, default

_EMPTY = {
    "Hostname": "", "Domainname": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False, "Tty": False, "OpenStdin": False,
    "StdinOnce": False, "Image": "", "User": "", "Volumes": None,
}  # fmt: skip


def _image(value: Any) -> Any:
    config = child(value, "Config")
    for name, empty in _EMPTY.items():
        config.setdefault(name, empty)
    return value


def _info(value: Any) -> Any:
    value.pop("DiscoveredDevices", None)
    default(value, "BridgeNfIptables", False)
    default(value, "BridgeNfIp6tables", False)
    return value


DOWN = {"image.inspect": _image, "info": _info}

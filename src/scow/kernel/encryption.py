"""Whether the kernel can encrypt traffic between hosts: IPsec's ESP or WireGuard."""

import contextlib
import socket
from pathlib import Path

_XFRM = 6


def missing() -> str:
    """What overlay networks would need and the kernel lacks, "" when it has one of both."""
    if Path("/sys/module/wireguard").exists():
        return ""
    with contextlib.suppress(OSError), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _XFRM):
        if any(Path(f"/sys/module/{name}").exists() for name in ("esp4", "esp4_offload")):
            return ""
    return "ESP (module esp4) or WireGuard (module wireguard)"

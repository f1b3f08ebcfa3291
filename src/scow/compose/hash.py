"""The hash of a service: what `com.docker.compose.config-hash` of its containers says. Same text, same digest as the compose plugin's, so
that both tools can manage one project in turns. Called by `reconcile.py`, `create.py` and `config --hash`."""

from __future__ import annotations

try:  # hashlib would load OpenSSL: 4 ms
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:  # Python 3.11
    from _sha256 import sha256  # type: ignore[import-not-found]

from scow.compose import emit
from scow.compose.codec import encode
from scow.compose.model.service import Service
from scow.compose.records import replace

# what may change without making a new container
_SKIP = frozenset({"name"})


def text(service: Service) -> str:
    """The JSON that is hashed."""
    deploy = service.deploy
    if deploy is not None:
        deploy = replace(deploy, replicas=None)
    plain = replace(service, build=None, pull_policy="", scale=None, deploy=deploy)
    return emit.json(encode(plain, json=True, skip=_SKIP))


def digest(service: Service) -> str:
    """64 hexadecimal digits."""
    found: str = sha256(text(service).encode("utf-8", "surrogateescape")).hexdigest()
    return found

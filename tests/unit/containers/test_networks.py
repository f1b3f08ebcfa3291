"""Connecting and disconnecting containers that don't run."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scow.containers import networks
from scow.containers.container import Container
from scow.containers.parts import Parts
from scow.errors import Forbidden, InvalidArgument, NotFound
from scow.model.container import ContainerConfig, HostConfig
from scow.model.network import EndpointSettings
from tests.fakes.engine import make_parts


class Networks:
    def get(self, ref: str) -> Any:
        if ref not in ("own", "host"):
            raise NotFound(f"network {ref} not found")
        return SimpleNamespace(name=ref, id=f"id-{ref}")

    def check_endpoint(self, ref: str, settings: EndpointSettings) -> None: ...


def stored(root: Path, mode: str = "bridge") -> tuple[Parts, Container]:
    parts = make_parts(root)
    parts.network = cast(Any, Networks())
    container = Container(
        "a" * 64,
        "web",
        1,
        "sha256:1",
        "box",
        ContainerConfig(),
        HostConfig(network_mode=mode),
        "sh",
        (),
        root,
        root,
        parts.store,
        networks={mode: EndpointSettings()},
    )
    parts.store.reserve("web", container.id)
    parts.store.put(container)
    return parts, container


def test_connect_and_disconnect_change_the_row(tmp_path: Path) -> None:
    parts, container = stored(tmp_path)
    asyncio.run(networks.connect(parts, container, "own", EndpointSettings(aliases=["x"])))
    assert container.networks["own"] == EndpointSettings(aliases=["x"], network_id="id-own")
    row = parts.db.table("containers").get(container.id)
    assert row is not None
    assert set(row["networks"]) == {"bridge", "own"}
    with pytest.raises(Forbidden, match="already exists in network own"):
        asyncio.run(networks.connect(parts, container, "own", None))
    asyncio.run(networks.disconnect(parts, container, "own", force=False))
    assert set(container.networks) == {"bridge"}
    with pytest.raises(Forbidden, match="is not connected to the network own"):
        asyncio.run(networks.disconnect(parts, container, "own", force=False))
    parts.db.close()


@pytest.mark.parametrize(("mode", "ref"), [("host", "own"), ("container:x", "own"), ("bridge", "host")])
def test_refused(tmp_path: Path, mode: str, ref: str) -> None:
    parts, container = stored(tmp_path, mode)
    with pytest.raises(InvalidArgument):
        asyncio.run(networks.connect(parts, container, ref, None))
    parts.db.close()

"""The daemon's start-up budget outside a swarm: what a started one may not have imported; it waits for the first request that needs it."""

import re

import pytest

from tests.support.engine import Engine, can_run

pytestmark = pytest.mark.skipif(bool(can_run()), reason=can_run())

NOT_YET = {
    # the swarm: all of it but the way there
    "scow.swarm.service", "scow.swarm.node", "scow.swarm.manager", "scow.swarm.agent", "scow.swarm.links", "scow.swarm.store",
    "scow.swarm.ca", "scow.swarm.objects", "scow.swarm.specs", "scow.api.routes.swarm", "scow.engine_executor",
    "scow.network.encryption.tunnel",
    # what builds
    "scow.build.buildkit", "scow.build.executor", "scow.build.classic.run", "scow.build.classic.dispatch", "scow.build.dockerfile",
    "scow.build.llb", "scow.build.ops", "scow.build.solver", "scow.build.session",
    # what speaks to registries
    "scow.registry.client",
    # libraries
    "cryptography", "yaml", "google", "hpack", "aiohttp", "bcrypt", "tarfile", "urllib.request", "email", "http.client", "xml",
}  # fmt: skip
_MOST = 270
_LINE = re.compile(r"^import '(\S+)' #", re.MULTILINE)


def test_a_daemon_outside_a_swarm_imports_only_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONVERBOSE", "1")
    engine = Engine()
    try:
        engine.start()  # and asked for /info
        found = set(_LINE.findall(engine.log()))
    finally:
        left = engine.close()
    assert left == []
    assert "scow.containers.service" in found
    assert sorted(name for name in found if any(name == one or name.startswith(one + ".") for one in NOT_YET)) == []
    ours = [name for name in found if name.startswith("scow.")]
    assert len(ours) <= _MOST, f"{len(ours)} modules, more than ever: is one of them for what a daemon rarely does?"

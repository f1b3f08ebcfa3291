"""Downloads that break off: the daemon dies, the credentials of the one who began it end. No byte comes twice, nobody else suffers."""

import asyncio
import gzip
import os
import signal
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from scow.images.service import ImageService
from scow.reference import Reference
from tests.fakes.registry import FakeRegistry, sha256
from tests.integration.registry.test_travel import BIG, LOW, config
from tests.support.asynchronous import until
from tests.support.images import needs_root, service, with_service

pytestmark = needs_root

PULLER = """
    import asyncio, sys
    from pathlib import Path
    from scow.reference import Reference
    from tests.support.images import with_service

    async def pull(images):
        async for line in images.travel().pull(Reference.parse(sys.argv[2]), "", ""):
            pass

    with_service(Path(sys.argv[1]), pull)
"""


def _run(base: Path, use: Callable[[FakeRegistry, ImageService], Awaitable[None]]) -> None:
    async def main(images: ImageService) -> None:
        async with FakeRegistry() as registry:
            await use(registry, images)

    with_service(base, main)


async def _killed(base: Path, registry: FakeRegistry, kept: Path) -> None:
    """A process that pulls a:1 and is killed in the middle of its layer."""
    command = [sys.executable, "-c", textwrap.dedent(PULLER), str(base), f"{registry.address}/a:1"]
    root = str(Path(__file__).parents[3])
    pid = os.posix_spawn(sys.executable, command, {**os.environ, "PYTHONPATH": f"{root}/src:{root}"})
    try:
        await until(lambda: kept.exists() and kept.stat().st_size == 10_000, 60)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_killed_daemon_goes_on_from_the_bytes_it_has(tmp_path: Path) -> None:
    digest = sha256(BIG)
    kept = tmp_path / "content" / "partial" / digest[7:]

    async def main() -> None:
        async with FakeRegistry() as registry:
            registry.put_image("a", "1", config(BIG), [BIG])
            registry.hold[digest] = asyncio.Event()
            await _killed(tmp_path, registry, kept)
            registry.hold.pop(digest).set()
            ranges: list[str] = []

            def note(request: web.Request) -> None:
                if "/blobs/" in request.path:
                    ranges.append(request.headers.get("Range", ""))

            registry.hook = note
            async with service(tmp_path) as images:
                assert images.store.all() == []
                assert images.snapshots.layers() == []
                assert kept.stat().st_size == 10_000
                async for _ in images.travel().pull(Reference.parse(f"{registry.address}/a:1"), "", ""):
                    pass
                assert images.get(f"{registry.address}/a:1").id == sha256(config(BIG))
            assert sorted(ranges) == ["", "bytes=10000-"]  # the config, and the rest of the layer
            assert not kept.exists()

    asyncio.run(main())


def test_a_shared_layer_goes_on_with_the_next_ones_credentials(tmp_path: Path) -> None:
    async def use(registry: FakeRegistry, images: ImageService) -> None:
        digest = sha256(BIG)
        registry.put_image("a", "1", config(BIG), [BIG])
        registry.put_image("b", "1", config(BIG, LOW), [BIG, gzip.compress(LOW, mtime=0)])
        registry.hold[digest] = asyncio.Event()
        registry.cut[digest] = 20_000
        first = images.travel().pull(Reference.parse(f"{registry.address}/a:1"), "", "")
        await anext(first)
        await registry.held.wait()
        second = images.travel().pull(Reference.parse(f"{registry.address}/b:1"), "", "")
        while (await anext(second))["status"] != "Downloading":
            pass

        def refuse(request: web.Request) -> web.Response | None:
            return web.Response(status=403) if "/v2/a/blobs/" in request.path else None

        registry.hook = refuse
        registry.hold.pop(digest).set()
        rest = [line async for line in second]
        assert rest[-1]["status"].startswith("Status: Downloaded")
        assert registry.count(f"/v2/b/blobs/{digest}") == 1
        assert [line async for line in first][-1]["status"].startswith("Status: Downloaded")

    _run(tmp_path, use)

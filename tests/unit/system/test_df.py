import asyncio

from scow.aio import Supervisor
from scow.system.df import Usage


def test_parts_and_one_computation_for_many():
    asked: list[str] = []

    async def main() -> None:
        go = asyncio.Event()

        async def images():
            asked.append("images")
            await go.wait()
            return {"Images": [1], "LayersSize": 5}

        async def containers():
            return [2]

        async def volumes():
            return [3]

        usage = Usage(images, containers, volumes, Supervisor("test"), volumes)
        both = asyncio.gather(usage.document(frozenset({"image"})), usage.document(frozenset({"image", "volume", "build-cache"})))
        while not asked:
            await asyncio.sleep(0)
        go.set()
        first, second = await both
        assert first == {"LayersSize": 5, "Images": [1], "Containers": None, "Volumes": None, "BuildCache": None}
        assert second == {"LayersSize": 5, "Images": [1], "Containers": None, "Volumes": [3], "BuildCache": [3]}
        assert (await usage.document(frozenset({"container"})))["Containers"] == [2]

    asyncio.run(main())
    assert asked == ["images"]

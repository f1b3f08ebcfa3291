"""Waiting for what a client opens a little later than it is asked for. Used by `builds.py` and `registry.py`."""

import asyncio


class Arrivals:
    """Who waits for which id."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    async def wait(self, id: str, seconds: float) -> None:
        """Until `tell` is called for the id. Raises TimeoutError."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(id, [])
        waiting.append(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        finally:
            waiting.remove(future)
            if not waiting and self._waiting.get(id) is waiting:
                del self._waiting[id]

    def tell(self, id: str) -> None:
        """It is there: who waits goes on."""
        for future in self._waiting.get(id, ()):
            if not future.done():
                future.set_result(None)

"""How many helpers stay, whatever becomes of their jobs. What they do: tests/unit/archive/test_{pack,unpack}.py, tests/security."""

import asyncio

import pytest

from scow.archive import workers
from scow.archive.workers import ArchiveError, Workers


class Helper:
    """A helper whose job ends as it is told."""

    living = 0

    def __init__(self) -> None:
        Helper.living += 1

    async def run(self, job, fds):
        if job["job"] == "wait":
            await asyncio.Event().wait()
        return dict(job)

    def alive(self) -> bool:
        return True

    def end(self) -> None:
        Helper.living -= 1


@pytest.mark.parametrize("how", ["well", "badly", "cancelled", "at the end of the engine"])
def test_one_helper_stays_however_a_job_ends(monkeypatch, how):
    """Its socket is there before and after: who counts the daemon's descriptors finds none more."""
    monkeypatch.setattr(workers, "_Helper", Helper)
    monkeypatch.setattr(Helper, "living", 0)

    async def main() -> None:
        pool = Workers()
        pool.warm()
        if how == "well":
            await pool.run({"job": "stat"})
        elif how == "badly":
            with pytest.raises(ArchiveError):
                await pool.run({"job": "stat", "once": True, "error": "malformed"})
        else:
            job = pool._tasks.start(pool.run({"job": "wait"}), "job")
            await asyncio.sleep(0)
            if how == "at the end of the engine":
                pool.close()
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
        assert Helper.living == len(pool._idle) == (how != "at the end of the engine")
        pool.close()
        assert Helper.living == 0

    asyncio.run(main())

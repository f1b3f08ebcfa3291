"""kill -9 at random moments of 200 mixed operations: depends on luck, so it is slow; `SCOW_SEEDS=3,7` picks seeds."""

import os
from pathlib import Path

import pytest

from tests.support.engine import Engine, can_run
from tests.support.storm import Storm, leaks

pytestmark = [pytest.mark.slow, pytest.mark.skipif(can_run() != "", reason=can_run()), pytest.mark.timeout(1200)]
SEEDS = [int(word) for word in os.environ.get("SCOW_SEEDS", "").split(",") if word] or list(range(1, 21))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_of_kills_loses_nothing(seed: int) -> None:
    engine = Engine()
    try:
        engine.start()
        engine.busybox()
        Storm(engine, seed, print).run(int(os.environ.get("SCOW_STORM", "200")))
        engine.clean()
        assert leaks(engine) == []
        traces = [line for line in engine.log().splitlines() if line.startswith(("Traceback", "KeyError", "AssertionError"))]
        assert traces == [], engine.log()[-5000:]
    except BaseException:
        print(engine.log()[-20000:])
        keep = Path("/var/tmp/crash-failures")
        keep.mkdir(exist_ok=True)
        (keep / f"seed-{seed}.log").write_text(engine.log())
        engine.close()
        raise
    assert engine.close() == []

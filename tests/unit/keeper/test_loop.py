"""The loop goes on when a handler fails."""

import os

import pytest

from scow.keeper.loop import IN, Loop


def test_a_failing_handler_ends_neither_loop_nor_others(capsys: pytest.CaptureFixture[str]) -> None:
    loop, (bad, bad_in), (good, good_in) = Loop(), os.pipe(), os.pipe()
    calls = []

    def fail(events: int) -> None:
        calls.append(events)
        raise ValueError("broken")

    def late() -> None:
        raise ValueError("late")

    def done(_events: int) -> None:
        if len(calls) >= 20 and not loop.stopped:
            loop.after(0.01, lambda: setattr(loop, "stopped", True))

    loop.watch(bad, IN, fail)
    loop.watch(good, IN, done)
    loop.after(0, late)
    os.write(bad_in, b"x")
    os.write(good_in, b"x")
    loop.run()
    assert len(calls) == 20, "left alone after so many failures"
    assert "broken" in capsys.readouterr().err
    for fd in (bad, bad_in, good, good_in):
        os.close(fd)

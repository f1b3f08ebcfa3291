"""Versions of the programs below the engine."""

import asyncio
from pathlib import Path

import pytest

from scow.errors import Internal
from scow.system.programs import Programs, parse


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("crun version 1.8.1\ncommit: f8a0\n", "crun 1.8.1"),
        ("runc version 1.1.5+ds1\ncommit: 1\n", "runc 1.1.5+ds1"),
        ("tini version 0.19.0\n", "tini 0.19.0"),
        ("version", ""),
        ("", ""),
    ],
)
def test_parse(output: str, found: str) -> None:
    assert parse(output) == found


def test_a_program_is_asked_once_and_a_bad_one_has_no_version(tmp_path: Path) -> None:
    asked: list[str] = []

    async def run(argv: list[str]) -> tuple[int, bytes, bytes]:
        asked.append(Path(argv[0]).name)
        if argv[0].endswith("bad"):
            raise Internal("it took too long")
        return 0, b"crun version 1.2\n", b""

    for name in ("good", "bad"):
        (tmp_path / name).touch()

    async def use() -> list[str]:
        programs = Programs(run)
        return [await programs.version(str(tmp_path / name)) for name in ("good", "good", "bad", "absent")]

    assert asyncio.run(use()) == ["crun 1.2", "crun 1.2", "", ""]
    assert asked == ["good", "bad"]

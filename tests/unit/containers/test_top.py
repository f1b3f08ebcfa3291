"""top: arguments, reading ps's output, running a host program."""

import asyncio

import pytest

from scow.containers.top import capture, check_args, parse
from scow.errors import Internal, InvalidArgument

OUTPUT = "UID   PID  PPID CMD\nroot    1     0 init x\nroot   22     1 sleep 5 6\nuser  222     1 other\n"


def test_parse_keeps_the_containers_rows_and_joins_the_command() -> None:
    assert parse(OUTPUT, [22]) == {"Titles": ["UID", "PID", "PPID", "CMD"], "Processes": [["root", "22", "1", "sleep 5 6"]]}


def test_output_without_pids_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="Couldn't find PID field"):
        parse("USER CMD\nroot x\n", [1])


def test_arguments() -> None:
    assert check_args("") == ["-ef"] and check_args("-o pid,cmd") == ["-o", "pid,cmd"]
    for bad in ("-o user=PID", "x" * 2000, "-o \0"):
        with pytest.raises(InvalidArgument):
            check_args(bad)


def test_capture() -> None:
    code, out, err = asyncio.run(capture(["sh", "-c", "echo out; echo err >&2; exit 3"]))
    assert (code, out, err) == (3, b"out\n", b"err\n")


def test_capture_is_bounded() -> None:
    with pytest.raises(Internal, match="wrote too much"):
        asyncio.run(capture(["sh", "-c", "while :; do echo xxxxxxxxxxxxxxxx; done"], limit=10_000))
    with pytest.raises(Internal):
        asyncio.run(capture(["/no/such/program"]))

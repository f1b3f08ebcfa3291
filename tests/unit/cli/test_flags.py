"""The grammar of command lines."""

import pytest

from scow.cli.flags import UsageError, describe, parse

FLAGS = (
    ("all", "a", "bool", False, "All"),
    ("tty", "t", "bool", False, "Tty"),
    ("interactive", "i", "bool", False, "In"),
    ("env", "e", "list", (), "Env"),
    ("last", "n", "int", -1, "Last"),
    ("memory", "m", "bytes", 0, "Memory"),
    ("name", "", "string", "", "Name"),
    ("proxy", "", "bool", True, "Proxy"),
    ("wait", "", "duration", 0, "Wait"),
    ("cpus", "", "decimal", 0, "Cpus"),
)


def test_forms():
    options, args = parse(
        FLAGS, ["-ita", "-e", "A=1", "-eB=2", "--env=C=3", "-n5", "img", "--name", "x", "-m=10m", "--proxy=false", "--", "-z"]
    )
    assert args == ["img", "-z"]
    assert all(options.flag(name) for name in ("interactive", "tty", "all")) and not options.flag("proxy")
    assert options.list("env") == ["A=1", "B=2", "C=3"]
    assert (options.number("last"), options.text("name"), options.number("memory")) == (5, "x", 10 << 20)
    assert options.given("name") and not options.given("wait")


def test_not_interspersed():
    options, args = parse(FLAGS, ["-t", "img", "ls", "-a"], interspersed=False)
    assert args == ["img", "ls", "-a"] and options.flag("tty") and not options.flag("all")


def test_defaults_and_values():
    options, _ = parse(FLAGS, ["--cpus", "1.5", "--wait", "1m"])
    assert options.number("last") == -1 and options.flag("proxy") and options.list("env") == []
    assert options.number("cpus") == 1_500_000_000 and options.number("wait") == 60 * 10**9


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["-zq"], "unknown shorthand flag: 'z' in -zq"),
        (["--name"], "flag needs an argument: --name"),
        (["-e"], "flag needs an argument: 'e' in -e"),
        (["-n", "x"], 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'),
        (["--all=maybe"], 'invalid argument "maybe" for "-a, --all" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        (["-m", "x"], 'invalid argument "x" for "-m, --memory" flag: invalid size: \'x\''),
        (["--cpus", "1/0"], 'invalid argument "1/0" for "--cpus" flag: failed to parse 1/0 as a rational number'),
        (["---"], "bad flag syntax: ---"),
    ],
)
def test_errors(argv, message):
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, argv)
    assert caught.value.message == message and caught.value.code == 125


def test_help():
    assert parse(FLAGS, ["--help"])[0].flag("help") and parse(FLAGS, ["-h"])[0].flag("help")
    assert "  -n, --last int        Last (default -1)\n" in describe(FLAGS)

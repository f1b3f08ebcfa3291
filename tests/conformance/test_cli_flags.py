"""Every flag of the reference's table (cli_flags.txt, made from the walked help of docker 28.2.2) is one of the command's, with the
same short form, kind and default; and no command has a visible flag that docker has not."""

from pathlib import Path

import pytest

from scow.cli import flags as flaglib
from scow.cli.commands.builder.build import BUILDKIT_FLAGS
from scow.cli.table import COMMANDS, load

TABLE = {
    name: words.split()
    for name, _, words in (line.partition("\t") for line in (Path(__file__).parent / "cli_flags.txt").read_text().splitlines())
}
KINDS = {
    "": {"bool"},
    "str": {"string"},
    "str[]": {"strings", "stringArray", "list"},
    "list": {"list", "stringArray", "strings"},
    "map": {"map", "list"},
    "filter": {"filter", "list"},
    "int": {"int"},
    "dur": {"duration"},
    "bytes": {"bytes", "swap"},
    "uint": {"uint"},
    "uint16": {"uint16"},
    "uint32": {"uint32", "uint"},
    "decimal": {"decimal"},
    "float": {"float"},
    "k=v": {"stringArray"},
    "k": {"stringArray"},
}
SAMPLES = {
    "int": "3",
    "uint": "3",
    "uint16": "30",
    "bytes": "8m",
    "swap": "8m",
    "duration": "3s",
    "decimal": "1.5",
    "float": "0.5",
    "bool": "true",
    "filter": "a=b",
}
# scow's own: nothing that docker's command line accepts changes its meaning
OWN = {
    "image ls": {"tree"},
    "inspect": {"show-secrets"},
    "container inspect": {"show-secrets"},
    "image build": {flag[0] for flag in BUILDKIT_FLAGS},
    "builder prune": {"max-used-space", "min-free-space", "reserved-space"},
    "stack deploy": {"dry-run"},
}
KNOWN = sorted(name for name in TABLE if name in COMMANDS)


def _wanted(word: str) -> tuple[str, str, str, str]:
    """(name, short, kind, default) of `-n,--last:int=-1`."""
    left, _, default = word.partition("=")
    left, _, kind = left.partition(":")
    short, _, name = left.rpartition(",")
    return name.removeprefix("--"), short.removeprefix("-"), kind, default


def _default(value: object) -> str:
    if value is True:
        return "true"
    return "" if value in (False, None, (), 0) else str(value)


@pytest.mark.parametrize("name", KNOWN)
def test_flags_are_dockers(name: str) -> None:
    command = load(name)
    ours = {flag[0]: flag for flag in command.flags}
    wanted = {one[0]: one for one in map(_wanted, TABLE[name])}
    assert sorted(set(wanted) - set(ours)) == [], "missing"
    shown = {flag[0] for flag in command.flags if flag[4]}
    assert sorted(shown - set(wanted) - OWN.get(name, set())) == [], "docker has no such flag"
    for flag, short, kind, default in wanted.values():
        assert ours[flag][1] == short, flag
        assert ours[flag][2] in KINDS.get(kind, {kind, "string", "list"}), flag
        said = ours[flag][4].endswith((f"(default {default})", f'(default "{default}")'))  # the engine's default: not sent
        assert said or _default(ours[flag][3]) == default, flag


@pytest.mark.parametrize("name", KNOWN)
def test_flags_are_parsed_in_every_spelling(name: str) -> None:
    command = load(name)
    for flag, short, kind, _, _ in command.flags:
        value = SAMPLES.get(kind, "x")
        spellings = [[f"--{flag}={value}"]] + ([[f"-{short}={value}"]] if short else [])
        if kind == "bool":
            spellings.append([f"--{flag}"])
        else:
            spellings += [[f"--{flag}", value]] + ([[f"-{short}", value], [f"-{short}{value}"]] if short else [])
        for words in spellings:
            options, rest = flaglib.parse(command.flags, words, command.interspersed)
            assert options.given(flag) and not rest
    with pytest.raises(flaglib.UsageError, match="unknown flag: --no-such-flag"):
        flaglib.parse(command.flags, ["--no-such-flag"], command.interspersed)

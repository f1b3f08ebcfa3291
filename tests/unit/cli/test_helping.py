"""Help: every command has an example, lines fit the terminal, groups are docker's."""

import pytest

from scow.cli import flags, helping
from scow.cli.examples import EXAMPLES
from scow.cli.table import COMMANDS, NOT_YET, find, load


def test_examples_are_commands_that_parse():
    for name, lines in EXAMPLES.items():
        for line in lines:
            import shlex

            words = shlex.split(line.replace("$(", "'$(").replace(")", ")'") if "$(" in line else line)
            found, rest = find(words)
            assert found == name, (name, line, found)
            if name in COMMANDS:
                stop = next((at for at, word in enumerate(rest) if word in ("|", "<", ">")), len(rest))
                flags.parse(load(name).flags, rest[:stop], load(name).interspersed)
            else:
                assert name in NOT_YET


def test_the_overview_is_grouped():
    text = helping.overview()
    for title in ("Common Commands:", "Management Commands:", "Swarm Commands:", "Commands:", "Global Options:"):
        assert f"\n{title}\n" in text
    assert text.index("  run ") < text.index("Management Commands:") < text.index("  network ")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_lines_fit(monkeypatch, columns):
    monkeypatch.setattr(helping, "width", lambda: columns)
    command = load("container run")
    text = helping.command(command, "container run", "Usage:  scow run")
    options = text.partition("\nOptions:\n")[2]
    if columns >= 80:
        assert max(map(len, options.splitlines())) <= columns
    assert "\nExamples:\n  scow run --rm -it busybox sh\n" in text and "  scow container run, scow run\n" in text


def test_wrap():
    assert flags.wrap("aaaa bbbb cccc dddd eeee", 16, 2) == "aaaa bbbb cccc\n  dddd eeee"
    assert flags.wrap("short", 16, 2) == "short" and flags.wrap("x " * 30, 5, 2) == "x " * 30

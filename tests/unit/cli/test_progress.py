"""Bars."""

from scow.cli.progress import Meter, line


def test_a_line_with_and_without_a_total() -> None:
    assert line("Loading", 5_000_000, 10_000_000, 1.0, 100) == "Loading [===============>              ]  50%  5MB/10MB  5MB/s"
    assert line("Saving", 5_000_000, 0, 0.1, 100) == "Saving  5MB"
    assert line("Loading", 20, 10, 0.1, 100) == "Loading [" + "=" * 30 + "] 100%  20B/10B"


def test_a_narrow_terminal_gets_less() -> None:
    assert line("Loading", 5_000_000, 10_000_000, 1.0, 30) == "Loading  5MB"
    assert line("Loading", 5_000_000, 10_000_000, 1.0, 6) == "Loadi"


def test_nothing_is_drawn_where_there_is_no_terminal(capfd) -> None:
    with Meter("Loading", 10) as meter:
        assert list(meter.watch([b"ab", b"c"])) == [b"ab", b"c"] and meter.done == 3
    assert capfd.readouterr() == ("", "")

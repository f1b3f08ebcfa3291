"""Names and numbers of signals."""

import pytest

from scow.containers import signals
from scow.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "number"), [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigusr1", 10), ("2", 2), ("RTMIN+3", 37), ("SIGRTMAX-2", 62)]
)
def test_known(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize("text", ["NONSENSE", "SIGNONSENSE", "100", "-1", "0", "", "²", "9" * 5000])
def test_unknown(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"(?i)invalid signal"):
        signals.parse(text)


def test_of_a_container() -> None:
    assert (signals.of_container(""), signals.of_container("SIGQUIT"), signals.of_container("nonsense")) == (15, 3, 15)

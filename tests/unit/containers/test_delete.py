"""Removal: the parts that test_service doesn't show."""

from pathlib import Path

import pytest

from scow.containers.delete import prune_until, remove_tree
from scow.errors import InvalidArgument
from scow.filters import Filters


def test_until_of_a_prune() -> None:
    accepted = {"until"}
    assert prune_until(Filters.parse("", accepted)) is None
    assert prune_until(Filters.parse('{"until":["5"]}', accepted)) == 5_000_000_000
    with pytest.raises(InvalidArgument, match="more than one until"):
        prune_until(Filters.parse('{"until":["5","6"]}', accepted))


def test_an_absent_tree_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []

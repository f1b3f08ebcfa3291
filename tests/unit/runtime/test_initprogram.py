"""Finding the program for --init."""

import pytest

from scow.errors import Unsupported
from scow.runtime import initprogram


def test_find(tmp_path):
    with pytest.raises(Unsupported, match="tini"):
        initprogram.find((str(tmp_path / "none"),))
    (tmp_path / "tini").touch(0o755)
    assert initprogram.find((str(tmp_path / "none"), str(tmp_path / "tini"))) == str(tmp_path / "tini")

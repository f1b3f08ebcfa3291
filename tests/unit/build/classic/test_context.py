"""Finding the Dockerfile of a context that may be hostile."""

from pathlib import Path

import pytest

from scow.build.classic.context import locate
from scow.errors import InvalidArgument


def test_the_dockerfile_is_found_by_its_usual_names(tmp_path: Path) -> None:
    (tmp_path / "dockerfile").write_text("FROM a\n")
    assert locate(tmp_path, "") == ("dockerfile", "FROM a\n")
    (tmp_path / "Dockerfile").write_text("FROM b\n")
    assert locate(tmp_path, "") == ("Dockerfile", "FROM b\n")


def test_by_another_name_in_a_folder_and_behind_a_link_inside(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "Other").write_text("FROM a\n")
    (tmp_path / "link").symlink_to("/x/Other")
    assert locate(tmp_path, "x/Other")[1] == "FROM a\n"
    assert locate(tmp_path, "./x//Other")[0] == "x/Other"
    assert locate(tmp_path, "link")[1] == "FROM a\n"


@pytest.mark.parametrize("wanted", ["../secret", "/etc/passwd", "a/../../secret", "none", "folder", "out"])
def test_nothing_outside_is_read(tmp_path: Path, wanted: str) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "secret").write_text("FROM secret\n")
    (root / "out").symlink_to("../secret")
    with pytest.raises(InvalidArgument):
        locate(root, wanted)


def test_an_empty_one_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("  \n")
    with pytest.raises(InvalidArgument, match="cannot be empty"):
        locate(tmp_path, "")

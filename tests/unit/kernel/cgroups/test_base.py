"""Reading control files."""

from scow.kernel.cgroups import base as manager


def test_files(tmp_path):
    (tmp_path / "n").write_text("max\n")
    (tmp_path / "odd").write_text("x")
    (tmp_path / "t").write_text("a 1\nb -1\nc d\n")
    assert (
        manager.number(tmp_path / "n") == (1 << 64) - 1
        and manager.number(tmp_path / "odd", 5) == 5
        and manager.number(tmp_path / "none") == 0
    )
    assert manager.table(tmp_path / "t") == {"a": 1, "b": -1} and manager.table(tmp_path / "none") == {}


def test_removal_goes_from_the_leaves(tmp_path):
    (tmp_path / "a/b/c").mkdir(parents=True)
    manager.remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    manager.remove_tree(tmp_path / "a")

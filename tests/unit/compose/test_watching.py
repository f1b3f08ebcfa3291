"""`develop.watch`: what of changed files is seen, by the kernel's news and without it."""

import errno
import os
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from scow.compose import watching
from scow.compose.model.build import Build
from scow.compose.model.project import Project
from scow.compose.model.service import Develop, Service, Watch
from scow.compose.watching import News, Rule, archive, rules


def made(path: Path, **more: object) -> list[Rule]:
    watch = Watch(path=str(path), action="sync", target="/app", **more)  # type: ignore[arg-type]
    service = Service(name="web", image="x", build=Build(context=str(path)), develop=Develop(watch=(watch,)))
    return rules(Project(name="p", services={"web": service}), [])


def test_what_changes_goes_and_turns_into_something_else(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("same", "changed", "gone", "sub/deep", "kind"):
        (tmp_path / name).write_text("x")
    (rule,) = made(tmp_path)
    assert rule.changes() == ([], [])
    (tmp_path / "changed").write_text("longer")
    (tmp_path / "new").symlink_to("same")
    (tmp_path / "gone").unlink()
    (tmp_path / "sub/deep").unlink()
    (tmp_path / "sub").rmdir()
    (tmp_path / "kind").unlink()
    (tmp_path / "kind").mkdir()
    changed, gone = rule.changes()
    assert [os.path.basename(path) for path in changed] == ["changed", "kind", "new"]
    assert [os.path.relpath(path, tmp_path) for path in gone] == ["gone", "kind", "sub", "sub/deep"]
    with tarfile.open(fileobj=BytesIO(archive(rule, changed))) as tar:
        kinds = {one.name: one.type for one in tar}
    assert kinds == {"app/changed": tarfile.REGTYPE, "app/kind": tarfile.DIRTYPE, "app/new": tarfile.SYMTYPE}
    assert rule.changes() == ([], [])


def test_ignored_and_included_files(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("build\n")
    (rule,) = made(tmp_path, ignore=("*.log",), include=("*.py", "**/*.py"))
    for name in ("build", "src", ".git"):
        (tmp_path / name).mkdir()
    for name in ("build/x.py", "a.log", "a.py", "src/b.py", "src/c.txt", ".git/d.py"):
        (tmp_path / name).write_text("")
    assert [os.path.relpath(path, tmp_path) for path in rule.changes()[0]] == ["a.py", "src/b.py"]
    assert {os.path.relpath(path, tmp_path) for path in rule.folders()} == {".", "src"}


def test_initial_sync_is_for_rules_that_sync(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert made(tmp_path, initial_sync=True)[0].changes()[0]
    assert not made(tmp_path)[0].changes()[0]


def test_the_kernel_tells_also_of_folders_that_are_new(tmp_path: Path) -> None:
    found = made(tmp_path)
    news = News(found)
    assert news.why == ""
    assert news.wait(0) == []
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("")
    assert news.wait(30) == found
    assert [os.path.relpath(path, tmp_path) for path in found[0].changes()[0]] == ["a", "a/b", "a/b/c"]
    (tmp_path / "a/b/c").write_text("more")
    assert news.wait(30) == found
    assert found[0].changes()[0] == [str(tmp_path / "a/b/c")]
    news.close()


def test_a_file_that_is_replaced_and_a_path_that_comes_later(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("1")
    (one,) = made(tmp_path / "conf")
    (other,) = made(tmp_path / "later/on")
    news = News([one, other])
    (tmp_path / "new").write_text("2")
    (tmp_path / "new").rename(tmp_path / "conf")
    assert one in news.wait(30)
    assert one.changes() == ([str(tmp_path / "conf")], [])
    assert one.target(str(tmp_path / "conf")) == "/app"
    (tmp_path / "later/on").mkdir(parents=True)
    assert other in news.wait(30)
    (tmp_path / "later/on/file").write_text("")
    assert other in news.wait(30)
    assert [os.path.basename(path) for path in other.changes()[0]] == ["file"]
    news.close()


@pytest.mark.parametrize(("number", "word"), [(errno.ENOSPC, "max_user_watches"), (errno.EMFILE, "max_user_instances")])
def test_without_watches_it_looks_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, word: str) -> None:
    def refuse(self: object, folder: str = "") -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(watching.Inotify, "add", refuse)
    found = made(tmp_path)
    news = News(found)
    assert word in news.why
    (tmp_path / "a").write_text("")
    assert news.wait() == found
    assert found[0].changes()[0] == [str(tmp_path / "a")]


def test_file_systems_of_other_machines_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "REMOTE", ("proc",))
    assert "/proc/self is on a file system (proc)" in watching._remote(["/proc/self"])

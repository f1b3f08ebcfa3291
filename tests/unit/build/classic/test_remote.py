"""Addresses of remote contexts."""

import pytest

from scow.build.classic.remote import file_name, is_git, is_url, split_git
from scow.errors import InvalidArgument


@pytest.mark.parametrize(
    ("address", "git"),
    [
        ("git://host/repo", True),
        ("https://host/repo.git", True),
        ("https://host/repo.git#main:sub", True),
        ("git@host:repo", True),
        ("github.com/a/b", True),
        ("https://host/context.tar", False),
        ("https://host/repo.gitx", False),
        ("./repo.git", False),
    ],
)
def test_git_addresses(address: str, git: bool) -> None:
    assert is_git(address) is git


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("git://h/r", ("git://h/r", "", "")),
        ("git://h/r#v1", ("git://h/r", "v1", "")),
        ("git://h/r#v1:a/b", ("git://h/r", "v1", "a/b")),
        ("git://h/r#:a", ("git://h/r", "", "a")),
        ("github.com/a/b", ("https://github.com/a/b", "", "")),
    ],
)
def test_parts_of_a_git_address(address: str, parts: tuple[str, str, str]) -> None:
    assert split_git(address) == parts


@pytest.mark.parametrize("ref", ["--upload-pack=x", "-x", "a b", "a;b"])
def test_a_reference_is_never_taken_for_an_option(ref: str) -> None:
    with pytest.raises(InvalidArgument):
        split_git(f"git://h/r#{ref}")


def test_names_of_downloads() -> None:
    assert file_name("http://h/a/b.txt?x=1#f") == "b.txt"
    assert file_name("http://h/a/%2e%2e") == ""
    assert file_name("http://h/a/") == ""
    assert is_url("https://x")
    assert not is_url("ftp://x")

"""Addresses and refs of git repositories that would be something else to the program git."""

from types import SimpleNamespace
from typing import Any

import pytest

from scow.build.llb.ops import SourceOp
from scow.build.ops.git import Git
from scow.errors import InvalidArgument


def git(identifier: str, **attrs: str) -> Any:
    return Git(SimpleNamespace(), SourceOp("git://" + identifier, {f"git.{key}": value for key, value in attrs.items()}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "identifier",
    [
        "example.com/r#--upload-pack=touch /x",
        "example.com/r#-c",
        "example.com/r#a b",
        "example.com/r#a\nb",
        "example.com/r#../../x;y",
        "example.com/r#refs/heads/$(id)",
        "example.com/r#" + "a" * 300,
    ],
)
def test_refs_that_are_none(identifier: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid git reference"):
        git(identifier)._check()


@pytest.mark.parametrize(
    "url", ["ext::sh -c id", "file:///etc", "/etc", "--upload-pack=x", "-oProxyCommand=x@h:y", "https://h/a b", "fd::17"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid address"):
        git("example.com/r", fullurl=url)._check()


@pytest.mark.parametrize("identifier", ["example.com/r#v1.2", "example.com/r#refs/pull/1/head:sub", "example.com/r", "example.com/r#:sub"])
def test_refs_that_are_some(identifier: str) -> None:
    git(identifier)._check()


def test_checksums() -> None:
    with pytest.raises(InvalidArgument, match="invalid git checksum"):
        git("example.com/r", checksum="HEAD")._check()

"""Image names."""

import pytest

from scow.errors import InvalidArgument
from scow.reference import Reference, parse_normalized

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("me/app:1.0", "docker.io/me/app:1.0", "me/app:1.0"),
        ("localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"),
        ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
        (f"quay.io/x/y@{DIGEST}", f"quay.io/x/y@{DIGEST}", f"quay.io/x/y@{DIGEST}"),
        ("index.docker.io/library/a", "docker.io/library/a:latest", "a:latest"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
    ],
)
def test_names(text, full, familiar):
    found = parse_normalized(text)
    assert (found.full(), found.familiar()) == (full, familiar)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER",
        "a//b",
        "a:",
        "a:b:c",
        "a@sha256:1",
        "a b",
        "-a",
        "a/../b",
        "a" * 2000,
        "a" * 300,
        "f" * 64,
        "a:" + "b" * 129,
        "a\n",
        "é",
        "/a",
        "a/",
    ],
)
def test_bad_names(text):
    with pytest.raises(InvalidArgument):
        Reference.parse(text)


def test_tags():
    assert Reference.parse("a").tag == ""
    assert Reference.parse("a:1").with_tag("2").familiar() == "a:2"

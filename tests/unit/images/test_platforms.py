"""Platforms in words and as JSON."""

import pytest

from scow.errors import InvalidArgument
from scow.images.platforms import Platform, host_platform, parse_platform


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linux/arm64", Platform("linux", "arm64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("arm64", Platform("linux", "arm64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ('{"os": "linux", "architecture": "s390x"}', Platform("linux", "s390x")),
        ("linux", Platform("linux", host_platform().architecture)),
    ],
)
def test_parse(text, found):
    assert parse_platform(text) == found


@pytest.mark.parametrize("text", ["a/b/c/d", "linux/", "nosuch", "{", '{"os": 7, "architecture": "x"}', "li nux/amd64"])
def test_bad(text):
    with pytest.raises(InvalidArgument):
        parse_platform(text)

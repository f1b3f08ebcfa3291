"""Names, paths and patterns."""

import time

import pytest

from scow.errors import InvalidArgument
from scow.registryd.names import Route, check_pattern, matches, route, valid_name, valid_tag

D = "sha256:" + "a" * 64
U = "0" * 32


@pytest.mark.parametrize("name", ["a", "a/b", "a.b-c_d__e/f--g", "0", "docker.io/library/x", "a" * 255, "blobs/uploads", "v2/manifests"])
def test_names(name):
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", "A", "a/", "/a", "a//b", "-a", "a-", "a..b", "a___b", "a b", "ä", "a:b", "a\n", "../a", "a" * 256])
def test_names_that_are_none(name):
    assert not valid_name(name)


def test_tags():
    assert valid_tag("v1.0_x-Y") and valid_tag("_") and valid_tag("a" * 128)
    assert not any(map(valid_tag, ["", ".a", "-a", "a" * 129, "a b", "a/b", "v1\n"]))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/", Route("ping")),
        ("/v2", Route("ping")),
        ("/v2/_catalog", Route("catalog")),
        ("/v2/a/tags/list", Route("tags", "a")),
        ("/v2/tags/list/tags/list", Route("tags", "tags/list")),
        ("/v2/a/b/manifests/v1", Route("manifest", "a/b", "v1")),
        ("/v2/a/manifests/" + D.replace(":", "%3A"), Route("manifest", "a", D)),
        ("/v2/manifests/manifests/v1", Route("manifest", "manifests", "v1")),
        ("/v2/a/blobs/" + D, Route("blob", "a", D)),
        ("/v2/a/blobs/uploads", Route("uploads", "a")),
        ("/v2/a/blobs/uploads/", Route("uploads", "a")),
        ("/v2/a/blobs/uploads/" + U, Route("upload", "a", U)),
        ("/v2/blobs/uploads/blobs/uploads/", Route("uploads", "blobs/uploads")),
        ("/v2/a/referrers/" + D, Route("referrers", "a", D)),
        ("/v2/a", None),
        ("/v1/", None),
        ("/v2/a/b/c/d", None),
    ],
)
def test_routes(path, expected):
    assert route(path) == expected


def test_patterns():
    assert (
        matches("**", "a/b/c") and matches("a/**", "a/b/c") and matches("a/**", "a") and matches("a/*", "a/b") and matches("v?.*", "v1.2")
    )
    assert not (matches("a/*", "a/b/c") or matches("a/**", "ab") or matches("a", "ab") or matches("a.c", "abc") or matches("*", "a/b"))
    assert matches("a*c", "abc") and matches("*/b", "a/b") and matches("a**z", "a/x/z") and matches("a*", "a") and not matches("?", "/")
    for pattern in ("**", "docker.io/**", "a-?/b*c", "*-x"):
        assert check_pattern(pattern) == pattern
    for pattern in ("", "a b", "*" * 9, "a" * 256, "a\n", "A/**", "a/../b", "%2f", "{a,b}", "[ab]", "/a", "a//b"):
        with pytest.raises(InvalidArgument):
            check_pattern(pattern)
    assert check_pattern("V*..x", tags=True)
    for pattern in ("a/b", "", "{a,b}", ".x"):
        with pytest.raises(InvalidArgument):
            check_pattern(pattern, tags=True)


def test_a_hostile_pattern_is_quick():
    begun = time.monotonic()
    assert not matches("**a" * 4, "a" * 254 + "b")
    assert not matches("*a" * 8, "a" * 254 + "b")
    assert time.monotonic() - begun < 20

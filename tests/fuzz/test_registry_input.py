"""What the registry server reads from strangers: paths, manifests, tokens, headers. Refusals only, and names that stay names."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scow.registryd import bearer, manifest, names
from scow.registryd.access import _basic
from scow.registryd.ask import fields
from scow.registryd.errors import Refused

QUICK = settings(max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
PARTS = st.sampled_from(
    [
        "v2",
        "",
        "a",
        "..",
        ".",
        "%2e%2e",
        "%2f",
        "blobs",
        "uploads",
        "manifests",
        "tags",
        "list",
        "referrers",
        "_catalog",
        "A",
        "sha256:" + "0" * 64,
        "0" * 32,
        "%00",
        "\\",
        "a%0ab",
        "v1",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.just("sha256:" + "1" * 64),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "digest", "size", "urls", "annotations", "x"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@QUICK
@given(st.lists(PARTS | st.text(max_size=12), max_size=10))
def test_paths(parts):
    try:
        found = names.route("/" + "/".join(parts))
    except Refused:
        return
    if found is not None:
        assert found.name == "" or (names.valid_name(found.name) and ".." not in found.name.split("/"))
        assert re.fullmatch(r"[A-Za-z0-9_.:-]*", found.reference) and "/" not in found.reference


@QUICK
@given(JSON, st.sampled_from(["", *manifest.KINDS, "application/json", "x"]))
def test_manifests(document, kind):
    try:
        parsed = manifest.parse(json.dumps(document).encode(), kind)
    except Refused:
        return
    assert all(names.valid_digest(child.digest) for child in parsed.children)
    manifest.platform_child(json.dumps(document).encode())


@QUICK
@given(st.binary(max_size=200))
def test_bytes_as_manifests(data):
    with pytest.raises(Refused):
        manifest.parse(data, "")
    assert manifest.platform_child(data) == ""


@QUICK
@given(st.text(max_size=100))
def test_credentials_and_queries(text):
    assert bearer.verify(b"key", text, "x") is None
    user, password = _basic(text)
    assert isinstance(user, str) and isinstance(password, str)
    assert all(isinstance(key, str) for key in fields(text))


@QUICK
@given(st.text(alphabet="a/*?b", max_size=12), st.text(alphabet="ab/", max_size=8))
def test_patterns_mean_what_the_slow_way_says(pattern, name):
    if pattern.endswith("/**") and name == pattern[:-3]:
        return
    expression = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    assert names.matches(pattern, name) == (re.fullmatch(expression, name) is not None)

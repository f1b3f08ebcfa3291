"""Names, ids and what they lead to; configs that others wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.content import ContentStore
from scow.errors import InvalidArgument, NotFound
from scow.images.store import ImageStore, chain_ids, parse_spec
from scow.metadata import Database
from scow.reference import parse_normalized
from tests.support.tars import config


@pytest.fixture
def store(tmp_path):
    return ImageStore(Database(tmp_path / "meta.db"), ContentStore(tmp_path / "content"))


def add(store, number, *names):
    data = config(created=f"2020-01-0{number}T00:00:00Z")
    id = store._content.put(data)
    store.add(id, parse_spec(data), number, 1)
    for name in names:
        store.name(id, parse_normalized(name), 5)
    return id


def test_every_form_finds_the_image(store):
    id = add(store, 1, "a/b:v", "localhost:5000/c")
    for ref in (id, id[7:], id[7:19], "sha256:" + id[7:19], "a/b:v", "docker.io/a/b:v", "localhost:5000/c:latest", "localhost:5000/c"):
        assert store.find(ref).id == id, ref
    assert store.find(id).tags == ("a/b:v", "localhost:5000/c:latest")


@pytest.mark.parametrize(
    ("ref", "text"), [("none", "none:latest"), ("a:b", "a:b"), ("sha256:" + "0" * 64, "sha256:" + "0" * 64), ("abcdef", "abcdef:latest")]
)
def test_unknown_names(store, ref, text):
    with pytest.raises(NotFound, match=f"No such image: {text}$"):
        store.find(ref)


def test_a_malformed_name(store):
    with pytest.raises(InvalidArgument):
        store.find("Not Valid")


def test_a_name_moves(store):
    one, two = add(store, 1, "n"), add(store, 2)
    assert store.name(two, parse_normalized("n"), 7) == one
    assert store.find("n").id == two
    assert store.find(one).tags == ()
    again = ImageStore(store._db, store._content)
    assert again.find("n").id == two
    assert again.find(two).tagged_ns == 7


def test_a_damaged_config_leaves_the_others_usable(store, tmp_path):
    one, two = add(store, 1, "one"), add(store, 2, "two")
    store._content.path(one).write_bytes(b"junk")
    again = ImageStore(store._db, store._content)
    assert again.find("two").id == two
    assert again.rows() == {one, two}
    with pytest.raises(NotFound):
        again.find("one")


def test_chain_ids():
    first, second = chain_ids(["sha256:" + "a" * 64, "sha256:" + "b" * 64])
    assert first == "sha256:" + "a" * 64
    assert second not in (first, "sha256:" + "b" * 64)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
PARTS = st.dictionaries(st.sampled_from(["Cmd", "Env", "Labels", "diff_ids", "Healthcheck"]), JSON)
KEYS = ["config", "rootfs", "history", "created", "architecture"]


@given(
    st.dictionaries(
        st.sampled_from(KEYS), JSON | st.dictionaries(st.sampled_from(["Cmd", "Env", "Labels", "diff_ids", "Healthcheck"]), JSON)
    )
)
def test_no_config_surprises(document):
    try:
        parse_spec(json.dumps(document).encode())
    except InvalidArgument:
        pass

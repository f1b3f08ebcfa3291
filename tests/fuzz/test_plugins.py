"""Whatever a plugin answers: an error in words, or facts that can be stored and shown."""

import json
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from scow.errors import ScowError
from scow.plugins.registry import parse_json
from scow.plugins.remote import Plugin
from scow.volumes import remote
from scow.volumes.local import network_address, parse_options

KEYS = st.sampled_from(["Name", "Mountpoint", "Status", "CreatedAt", "Err", "Addr", "TLSConfig"]) | st.text(max_size=5)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(data=st.binary(max_size=200) | ANY.map(lambda value: json.dumps(value).encode()), status=st.sampled_from([200, 404, 500]))
def test_replies(data, status):
    try:
        answer = Plugin("p", "unix:///p")._parse("VolumeDriver.Get", status, data)
    except ScowError as error:
        words = error.message
    else:
        found = remote._found(answer)
        words = orjson.dumps([found.name, found.mountpoint, found.created_ns, found.status]).decode()
    assert len(words.encode()) < 8000


@given(data=st.binary(max_size=100) | ANY.map(lambda value: json.dumps(value).encode()))
def test_files(data):
    try:
        place = parse_json(Path("/x.json"), data)
    except ScowError:
        return
    assert place.address.startswith(("unix://", "tcp://", "http://", "https://"))


@given(text=st.text(max_size=60), device=st.text(max_size=30))
def test_options_of_local_volumes(text, device):
    flags, data, spread = parse_options(text)
    assert flags >= 0 and spread >= 0 and isinstance(data, str)
    assert network_address("tmpfs", device, data) == data

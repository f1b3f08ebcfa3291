"""Where plugins are found."""

import asyncio
import json

import pytest

from scow.errors import InvalidArgument, NotFound, ScowError
from scow.plugins.registry import Place, Plugins, parse_json
from tests.fakes.volume_plugin import FakePlugin


def get(plugins, name, capability="VolumeDriver"):
    async def go():
        try:
            return (await plugins.get(name, capability)).address
        finally:
            await plugins.close()

    return asyncio.run(go())


@pytest.fixture
def fake(tmp_path):
    made = FakePlugin(tmp_path / "elsewhere.sock", tmp_path / "files")
    yield made
    made.close()


def test_sockets_specs_and_json(tmp_path, fake):
    other = FakePlugin(tmp_path / "run" / "deep" / "deep.sock", tmp_path / "files")
    specs = tmp_path / "etc"
    specs.mkdir()
    address = f"unix://{tmp_path}/elsewhere.sock"
    (specs / "one.spec").write_text(address + "\n")
    (specs / "two.json").write_text(json.dumps({"Name": "two", "Addr": address}))
    (specs / "README").write_text("")
    plugins = Plugins(tmp_path / "run", (specs, tmp_path / "absent"))
    assert plugins.names() == ["deep", "one", "two"]
    assert get(plugins, "one") == get(plugins, "two") == address
    assert get(plugins, "deep").endswith("/deep/deep.sock")
    other.close()


@pytest.mark.parametrize("name", ["absent", "../elsewhere", "a/b", "", ".", "x" * 300, "a\nb"])
def test_names_nobody_has(tmp_path, fake, name):
    with pytest.raises(NotFound, match="not found"):
        get(Plugins(tmp_path, (tmp_path,)), name)


def test_another_capability(tmp_path, fake):
    with pytest.raises(NotFound, match="it is no NetworkDriver"):
        get(Plugins(tmp_path, ()), "elsewhere", "NetworkDriver")


@pytest.mark.parametrize("text", ["", "nonsense", "unix://", "tcp://host", "file:///etc/passwd", "http://[::1"])
def test_files_without_an_address(tmp_path, text):
    (tmp_path / "bad.spec").write_text(text)
    with pytest.raises(InvalidArgument, match="is no address"):
        get(Plugins(tmp_path / "run", (tmp_path,)), "bad")


def test_json_with_tls(tmp_path):
    place = parse_json(tmp_path, b'{"Addr":"https://host:8080","TLSConfig":{"CAFile":"/ca","InsecureSkipVerify":true}}')
    assert isinstance(place, Place) and place.tls is not None and place.tls.ca == "/ca" and not place.tls.verify
    with pytest.raises(InvalidArgument):
        parse_json(tmp_path, b"[]")


def test_a_handshake_that_fails_is_no_plugin(tmp_path, fake):
    for reply in (b"[]", (404, b"no"), b'{"Implements":7}'):
        fake.replies["Plugin.Activate"] = reply
        with pytest.raises(ScowError):
            get(Plugins(tmp_path, ()), "elsewhere")

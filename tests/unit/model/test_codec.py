"""The codec decodes as Go does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.errors import InvalidArgument
from scow.model import codec
from scow.model.container import ContainerConfig, CreateRequest, HostConfig, PortBinding
from scow.model.network import EndpointSettings


def test_keys_match_without_case_and_unknown_ones_are_dropped() -> None:
    config = codec.decode(ContainerConfig, {"IMAGE": "x", "hostName": "h", "Nonsense": 1})
    assert (config.image, config.hostname) == ("x", "h")


def test_null_is_the_default_everywhere() -> None:
    host = codec.decode(HostConfig, b'{"Binds":null,"Memory":null,"PortBindings":{"80/tcp":null,"81/tcp":[{"HostPort":"8"}]}}')
    assert host.binds == []
    assert host.port_bindings == {"80/tcp": [], "81/tcp": [PortBinding("", "8")]}


def test_command_may_be_one_string() -> None:
    assert codec.decode(ContainerConfig, {"Cmd": "ls -l", "Entrypoint": ["a"]}).cmd == ["ls -l"]


def test_special_spellings() -> None:
    endpoint = codec.decode(EndpointSettings, {"IPAMConfig": {"IPv4Address": "10.0.0.2"}, "DNSNames": ["a"]})
    assert endpoint.ipam_config is not None
    assert endpoint.ipam_config.ipv4_address == "10.0.0.2"
    assert codec.encode(endpoint)["IPPrefixLen"] == 0


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"HostConfig":{"Memory":"1"}}', "cannot unmarshal string into Go struct field CreateRequest.HostConfig.Memory of type int64"),
        (b'{"Tty":1}', "cannot unmarshal number into Go struct field CreateRequest.Tty of type bool"),
        (b'{"Env":"a"}', "cannot unmarshal string"),
        (b'{"HostConfig":{"Memory":9223372036854775808}}', "int64"),
        (b"{", "invalid JSON"),
        (b"", "unexpected EOF"),
        (b"{} {}", "unexpected content after JSON"),
        (b'{"Tty":NaN}', "invalid JSON"),
        (b"\xff", "UTF-8"),
        (b"[" * 100_000, "invalid JSON"),
        (b'{"HostConfig":{"Memory":' + b"9" * 5000 + b"}}", "out of range"),
        (b"[]", "cannot unmarshal array"),
    ],
)
def test_wrong_input_is_a_clear_error(body: bytes, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text.replace(".", r"\.")):
        codec.decode(CreateRequest, body)


def test_a_lone_surrogate_stays_valid_utf8() -> None:
    assert codec.decode(ContainerConfig, b'{"Image":"\\ud800x"}').image == "�x"


def test_encode_and_decode_are_inverse() -> None:
    host = codec.decode(HostConfig, {"Binds": ["/a:/b"], "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}], "Init": True})
    assert codec.decode(HostConfig, codec.encode(host)) == host


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
names = st.sampled_from(["Image", "Cmd", "HostConfig", "Env", "Volumes", "Memory", "PortBindings", "Healthcheck", "NetworkingConfig"])


@given(st.dictionaries(names, json_values, max_size=5))
def test_whatever_comes_decodes_or_is_the_callers_fault(value: dict[str, object]) -> None:
    try:
        codec.decode(CreateRequest, value)
    except InvalidArgument:
        pass

import pytest

from scow.errors import InvalidArgument
from scow.opts import swarm


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [(80, None, "tcp", "ingress")]),
        ("8080:80/udp", [(80, 8080, "udp", "ingress")]),
        ("100-101:200-201", [(200, 100, "tcp", "ingress"), (201, 101, "tcp", "ingress")]),
        ("published=9,target=10,mode=host,protocol=sctp", [(10, 9, "sctp", "host")]),
        ("target=10", [(10, None, "tcp", "ingress")]),
    ],
)
def test_ports(text, expected):
    made = [(one["TargetPort"], one.get("PublishedPort"), one["Protocol"], one["PublishMode"]) for one in swarm.parse_port(text)]
    assert made == expected


@pytest.mark.parametrize(
    "text", ["", "x", "127.0.0.1:80:80", "published=1", "target=x", "target=70000", "target=1,mode=odd", "target=1,a=b"]
)
def test_ports_that_are_refused(text):
    with pytest.raises(InvalidArgument):
        swarm.parse_port(text)


def test_secrets_and_configs():
    plain = {"Name": "s", "UID": "0", "GID": "0", "Mode": 0o444}
    assert swarm.parse_reference("s") == {"File": plain, "SecretID": "", "SecretName": "s"}
    made = swarm.parse_config("source=c,target=/x,uid=1,gid=2,mode=0400")
    assert made["File"] == {"Name": "/x", "UID": "1", "GID": "2", "Mode": 0o400} and made["ConfigName"] == "c"
    assert swarm.parse_config("source=c,mode=256")["File"]["Mode"] == 256
    for text in ("", "a,b", "target=x", "source=c,mode=x", "source=c,mode=-1", "source=c,bogus=1"):
        with pytest.raises(InvalidArgument):
            swarm.parse_reference(text)


def test_other_words(tmp_path):
    assert swarm.parse_preference("spread=node.labels.z") == {"Spread": {"SpreadDescriptor": "node.labels.z"}}
    assert swarm.generic_resources(["gpu=2"]) == [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}]
    assert [swarm.listen_address(text) for text in ("", "eth0", "1.2.3.4:5", ":7", "[::1]:9")] == [
        *("0.0.0.0:2377", "eth0:2377", "1.2.3.4:5", "0.0.0.0:7", "[::1]:9"),
    ]
    assert swarm.parse_pool("10.1.0.0/16,10.2.0.0/16") == ["10.1.0.0/16", "10.2.0.0/16"]
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\n")
    made = swarm.parse_external_ca(f"protocol=cfssl,url=https://x,cacert={pem},o=p")
    assert (made["Protocol"], made["URL"], made["Options"]) == ("cfssl", "https://x", {"o": "p"}) and "BEGIN" in made["CACert"]
    for parse, text in (
        (swarm.parse_preference, "pack=x"),
        (swarm.parse_pool, "10.1.0.0"),
        (swarm.parse_external_ca, "protocol=odd,url=x"),
        (swarm.parse_external_ca, "protocol=cfssl"),
        (swarm.read_pem, "/etc/hostname"),
        (swarm.credential_spec, "x"),
        (swarm.generic_name, "x"),
        (swarm.listen_address, "a:b"),
    ):
        with pytest.raises(InvalidArgument):
            parse(text)
    with pytest.raises(InvalidArgument):
        swarm.generic_resources(["gpu=a"])

"""Credentials of registries in config.json and in helper programs."""

import base64
import json
import os

import pytest

from scow.cli import credentials
from scow.cli.command import Cli
from scow.errors import ScowError

HELPER = """#!/bin/sh
case $1 in
get) read -r server
    [ "$server" = known.example ] && echo '{"Username": "u", "Secret": "s"}' && exit
    echo 'credentials not found in native keychain'
    exit 1;;
*) cat >>"$(dirname "$0")/$1";;
esac
"""


def _cli(tmp_path, **config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    return Cli(lambda: None, lambda name: "", str(tmp_path))


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("", credentials.HUB),
        ("docker.io", credentials.HUB),
        ("https://index.docker.io/v1/", credentials.HUB),
        ("https://r.example:5000/v2/", "r.example:5000"),
        ("r.example", "r.example"),
    ],
)
def test_keys(server, key):
    assert credentials.server_key(server) == key


def test_file_is_changed_as_a_whole_and_keeps_the_rest(tmp_path):
    cli = _cli(tmp_path, HttpHeaders={"X": "y"}, auths={"old.example": {"auth": base64.b64encode(b"a:b:c").decode()}})
    assert credentials.get(cli, "old.example") == {"username": "a", "password": "b:c", "serveraddress": "old.example"}
    place = credentials.store(cli, "new.example", {"username": "n", "password": "p"})
    assert place == str(tmp_path / "config.json")
    assert os.stat(place).st_mode & 0o777 == 0o600
    assert credentials.get(cli, "new.example")["password"] == "p"
    assert credentials.known(cli, "old.example")
    credentials.erase(cli, "old.example")
    assert not credentials.known(cli, "old.example")
    assert json.loads((tmp_path / "config.json").read_text())["HttpHeaders"] == {"X": "y"}
    sent = json.loads(base64.urlsafe_b64decode(credentials.header(cli, "new.example")))
    assert (sent["username"], sent["password"]) == ("n", "p")


def test_helpers(tmp_path, monkeypatch):
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cli = _cli(tmp_path, credsStore="test")
    assert credentials.get(cli, "known.example")["password"] == "s"
    assert credentials.get(cli, "other.example") == {}
    assert credentials.store(cli, "x.example", {"username": "u", "password": "secret"}) == ""
    assert json.loads((tmp_path / "store").read_text())["Secret"] == "secret"
    assert "secret" not in (tmp_path / "config.json").read_text()
    with pytest.raises(ScowError, match="invalid credential helper"):
        credentials.get(_cli(tmp_path, credsStore="../evil"), "x")
    with pytest.raises(ScowError, match="not found in"):
        credentials.get(_cli(tmp_path, credHelpers={"x": "absent"}), "x")

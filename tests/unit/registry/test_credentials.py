import base64
import json

import pytest

from scow.registry.credentials import Credentials, from_header, of


def test_of_takes_docker_s_keys_and_hides_secrets() -> None:
    found = of({"username": "a", "password": "p", "serveraddress": "s", "identitytoken": "t", "email": 3})
    assert found == Credentials("a", "p", "t", "", "s")
    assert "'p'" not in repr(found)
    assert of({"auth": base64.b64encode(b"u:p:q").decode()}).basic == "Basic " + base64.b64encode(b"u:p:q").decode()
    assert not of(None)


@pytest.mark.parametrize("text", ["", "e30=", "***", "bm9wZQ==", base64.urlsafe_b64encode(b"[1]").decode(), "A" * 100_000])
def test_what_cannot_be_read_counts_as_absent(text: str) -> None:
    assert not from_header(text)


def test_header_in_both_alphabets_without_padding() -> None:
    data = json.dumps({"username": "ü?>", "password": "~~~???"}).encode()
    for encode in (base64.urlsafe_b64encode, base64.b64encode):
        assert from_header(encode(data).decode().rstrip("=")).username == "ü?>"

"""A node's keys and their rotation."""

import ipaddress
from pathlib import Path

import pytest

from scow.network.encryption import keys
from scow.network.encryption.keys import LIFE_NS, OVERLAP_NS, Key, KeyFile, advanced, new_key

PORTS = (51820, 51821)


def key(number: int, port: int, made_ns: int) -> Key:
    return Key(bytes([number]) * 32, bytes([number + 100]) * 32, port, made_ns)


def make(port: int, now_ns: int) -> Key:
    return key(9, port, now_ns)


OLD = key(1, 51820, 1)


def test_a_key_is_a_pair_and_never_printed() -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    made = new_key(51820, 5)
    assert X25519PrivateKey.from_private_bytes(made.private).public_key().public_bytes_raw() == made.public
    assert repr(made.private) not in repr(made) and made.private.hex() not in repr(made)
    assert set(made.row) == {"key", "port"} and keys.bytes_of(made.row["key"]) == made.public


def test_addresses_and_links_are_those_of_the_public_key() -> None:
    assert ipaddress.ip_address(OLD.address) in ipaddress.ip_network(keys.PREFIX)
    assert OLD.address == keys.address_of(OLD.public) != key(2, 1, 1).address
    assert len(OLD.link) <= 15 and keys.is_link(OLD.link) and not keys.is_link("swg-mine")


@pytest.mark.parametrize("text", ["", "AAAA", "!" * 44])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError):
        keys.bytes_of(text)


def test_a_key_lives_its_time() -> None:
    assert advanced([OLD], LIFE_NS, 5, PORTS, make) == (OLD,)
    now = LIFE_NS + 1
    fresh = key(9, 51821, now)
    assert advanced([OLD], now, 5, PORTS, make) == (OLD, fresh)
    # a swarm that does not know the old one must not get another
    assert advanced([OLD], now, 0, PORTS, make) == (OLD,)


def test_the_new_key_is_known_everywhere_before_it_is_used_and_the_old_one_outlives_it() -> None:
    fresh = key(9, 51821, LIFE_NS)
    at = LIFE_NS + 10
    for held in ((OLD, fresh), (fresh, OLD)):
        assert advanced(held, at + 10 * OVERLAP_NS, 0, PORTS, make) == held
        assert advanced(held, at + OVERLAP_NS - 1, at, PORTS, make) == held
    assert advanced((OLD, fresh), at + OVERLAP_NS, at, PORTS, make) == (fresh, OLD)
    assert advanced((fresh, OLD), at + OVERLAP_NS, at, PORTS, make) == (fresh,)


def test_the_next_key_takes_the_other_port() -> None:
    second = key(9, 51821, 1)
    assert advanced([second], LIFE_NS * 2, 1, PORTS, make)[1].port == 51820


def test_the_file_is_roots_alone(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "encryption")
    assert file.read() == ()
    file.write([OLD, key(2, 51821, 7)])
    assert file.read() == (OLD, key(2, 51821, 7))
    path = tmp_path / "encryption" / "keys.json"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    path.write_text("{broken")
    assert file.read() == ()
    file.forget()
    file.forget()
    assert not path.exists()

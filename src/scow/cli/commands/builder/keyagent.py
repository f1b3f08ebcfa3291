"""`--ssh name=key`: an agent of ssh's agent protocol inside `scow build`, which lists keys and signs with them, and does nothing else.

The private keys stay in this process. Stores nothing. Used by `services.py` for the agents that the command line gives as files.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from scow.errors import ScowError

_FAILURE, _LIST, _KEYS, _SIGN, _SIGNED = 5, 11, 12, 13, 14
_SHA256, _SHA512 = 2, 4
_KEY_MAX = 100 << 10
_CURVES: dict[str, hashes.HashAlgorithm] = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}

Private = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _number(value: int) -> bytes:
    return _text(value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _load(path: str) -> Private:
    """A key of a file (OpenSSH's format or PEM). Raises ScowError, which never quotes the file."""
    try:
        with open(path, "rb") as file:
            data = file.read(_KEY_MAX + 1)
    except OSError as error:
        raise ScowError(f"--ssh: cannot read the key {path}: {error.strerror}") from None
    if len(data) > _KEY_MAX:
        raise ScowError(f"--ssh: {path} is too big for a key")
    load = serialization.load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in data else serialization.load_pem_private_key
    try:
        key = load(data, None)
    except TypeError:
        raise ScowError(f"--ssh: the key {path} has a passphrase: add it to an agent (ssh-add) and forward that") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower() or b"ENCRYPTED" in data:
            raise ScowError(f"--ssh: the key {path} has a passphrase: add it to an agent (ssh-add) and forward that") from None
        raise ScowError(f"--ssh: {path} is no private key that can be read (OpenSSH or PEM; ed25519, RSA or ECDSA)") from None
    if not isinstance(key, Private):
        raise ScowError(f"--ssh: {path} is of a kind of key that cannot be used: use ed25519, RSA or ECDSA")
    return key


class KeyAgent:
    """The agent. Raises ScowError for files that are no keys."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._keys: dict[bytes, tuple[Private, bytes]] = {}
        for path in paths:
            key = _load(path)
            self._keys[_public(key)] = (key, os.path.basename(path).encode("utf-8", "surrogateescape"))

    def answer(self, request: bytes) -> bytes:
        """The reply to a message, both without their length. What is neither listing nor signing fails."""
        if request[:1] == bytes([_LIST]):
            rows = b"".join(_text(blob) + _text(comment) for blob, (_, comment) in self._keys.items())
            return bytes([_KEYS]) + len(self._keys).to_bytes(4, "big") + rows
        if request[:1] != bytes([_SIGN]):
            return bytes([_FAILURE])
        blob, rest = _take(request[1:])
        data, rest = _take(rest)
        found = self._keys.get(blob)
        if found is None or len(rest) != 4:
            return bytes([_FAILURE])
        return bytes([_SIGNED]) + _text(_signature(found[0], data, int.from_bytes(rest, "big")))


def _take(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    return data[4 : 4 + size], data[4 + size :]


def _public(key: Private) -> bytes:
    """The public key as ssh writes it on the wire."""
    import base64

    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def _signature(key: Private, data: bytes, flags: int) -> bytes:
    """A signature as ssh writes it (RFC 4253, 5656, 8332, 8709)."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _text(b"ssh-ed25519") + _text(key.sign(data))
    if isinstance(key, rsa.RSAPrivateKey):
        if flags & _SHA512:
            return _text(b"rsa-sha2-512") + _text(key.sign(data, padding.PKCS1v15(), hashes.SHA512()))
        if flags & _SHA256:
            return _text(b"rsa-sha2-256") + _text(key.sign(data, padding.PKCS1v15(), hashes.SHA256()))
        return _text(b"ssh-rsa") + _text(key.sign(data, padding.PKCS1v15(), hashes.SHA1()))
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_CURVES[key.curve.name])))
    kind, _ = _take(_public(key))
    return _text(kind) + _text(_number(r) + _number(s))

"""The ssh agent inside `scow build`: what it lists and signs is what ssh verifies, and nothing of a key is told."""

import asyncio
import base64
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from scow.build.session import messages, rpc
from scow.cli.commands.builder import services
from scow.cli.commands.builder.keyagent import KeyAgent
from scow.errors import ScowError

KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ecdsa": lambda: ec.generate_private_key(ec.SECP384R1()),
}


def written(path: Path, key: object, password: bytes | None = None, kind: str = "OpenSSH") -> Path:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, kind), hidden))  # type: ignore[attr-defined]
    return path


def cut(data: bytes) -> list[bytes]:
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def packed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", ["OpenSSH", "PKCS8"])
def test_what_it_signs_can_be_verified(tmp_path: Path, kind: str, form: str) -> None:
    key = KEYS[kind]()
    agent = KeyAgent([str(written(tmp_path / "key", key, kind=form))])
    listed = agent.answer(b"\x0b")
    blob, comment = cut(listed[5:])
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert listed[:5] == b"\x0c\0\0\0\1" and comment == b"key" and blob == base64.b64decode(line.split()[1])
    reply = agent.answer(b"\x0d" + packed(blob, b"data") + (4).to_bytes(4, "big"))
    name, signature = cut(cut(reply[1:])[0])
    if kind == "rsa":
        assert name == b"rsa-sha2-512"
        key.public_key().verify(signature, b"data", padding.PKCS1v15(), hashes.SHA512())
    elif kind == "ecdsa":
        r, s = (int.from_bytes(part, "big") for part in cut(signature))
        key.public_key().verify(encode_dss_signature(r, s), b"data", ec.ECDSA(hashes.SHA384()))
    else:
        key.public_key().verify(signature, b"data")


@pytest.mark.parametrize("request_", [b"", b"\x0d", b"\x0d" + packed(b"other", b"data") + b"\0\0\0\0", b"\x11" + packed(b"x"), b"\x0d\xff"])
def test_everything_else_fails(tmp_path: Path, request_: bytes) -> None:
    agent = KeyAgent([str(written(tmp_path / "key", KEYS["ed25519"]()))])
    assert agent.answer(request_) == b"\x05"


def test_keys_that_cannot_be_used(tmp_path: Path) -> None:
    for form in ("PKCS8", "TraditionalOpenSSL"):
        with pytest.raises(ScowError, match=r"has a passphrase: add it to an agent"):
            KeyAgent([str(written(tmp_path / "key", KEYS["rsa"](), b"secret", form))])
    (tmp_path / "none").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nTOPSECRET\n")
    with pytest.raises(ScowError, match="is no private key") as caught:
        KeyAgent([str(tmp_path / "none")])
    assert "TOPSECRET" not in str(caught.value)


def test_an_openssh_key_with_a_passphrase(tmp_path: Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "key"], check=True, timeout=60)
    with pytest.raises(ScowError, match=r"has a passphrase"):
        KeyAgent([str(tmp_path / "key")])


class Wire:
    """A call that brings bytes in odd pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.sent = list(pieces), b""

    async def read(self) -> bytes | None:
        return messages.SSH.BytesMessage(data=self.pieces.pop(0)).SerializeToString() if self.pieces else None

    async def send(self, message: object) -> None:
        self.sent += message.data  # type: ignore[attr-defined]


def test_messages_on_the_wire(tmp_path: Path) -> None:
    agent = KeyAgent([str(written(tmp_path / "key", KEYS["ed25519"]()))])
    wire = Wire(b"\0\0", b"\0\1\x0b\0\0\0\1", b"\x11")
    asyncio.run(services._from_keys(wire, agent))  # type: ignore[arg-type]
    listed = agent.answer(b"\x0b")
    assert wire.sent == len(listed).to_bytes(4, "big") + listed + b"\0\0\0\1\x05"
    with pytest.raises(rpc.RpcError, match="too big"):
        asyncio.run(services._from_keys(Wire(b"\xff\xff\xff\xff"), agent))  # type: ignore[arg-type]

"""A certificate authority for tests, and sockets inside a network namespace.

paths = authority(folder)          # ca.pem, cert.pem, key.pem (server, 127.0.0.1), client.pem, client-key.pem, other.pem, other-key.pem
sock = connect(engine.name, 2376)  # a TCP connection made in the engine's namespace
"""

import ctypes
import datetime
import ipaddress
import os
import socket
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CLONE_NEWNET = 0x40000000
_DAY = datetime.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _issue(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, ca: bool = False, server: bool = False
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    usage = [ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH]
    signing = x509.KeyUsage(True, False, False, False, False, ca, ca, False, False)
    builder = x509.CertificateBuilder(
        issuer_name=_name(issuer),
        subject_name=_name(subject),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - _DAY,
        not_valid_after=now + _DAY * 30,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True).add_extension(signing, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if server:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signer, hashes.SHA256())


def authority(folder: Path) -> Path:
    """Write the files named above into `folder`; `other*.pem` is signed by an authority nobody knows."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "server", "client", "other-ca", "other")}
    certs = {
        "ca.pem": _issue("test ca", "test ca", keys["ca"], keys["ca"], ca=True),
        "cert.pem": _issue("server", "test ca", keys["server"], keys["ca"], server=True),
        "client.pem": _issue("client", "test ca", keys["client"], keys["ca"]),
        "other.pem": _issue("client", "other ca", keys["other"], keys["other-ca"]),
    }
    for name, cert in certs.items():
        (folder / name).write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    for name, key in (("key.pem", "server"), ("client-key.pem", "client"), ("other-key.pem", "other")):
        data = keys[key].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        (folder / name).write_bytes(data)
    return folder


def connect(namespace: str, port: int, host: str = "127.0.0.1") -> socket.socket:
    """A TCP connection made inside the named network namespace. Raises OSError."""
    out: list[socket.socket | OSError] = []

    def inside() -> None:
        try:
            fd = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(fd, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(fd)
            out.append(socket.create_connection((host, port), timeout=60))
        except OSError as exc:
            out.append(exc)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    found = out[0]
    if isinstance(found, OSError):
        raise found
    return found

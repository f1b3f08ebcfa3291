"""The cluster's own certificate authority: a root, a certificate for each node (CN = node id, OU = role, O = cluster id), join tokens.

Elliptic curve P-256 throughout. `cryptography` is imported when the first certificate is made or read: a daemon outside a swarm never
pays for it.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

from scow.errors import InvalidArgument
from scow.swarm.identity import base36

ROLES = {"worker": "swarm-worker", "manager": "swarm-manager"}
_ROOT_DAYS = 20 * 365
_BACKDATE_SECONDS = 3600
MEMBER_BACKDATE_SECONDS = 24 * 3600
"""Of what etcd's members have: one that does not believe the others because of its clock would be cut off."""
_TOKEN = "SWMTKN-1-"
_UNLOCK = "SWMKEY-1-"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node certificate says."""

    node_id: str
    role: str
    cluster_id: str
    not_before_ns: int
    not_after_ns: int


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem_key(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return str(certificate.public_bytes(Encoding.PEM).decode())


def new_root(backdate_seconds: float = _BACKDATE_SECONDS) -> KeyPair:
    """A fresh root; it is good on hosts whose clocks are behind by as much."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "swarm-ca")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=backdate_seconds))
        .not_valid_after(now + datetime.timedelta(days=_ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
                key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return KeyPair(_pem(certificate), _pem_key(key))


def authority_id(issuer: Any) -> Any:
    """The extension that says which key has signed: two roots may have one name, and both are believed while they are exchanged."""
    from cryptography import x509

    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def new_request(node_id: str = "") -> KeyPair:
    """(certificate signing request, key) of a node that wants a certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    key = _new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_id or "new")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return KeyPair(request.public_bytes(Encoding.PEM).decode(), _pem_key(key))


def checked_request(request: str) -> str:
    """A node's request, which proves that the node has the key in it. Raises InvalidArgument."""
    _request(request)
    return request


def same_key(request: str, certificate: str) -> bool:
    """Whether a certificate is for the key of a node's request. Raises InvalidArgument (the request)."""
    from cryptography import x509

    public = _request(request).public_key()
    return bool(public == x509.load_pem_x509_certificate(certificate.encode()).public_key())


def _request(request: str) -> Any:
    from cryptography import x509

    try:
        asked = x509.load_pem_x509_csr(request.encode())
        if not asked.is_signature_valid:
            raise ValueError("its signature is wrong")
    except ValueError as error:
        raise InvalidArgument(f"the certificate request cannot be used: {error}") from None
    return asked


def sign(root: KeyPair, request: str, node_id: str, role: str, cluster_id: str, expiry_ns: int) -> str:
    """A certificate for the key in a request; who it is for is what we say, never what the request says. Raises InvalidArgument."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    asked = _request(request)
    issuer = x509.load_pem_x509_certificate(root.certificate.encode())
    key = load_pem_private_key(root.key.encode(), None)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, ROLES[role]),
            x509.NameAttribute(NameOID.COMMON_NAME, node_id),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(ROLES[role]), x509.DNSName(node_id), x509.DNSName("swarm")]
    usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .public_key(asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=_BACKDATE_SECONDS))
        .not_valid_after(now + datetime.timedelta(seconds=expiry_ns / 1e9))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(authority_id(issuer), critical=False)
    )
    return _pem(builder.sign(key, hashes.SHA256()))  # type: ignore[arg-type]


def member_certificate(root: KeyPair, name: str, host: str) -> KeyPair:
    """A certificate for a manager's member of etcd at an address, made afresh at each start and for each root."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = _new_key()
    issuer = x509.load_pem_x509_certificate(root.certificate.encode())
    now = datetime.datetime.now(datetime.UTC)
    try:
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(host))]
    except ValueError:
        names = [x509.DNSName(host)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(seconds=MEMBER_BACKDATE_SECONDS))
        .not_valid_after(now + datetime.timedelta(days=_ROOT_DAYS // 2))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(authority_id(issuer), critical=False)
    )
    signer = load_pem_private_key(root.key.encode(), None)
    return KeyPair(_pem(builder.sign(signer, hashes.SHA256())), _pem_key(key))  # type: ignore[arg-type]


def identity(certificate: str) -> Identity:
    """What a node certificate says. Raises InvalidArgument."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        found = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError as error:
        raise InvalidArgument(f"this is no certificate: {error}") from None

    def part(oid: Any) -> str:
        rows = found.subject.get_attributes_for_oid(oid)
        return str(rows[0].value) if rows else ""

    words = {unit: role for role, unit in ROLES.items()}
    return Identity(
        part(NameOID.COMMON_NAME),
        words.get(part(NameOID.ORGANIZATIONAL_UNIT_NAME), ""),
        part(NameOID.ORGANIZATION_NAME),
        int(found.not_valid_before_utc.timestamp() * 1e9),
        int(found.not_valid_after_utc.timestamp() * 1e9),
    )


def due_ns(held: Identity, share: float) -> int:
    """When a certificate is to be renewed: after a share (0.5 to 0.8, by chance, as swarmkit) of the time that it was made for."""
    return held.not_after_ns - int(seconds(held) * (1 - share) * 1e9)


def seconds(held: Identity) -> float:
    """The time that a certificate was made for."""
    whole = (held.not_after_ns - held.not_before_ns) / 1e9
    return whole - _BACKDATE_SECONDS if whole > _BACKDATE_SECONDS else whole  # external CAs backdate less


def tls_info(root: str, issuer: str = "") -> dict[str, str]:
    """Docker's TLSInfo: the root that is believed, and the one that has signed (another while roots are exchanged)."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found = x509.load_pem_x509_certificate((issuer or root).encode())
    subject = base64.b64encode(found.subject.public_bytes()).decode()
    public = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"TrustRoot": root, "CertIssuerSubject": subject, "CertIssuerPublicKey": base64.b64encode(public).decode()}


# --- tokens and keys


def root_digest(certificate: str) -> str:
    """The part of a join token that names the root: sha256 of its PEM in base 36."""
    return base36(int.from_bytes(hashlib.sha256(certificate.encode()).digest(), "big"), 50)[-50:]


def new_token_secret() -> str:
    """The secret part of a join token."""
    return base36(secrets.randbits(128), 25)[-25:]


def token(root: str, secret: str) -> str:
    """A whole join token."""
    return f"{_TOKEN}{root_digest(root)}-{secret}"


def read_token(text: str) -> tuple[str, str]:
    """(digest of the root, secret) of a join token. Raises InvalidArgument."""
    parts = text.split("-")
    if len(parts) != 4 or parts[0] != "SWMTKN" or parts[1] != "1" or len(parts[2]) != 50 or len(parts[3]) != 25:
        raise InvalidArgument("invalid join token")
    return parts[2], parts[3]


def same(one: str, two: str) -> bool:
    """Whether two secrets are equal, told in constant time."""
    return hmac.compare_digest(one.encode(), two.encode())


def new_unlock_key() -> str:
    """A key that unlocks a manager."""
    return _UNLOCK + base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def unlock_bytes(text: str) -> bytes:
    """The key itself. Raises InvalidArgument."""
    if not text.startswith(_UNLOCK):
        raise InvalidArgument("invalid unlock key: it begins with SWMKEY-1-")
    data = text.removeprefix(_UNLOCK)
    try:
        found = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)
    except ValueError:
        raise InvalidArgument("invalid unlock key") from None
    if len(found) != 32:
        raise InvalidArgument("invalid unlock key")
    return found


def seal(key: bytes, data: bytes) -> str:
    """Encrypt (AES-256-GCM, a fresh nonce each time); base64."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(12)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, data, None)).decode()


def unseal(key: bytes, text: str) -> bytes:
    """What `seal` encrypted. Raises InvalidArgument for another key."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    data = base64.b64decode(text)
    try:
        return AESGCM(key).decrypt(data[:12], data[12:], None)
    except InvalidTag:
        raise InvalidArgument("swarm could not be unlocked: invalid key provided") from None

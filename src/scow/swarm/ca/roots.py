"""Roots in exchange: what may become the next root, and the old root's word for it (a cross-signed certificate).

Pure. Rules and sentences are swarmkit's, so that clients see what Docker would tell them.
"""

from typing import Any

from scow.swarm import ca
from scow.swarm.wording import invalid

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_LEAST_NS = 365 * 24 * 3600 * 10**9
_LONGEST = 64 << 10


def certificates_of(text: str) -> list[str]:
    """The certificates in a text, each as a line-clean PEM."""
    found = []
    for part in text.split(_BEGIN)[1:]:
        body, _, _ = part.partition(_END)
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        found.append("\n".join([_BEGIN, *lines, _END]) + "\n")
    return found


def normal(bundle: str) -> str:
    """A bundle to compare with another: line ends, spaces and text between the certificates do not count."""
    return "".join(certificates_of(bundle))


def first_of(bundle: str) -> str:
    """The first certificate of a bundle: the root of the time, before the one that follows it."""
    return next(iter(certificates_of(bundle)), bundle)


def checked(certificate: str, key: str, now_ns: int) -> ca.KeyPair:
    """A root that a user wants, `key` maybe "". Raises InvalidArgument."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    if len(certificate) > _LONGEST or len(key) > _LONGEST:
        raise invalid("the desired CA certificate is too large")
    if not certificate:
        raise invalid("if a signing CA key is provided, the signing CA cert must also be provided")
    parts = certificates_of(certificate)
    if len(parts) > 1:
        raise invalid("the desired CA certificate cannot contain multiple certificates")
    try:
        found = x509.load_pem_x509_certificate((parts[0] if parts else "").encode())
        public: Any = found.public_key()
    except ValueError:
        raise invalid("could not parse the desired CA certificate") from None
    try:
        authority = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        authority = False
    if not authority:
        raise invalid("the desired CA certificate is not that of an authority: it needs the basic constraint CA:TRUE")
    if int(found.not_valid_after_utc.timestamp()) * 10**9 < now_ns + _LEAST_NS:
        raise invalid("CA certificate expires too soon")
    if not isinstance(public, ec.EllipticCurvePublicKey) and not (isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048):
        raise invalid("the desired CA certificate needs an elliptic curve key, or an RSA key of 2048 bits or more")
    if key:
        try:
            private: Any = load_pem_private_key(key.encode(), None)
        except TypeError:
            raise invalid("the CA key is encrypted: give it without a passphrase") from None
        except ValueError:
            raise invalid("could not parse the CA key: a private key in PEM is needed") from None
        if _spki(private.public_key(), Encoding, PublicFormat) != _spki(public, Encoding, PublicFormat):
            raise invalid("certificate key mismatch")
    return ca.KeyPair(parts[0], key)


def _spki(public: Any, encoding: Any, form: Any) -> bytes:
    return bytes(public.public_bytes(encoding.DER, form.SubjectPublicKeyInfo))


def cross_signed(old: ca.KeyPair, new: str) -> str:
    """The new root's key and name in a certificate that the old root has signed: who believes only the old one believes the new by it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    before, after = (x509.load_pem_x509_certificate(one.encode()) for one in (old.certificate, new))
    builder = (
        x509.CertificateBuilder()
        .subject_name(after.subject)
        .issuer_name(before.subject)
        .public_key(after.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(before.not_valid_before_utc, after.not_valid_before_utc))
        .not_valid_after(min(before.not_valid_after_utc, after.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(ca.authority_id(before), critical=False)
    )
    try:
        own = after.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(after.public_key())
    builder = builder.add_extension(own, critical=False)
    made = builder.sign(load_pem_private_key(old.key.encode(), None), hashes.SHA256())  # type: ignore[arg-type]
    return str(made.public_bytes(Encoding.PEM).decode())

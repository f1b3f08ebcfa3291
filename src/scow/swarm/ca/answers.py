"""Whether a certificate that an authority outside of the swarm has made is the one that was asked for. Pure.

A node whose certificate its peers do not believe is cut off, and one with another's name would be that other: nothing is given out unseen.
"""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from scow.errors import Unavailable
from scow.swarm import ca
from scow.swarm.ca.roots import certificates_of, first_of

_MOST = 8


def _wrong(why: str) -> Unavailable:
    return Unavailable(f"the external CA's certificate cannot be used: {why}")


def node_certificate(answer: str, request: str, wanted: tuple[str, str, str], root: str, now_ns: int) -> str:
    """The certificate with what leads to `root`, PEM, of an answer to a request; `wanted`: (node id, role, cluster id).

    Raises Unavailable."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    with _readable():
        texts, chain = _parsed(answer, root)
        leaf = chain[0]
        asked = x509.load_pem_x509_csr(request.encode()).public_key()
        node_id, role, cluster_id = wanted
        if _spki(leaf) != _spki_of(asked):
            raise _wrong("it is for another key")
        if (basic := _extension(leaf, x509.BasicConstraints)) is not None and basic.ca:
            raise _wrong("it is that of an authority, so the node could sign others")
        for what, oid, value in (
            ("CN", NameOID.COMMON_NAME, node_id),
            ("OU", NameOID.ORGANIZATIONAL_UNIT_NAME, ca.ROLES[role]),
            ("O", NameOID.ORGANIZATION_NAME, cluster_id),
        ):
            if [row.value for row in leaf.subject.get_attributes_for_oid(oid)] != [value]:
                raise _wrong(f'its {what} is not "{value}"')
        names = _extension(leaf, x509.SubjectAlternativeName)
        if names is None or ca.ROLES[role] not in names.get_values_for_type(x509.DNSName):
            raise _wrong(f'it does not have the host name "{ca.ROLES[role]}"')
        usage = _extension(leaf, x509.ExtendedKeyUsage)
        if usage is not None and not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} <= set(usage):
            raise _wrong("it is not for both ends of a connection (extended key usage serverAuth and clientAuth)")
        _leads_to(chain, root, now_ns)
    return "".join(texts)


def cross_signed(answer: str, new: str, old: str, now_ns: int) -> str:
    """The certificate, PEM, in which the old root says that it believes the new one. Raises Unavailable."""
    from cryptography import x509

    with _readable():
        texts, chain = _parsed(answer, old)
        made = chain[0]
        wanted = x509.load_pem_x509_certificate(new.encode())
        if _spki(made) != _spki(wanted) or made.subject != wanted.subject:
            raise _wrong("it is for another root")
        if not _is_authority(made):
            raise _wrong("it is not that of an authority: does the external CA have a profile CA?")
        _leads_to(chain, old, now_ns)
    return "".join(texts)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """What a certificate of strangers makes the library raise, as a sentence."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise _wrong(str(error)) from None


def _parsed(answer: str, root: str) -> tuple[list[str], list[Any]]:
    """The certificates of an answer; some authorities add their root, which nobody needs."""
    from cryptography import x509

    texts = [text for text in certificates_of(answer) if text != first_of(root)]
    if not texts or len(texts) > _MOST:
        raise _wrong("the answer holds none, or far too many")
    return texts, [x509.load_pem_x509_certificate(text.encode()) for text in texts]


def _leads_to(chain: Sequence[Any], root: str, now_ns: int) -> None:
    """Each certificate is signed by the next one, the last by the root, and all hold now."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    now = datetime.fromtimestamp(now_ns / 1e9, UTC)
    rows = [*chain, x509.load_pem_x509_certificate(root.encode())]
    for place, (one, above) in enumerate(itertools.pairwise(rows)):
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            raise _wrong("it does not hold now: has it expired, and are the clocks right?")
        if not _is_authority(above, place):
            raise _wrong("who signed it is no authority")
        try:
            one.verify_directly_issued_by(above)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
            raise _wrong("it is not signed by the swarm's root") from None


def _is_authority(certificate: Any, below: int = 0) -> bool:
    """`below`: how many authorities there are between it and the certificate at the end."""
    from cryptography import x509

    basic, usage = _extension(certificate, x509.BasicConstraints), _extension(certificate, x509.KeyUsage)
    if basic is None or not basic.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return basic.path_length is None or basic.path_length >= below


def _extension(certificate: Any, kind: Any) -> Any:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _spki(certificate: Any) -> bytes:
    return _spki_of(certificate.public_key())


def _spki_of(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

"""An authority outside of the swarm: cfssl's signing over HTTPS, with the manager's own certificate shown. Nothing is stored.

`manager/authority.py` calls it. Requests are those of swarmkit, so that an authority which serves Docker's swarms serves ours.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from scow import log
from scow.errors import Unavailable
from scow.swarm import ca

logger = log.get(__name__)

Json = dict[str, Any]

_SECONDS = 5.0
"""What one URL is given, as by swarmkit."""
_ALL_SECONDS = 9.0
"""After this long no further URL is asked: who waits for the certificate gives up soon (`links.rpc.CALL_SECONDS`)."""
_LONGEST = 256 << 10
_MOST_URLS = 16
_LEGS = frozenset({"C", "ST", "L", "O", "OU"})
"""The parts of a name that cfssl knows."""


@dataclass(frozen=True, slots=True)
class External:
    """The URLs of one root's authority, tried in turn, and TLS as this manager (`links.tls.external`)."""

    urls: Sequence[str]
    context: ssl.SSLContext

    async def sign(self, body: Mapping[str, Any]) -> str:
        """The certificate, PEM and unchecked, that the first URL to sign answers with. Raises Unavailable with the last one's reason."""
        data = json.dumps(body).encode()
        last = Unavailable("no external CA is known")
        enough = asyncio.get_running_loop().time() + _ALL_SECONDS
        for url in self.urls[:_MOST_URLS]:
            if asyncio.get_running_loop().time() > enough:
                break
            try:
                return await self._ask(url, data)
            except Unavailable as error:
                last = error
                logger.info("%s", error.message)
        raise last

    async def reachable(self) -> bool:
        """Whether at least one has a certificate of its root under the name in its URL."""
        for url in self.urls[:_MOST_URLS]:
            try:
                host, port = _place(url)
                async with asyncio.timeout(_SECONDS):
                    _, writer = await asyncio.open_connection(host, port, ssl=self.context, server_hostname=host)
                writer.close()
            except (Unavailable, OSError, ValueError) as error:
                logger.warning("an external CA cannot be reached: %s", _why(error))
            else:
                return True
        return False

    async def _ask(self, url: str, data: bytes) -> str:
        import aiohttp

        host, port = _place(url)
        place = f"the external CA at {host}:{port}"
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=_SECONDS),
                    connector=aiohttp.TCPConnector(ssl=self.context, force_close=True),
                    auto_decompress=False,
                ) as session,
                session.post(
                    url, data=data, headers={"Content-Type": "application/json", "Accept-Encoding": "identity"}, allow_redirects=False
                ) as response,
            ):
                if response.status != 200:
                    raise Unavailable(f"{place} answered with status {response.status}")
                text = await _bounded(response.content)
        except TimeoutError:
            raise Unavailable(f"{place} did not answer within {_SECONDS:.0f} seconds") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unavailable(f"{place} cannot be asked: {_why(error)}") from None
        return _certificate(text, place)


async def _bounded(content: Any) -> bytes:
    found = b""
    while part := await content.read(_LONGEST + 1 - len(found)):
        found += part
        if len(found) > _LONGEST:
            raise ValueError("its answer is too long")
    return found


def _certificate(text: bytes, place: str) -> str:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise Unavailable(f"{place} answered with something that is not JSON") from None
    found: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
    result = found.get("result")
    if not found.get("success") or not isinstance(result, dict) or not isinstance(result.get("certificate"), str):
        raise Unavailable(f"{place} did not sign the certificate: {_told(found.get('errors'))}")
    return str(result["certificate"])


def _told(errors: Any) -> str:
    """What cfssl says is wrong, as one printable line."""
    rows = errors if isinstance(errors, list) else []
    words = [str(row.get("message") or "") for row in rows[:4] if isinstance(row, dict)]
    line = "".join(one if one.isprintable() else " " for one in "; ".join(word for word in words if word)[:300])
    return line or "it gives no reason"


def _place(url: str) -> tuple[str, int]:
    """(host, port) of a URL: messages name no more of it, since it may hold a password. Raises Unavailable."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        raise Unavailable("the external CA's URL is wrong") from None
    if parts.scheme != "https" or not host:
        raise Unavailable("the external CA's URL is wrong: it begins with https:// and names a host")
    return host, port


def _why(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None) or error  # aiohttp wraps it
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not believed: {getattr(cause, 'verify_message', '') or cause}"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return str(getattr(error, "message", "") or getattr(error, "strerror", "") or error or type(error).__name__)


# --- what is asked for


def node_request(request: str, node_id: str, role: str, cluster_id: str) -> Json:
    """A node's certificate: who it is for is what we say, never what the node's request says."""
    unit = ca.ROLES[role]
    hosts = [unit, node_id, *(["swarm-ca"] if role == "manager" else [])]
    return {
        "hosts": hosts,
        "certificate_request": request,
        "subject": {"CN": node_id, "names": [{"OU": unit, "O": cluster_id}]},
        "profile": "",
    }


def cross_request(root: ca.KeyPair) -> Json:
    """The word of an external root for the root that follows it, whose key is here."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.x509.oid import NameOID

    found = x509.load_pem_x509_certificate(root.certificate.encode())
    constraint = found.extensions.get_extension_for_class(x509.BasicConstraints)
    request = x509.CertificateSigningRequestBuilder().subject_name(found.subject).add_extension(constraint.value, constraint.critical)
    made = request.sign(load_pem_private_key(root.key.encode(), None), hashes.SHA256())  # type: ignore[arg-type]
    common = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = [{row.rfc4514_attribute_name: str(row.value)} for row in found.subject if row.rfc4514_attribute_name in _LEGS]
    return {
        "hosts": None,
        "certificate_request": made.public_bytes(Encoding.PEM).decode(),
        "subject": {"CN": str(common[0].value) if common else "", "names": names},
        "profile": "CA",
        "extensions": [
            {"id": constraint.oid.dotted_string, "critical": constraint.critical, "value": constraint.value.public_bytes().hex()}
        ],
    }

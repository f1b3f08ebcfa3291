"""An authority outside of the swarm, as cfssl's `/api/v1/cfssl/sign`: real TLS on loopback.

It signs what is asked with its root, and only for who shows a certificate of a root that it believes.
"""

import asyncio
import datetime
import ipaddress
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from scow.swarm import ca
from scow.swarm.links import tls

_PARTS = {"OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "O": NameOID.ORGANIZATION_NAME}


def _host(name: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() and "." in name else x509.DNSName(name)


class Cfssl:
    """`asked`: the requests, in order; `answer(request)` makes the body of an answer, with `status`; a `silent` one never answers."""

    def __init__(self, root: ca.KeyPair) -> None:
        self.root = root
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.callers: list[str] = []
        self.status = 200
        self.silent = False
        self.answer: Callable[[dict[str, Any]], bytes] = self.sign

    def row(self, **more: Any) -> dict[str, Any]:
        """This authority in the swarm's settings."""
        return {"Protocol": "cfssl", "URL": self.url, "CACert": self.root.certificate, "Options": {}, **more}

    def sign(self, asked: dict[str, Any]) -> bytes:
        """cfssl's answer."""
        return self.told(self.certificate(asked))

    @staticmethod
    def told(certificate: str) -> bytes:
        """An answer with a certificate."""
        return json.dumps({"success": True, "result": {"certificate": certificate}, "errors": [], "messages": []}).encode()

    @staticmethod
    def refusal(text: str) -> bytes:
        """An answer with an error."""
        return json.dumps({"success": False, "result": None, "errors": [{"code": 1000, "message": text}], "messages": []}).encode()

    def certificate(self, asked: dict[str, Any], days: float = 30) -> str:
        """What is asked for, signed; other `asked` make certificates that nobody wants."""
        request = x509.load_pem_x509_csr(asked["certificate_request"].encode())
        issuer = x509.load_pem_x509_certificate(self.root.certificate.encode())
        if asked["profile"] == "CA":
            subject = request.subject
        else:
            names = [(_PARTS[part], value) for row in asked["subject"]["names"] for part, value in row.items()]
            subject = x509.Name(
                [x509.NameAttribute(oid, value) for oid, value in [*names, (NameOID.COMMON_NAME, asked["subject"]["CN"])] if value]
            )
        end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        begin = min(datetime.datetime.now(datetime.UTC), end) - datetime.timedelta(minutes=5)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(ca.authority_id(issuer), critical=False)
        )
        if asked["profile"] == "CA":
            assert asked["extensions"][0]["id"] == "2.5.29.19"
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key()), critical=False)
        else:
            usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(name) for name in asked["hosts"]]), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        made = builder.sign(load_pem_private_key(self.root.key.encode(), None), hashes.SHA256())  # type: ignore[arg-type]
        return made.public_bytes(Encoding.PEM).decode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].split("\r\n")[0])
            asked = json.loads(await reader.readexactly(length))
            self.asked.append(asked)
            self.callers.append(tls.caller(writer.get_extra_info("ssl_object"), "").node_id)
            if self.silent:
                await reader.read()  # until the other side has had enough
                return
            body = self.answer(asked)
            writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # who only looks whether it is there
        finally:
            writer.close()


@asynccontextmanager
async def cfssl(root: ca.KeyPair, *believed: str, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Cfssl]:
    """One that runs; `believed`: further roots of callers; port 0: any."""
    made = Cfssl(root)
    own = ca.new_request("cfssl")
    subject = {"CN": "cfssl", "names": []}
    # with the issuer's key id: the roots of two swarms have one name
    certificate = made.certificate({"certificate_request": own.certificate, "subject": subject, "hosts": [host], "profile": ""})
    context = tls.server(root.certificate + "".join(believed), certificate, own.key)
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(made.serve, host, port, ssl=context)
    made.url = f"https://{host}:{server.sockets[0].getsockname()[1]}/api/v1/cfssl/sign"
    try:
        yield made
    finally:
        server.close()


async def _main() -> None:
    """A process of its own, for tests with hosts in namespaces: {"root": [certificate, key], "believed": [PEM…], "host", "port"} on its
    standard input, its URL on the first line of its output."""
    told = json.loads(sys.stdin.read())
    async with cfssl(ca.KeyPair(*told["root"]), *told["believed"], host=told["host"], port=told["port"]) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())

"""TLS between nodes: version 1.3 only, certificates of the cluster's own authority, private keys never on a disk.

The listener takes callers without a certificate, too (a host that wants to join has none yet); `rpc.Server` decides what they may ask.
"""

import errno
import os
import ssl
from dataclasses import dataclass
from typing import Any

from scow.errors import Unavailable
from scow.swarm import ca

MANAGER_NAME = ca.ROLES["manager"]
IS_IT_RIGHT = "is it a manager's address and port (2377, where nobody chose another)?"


class NoAnswer(Unavailable):
    """Nothing answers at an address: the host may be off, or the network between broken."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end, by its certificate; empty without one."""

    node_id: str = ""
    role: str = ""
    cluster_id: str = ""
    address: str = ""


def _own(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a certificate and its key; the library takes files only, so they pass through memory."""
    fd = os.memfd_create("certificate")
    try:
        os.write(fd, (certificate.rstrip() + "\n" + key).encode())
        context.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def server(roots: str, certificate: str, key: str) -> ssl.SSLContext:
    """The context of a manager's listener. `roots`: PEM, more than one while the root is exchanged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=roots)
    _own(context, certificate, key)
    return context


def client(roots: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """The context of a node that calls a manager: only who has a manager's certificate of the cluster is believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=roots)
    if certificate:
        _own(context, certificate, key)
    return context


def external(roots: str, certificate: str, key: str) -> ssl.SSLContext:
    """The context of a manager that asks an external CA: believed is who has a certificate of the swarm's roots under the URL's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # cfssl of before Go 1.12
    context.load_verify_locations(cadata=roots)
    _own(context, certificate, key)
    return context


def stranger() -> ssl.SSLContext:
    """The context that fetches a root certificate, which is then checked by the join token's digest: nobody is believed yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def caller(transport_info: Any, address: str) -> Caller:
    """Who called, of the connection's `ssl_object`."""
    found = transport_info.getpeercert() if transport_info is not None else None
    if not found:
        return Caller(address=address)
    subject = {key: value for part in found.get("subject", ()) for key, value in part}
    words = {unit: role for role, unit in ca.ROLES.items()}
    return Caller(
        str(subject.get("commonName", "")),
        words.get(str(subject.get("organizationalUnitName", "")), ""),
        str(subject.get("organizationName", "")),
        address,
    )


def refused(error: BaseException, address: str) -> Unavailable:
    """The sentence for a connection that could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(f"the host at {address} is no manager of this swarm: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Unavailable(f"no secure connection to {address} ({error.reason or error}): {IS_IT_RIGHT}")
    if isinstance(error, TimeoutError):
        return NoAnswer(f"{address} does not answer: is it a manager, and does a firewall let this port through?")
    reason = getattr(error, "strerror", None) or str(error)
    cls = NoAnswer if getattr(error, "errno", None) in (errno.EHOSTUNREACH, errno.ENETUNREACH) else Unavailable
    return cls(f"cannot reach a manager at {address}: {reason}")


def same_root(certificate: str, digest: str) -> bool:
    """Whether a root is the one that a join token names."""
    return ca.same(ca.root_digest(certificate), digest)

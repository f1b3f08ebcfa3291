"""DNS messages: reading a question, writing answers of our own (A, AAAA, PTR, SRV), errors, and checking forwarded replies.

Pure; hostile bytes raise BadMessage.
"""

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, PTR, AAAA, SRV, ANY = 1, 12, 28, 33, 255
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
OPT = 41
TTL = 600
UDP_SIZE = 512
_HEAD = struct.Struct(">HHHHHH")
_MOST_LABELS = 128
_MAX_UDP = 4096
# who asks with EDNS is answered with it (RFC 6891): root name, OPT, what we take, no flags, no data
_OPT_REPLY = b"\0" + struct.pack(">HHIH", OPT, _MAX_UDP, 0, 0)


class BadMessage(ValueError):
    """No DNS message, or none that can be answered."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question: `name` in lower case without the final dot, `section` its bytes as they came, `size` what the asker takes over UDP."""

    ident: int
    flags: int
    name: str
    kind: int
    section: bytes
    size: int = UDP_SIZE
    edns: bool = False


def _name(data: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    total = 0
    while True:
        if at >= len(data):
            raise BadMessage("name runs out of the message")
        size = data[at]
        if size == 0:
            return ".".join(labels), at + 1
        if size > 63 or len(labels) >= _MOST_LABELS or at + 1 + size > len(data):
            raise BadMessage("bad label")
        total += size + 1
        if total > 254:
            raise BadMessage("name too long")
        labels.append(data[at + 1 : at + 1 + size].decode("latin-1").lower())
        at += size + 1


def parse(data: bytes) -> Query:
    """The question of a query. Raises BadMessage."""
    if len(data) < _HEAD.size:
        raise BadMessage("short message")
    ident, flags, questions, answers, authority, more = _HEAD.unpack_from(data)
    if flags & 0x8000 or questions != 1 or answers or authority:
        raise BadMessage("not a plain query")
    name, at = _name(data, _HEAD.size)
    if at + 4 > len(data):
        raise BadMessage("question runs out of the message")
    kind, _class = struct.unpack_from(">HH", data, at)
    section = data[_HEAD.size : at + 4]
    size = UDP_SIZE
    edns = False
    if more and len(data) >= at + 4 + 11 and data[at + 4] == 0 and struct.unpack_from(">H", data, at + 5)[0] == OPT:
        size = min(max(struct.unpack_from(">H", data, at + 7)[0], UDP_SIZE), _MAX_UDP)
        edns = True
    return Query(ident, flags, name, kind, section, size, edns)


def encode_name(name: str) -> bytes:
    """A name on the wire; raises BadMessage for one that cannot be."""
    out = b""
    for label in name.rstrip(".").split("."):
        raw = label.encode("latin-1", "replace")
        if not 0 < len(raw) < 64:
            raise BadMessage(f"bad label in {name!r}")
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def reply(query: Query, records: Sequence[bytes] = (), code: int = NOERROR, limit: int = 65535) -> bytes:
    """An answer to `query`; too large for `limit` = truncated, without records."""
    flags = 0x8080 | (query.flags & 0x7900) | code
    more = _OPT_REPLY if query.edns else b""
    body = query.section + b"".join(records) + more
    if _HEAD.size + len(body) > limit:
        return _HEAD.pack(query.ident, flags | 0x0200, 1, 0, 0, int(query.edns)) + query.section + more
    return _HEAD.pack(query.ident, flags, 1, len(records), 0, int(query.edns)) + body


def error(data: bytes, code: int) -> bytes:
    """An answer to what is no proper query, as far as its head can be read; empty when not even that, or when it is an answer itself."""
    if len(data) < _HEAD.size or data[2] & 0x80:
        return b""
    return _HEAD.pack(int.from_bytes(data[:2], "big"), 0x8080 | (data[2] << 8 & 0x7900) | code, 0, 0, 0, 0)


def _record(kind: int, data: bytes) -> bytes:
    # the owner's name is the question's, which starts right after the head
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, TTL, len(data)) + data


def address(text: str) -> bytes:
    """An A or AAAA record."""
    ip = ipaddress.ip_address(text)
    return _record(A if ip.version == 4 else AAAA, ip.packed)


def pointer(name: str) -> bytes:
    """A PTR record."""
    return _record(PTR, encode_name(name))


def service(port: int, target: str) -> bytes:
    """An SRV record."""
    return _record(SRV, struct.pack(">HHH", 0, 0, port) + encode_name(target))


def reverse(name: str) -> str:
    """The address that `4.3.2.1.in-addr.arpa` or an `ip6.arpa` name asks for, "" if it is another name."""
    try:
        if name.endswith(".in-addr.arpa"):
            return str(ipaddress.IPv4Address(".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))))
        if name.endswith(".ip6.arpa"):
            digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
            return str(ipaddress.IPv6Address(bytes.fromhex(digits))) if len(digits) == 32 else ""
    except ValueError:
        pass
    return ""


def answers(data: bytes, query: Query, ident: int) -> bool:
    """Whether `data` is a server's answer to our question `ident`."""
    if len(data) < _HEAD.size + len(query.section):
        return False
    got, flags, questions, *_ = _HEAD.unpack_from(data)
    section = data[_HEAD.size : _HEAD.size + len(query.section)]
    return bool(got == ident and flags & 0x8000 and questions == 1 and section.lower() == query.section.lower())


def with_ident(data: bytes, ident: int) -> bytes:
    """The same message under another id."""
    return ident.to_bytes(2, "big") + data[2:]


def truncated(data: bytes) -> bool:
    """Whether a reply says that more is to be had over TCP."""
    return bool(data[2] & 0x02)


def code(data: bytes) -> int:
    """A reply's code."""
    return data[3] & 0x0F

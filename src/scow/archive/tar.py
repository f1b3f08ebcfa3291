"""The tar format: one header in, one header out. Names are bytes; nothing here touches files.

Read: ustar, old GNU (long names and links, base-256 numbers), PAX (names, sizes, times, owners, xattrs), and GNU's four kinds of sparse
files where the caller can make them. Written: ustar, with a PAX header in front where a value does not fit. Every size is bounded, and what
makes no sense raises `Malformed`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

BLOCK = 512
_META_MAX = 1 << 20
_NAME_MAX = 64 << 10
_ZERO = bytes(BLOCK)
END = bytes(2 * BLOCK)
FILE, HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_SIZELESS = frozenset((HARDLINK, SYMLINK, CHAR, BLOCKDEV, DIRECTORY, FIFO))
_XATTR = b"SCHILY.xattr."
_SPARSE = b"GNU.sparse."
_SPARSE_MAP = b"GNU.sparse.map"
_PIECES_MAX = 200_000


class Malformed(ValueError):
    """The archive is damaged or uses what is not supported; the text says which."""


@dataclass(slots=True)
class Entry:
    """One member. `size` bytes of content follow a file's header."""

    name: bytes
    type: bytes = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    pieces: list[tuple[int, int]] | None = None  # of a sparse file: (offset, length) of what follows; `length` is the file's own then
    length: int = 0


def number(raw: bytes) -> int:
    """A numeric field: octal text or base-256."""
    try:
        return int(raw.rstrip(b"\0 "), 8)  # nearly always
    except ValueError:
        pass
    if raw[0] & 0x80:
        value = int.from_bytes(raw, "big") & ((1 << (8 * len(raw) - 1)) - 1)
        if raw[0] & 0x40:
            value -= 1 << (8 * len(raw) - 1)
        return value
    text = raw.partition(b"\0")[0].strip()
    if not text:
        return 0
    try:
        return int(text, 8)
    except ValueError:
        raise Malformed("invalid tar header: a number is not one") from None


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _decimal_ns(raw: bytes) -> int:
    whole, _, rest = raw.partition(b".")
    try:
        sign = -1 if whole.startswith(b"-") else 1
        return int(whole or b"0") * 1_000_000_000 + sign * int((rest[:9] or b"0").ljust(9, b"0"))
    except ValueError:
        raise Malformed("invalid tar header: a time is not one") from None


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        if data[at] == 0:
            break
        space = data.find(b" ", at, at + 20)
        try:
            size = int(data[at:space]) if space > 0 else 0
        except ValueError:
            size = 0
        record = data[space + 1 : at + size]
        key, equals, value = record.partition(b"=")
        if size < 5 or at + size > len(data) or not equals or value[-1:] != b"\n":
            raise Malformed("invalid tar header: a PAX record is damaged")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):  # the oldest way repeats keys; the next one joined them
            found[_SPARSE_MAP] = found[_SPARSE_MAP] + b"," + value[:-1] if _SPARSE_MAP in found else value[:-1]
        else:
            found[key] = value[:-1]
        at += size
    return found


def _checked(header: bytes) -> None:
    stored = number(header[148:156])
    if sum(header[:148]) + sum(header[156:]) + 256 != stored:
        signed = sum(b - 256 if b > 127 else b for b in header[:148] + header[156:]) + 256
        if signed != stored:
            raise Malformed("invalid tar header: the checksum does not match; this is no tar archive, or a damaged one")


def _parse(header: bytes) -> Entry:
    _checked(header)
    kind = header[156:157]
    name = _text(header[:100])
    if header[257:262] == b"ustar" and header[263:265] == b"00":
        prefix = _text(header[345:500])
        if prefix:
            name = prefix + b"/" + name
    if kind in (b"\0", b"7"):
        kind = FILE
    size = number(header[124:136])
    if size < 0 or size > 1 << 62:
        raise Malformed("invalid tar header: a size is out of range")
    mode, uid, gid = number(header[100:108]), number(header[108:116]), number(header[116:124])
    entry = Entry(name, kind, mode, uid, gid, size, number(header[136:148]) * 1_000_000_000, _text(header[157:257]))
    if kind in (CHAR, BLOCKDEV):
        entry.major, entry.minor = number(header[329:337]), number(header[337:345])
    return entry


def _apply(entry: Entry, pax: dict[bytes, bytes]) -> None:
    for key, value in pax.items():
        try:
            match key:
                case b"path":
                    entry.name = value
                case b"linkpath":
                    entry.link = value
                case b"size":
                    entry.size = int(value)
                case b"uid":
                    entry.uid = int(value)
                case b"gid":
                    entry.gid = int(value)
                case b"mtime":
                    entry.mtime_ns = _decimal_ns(value)
                case _ if key.startswith(_XATTR):
                    entry.xattrs[key[len(_XATTR) :]] = value
                case _:
                    pass
        except ValueError as error:
            if isinstance(error, Malformed):
                raise
            raise Malformed("invalid tar header: a PAX value is damaged") from None
    if entry.size < 0 or entry.size > 1 << 62:
        raise Malformed("invalid tar header: a size is out of range")


def _pairs(values: list[int], e: Entry, length: int) -> None:
    """Make an entry sparse: the pieces, in their order, and the length of the file."""
    if len(values) % 2:
        raise Malformed("invalid tar header: the map of a sparse file is damaged")
    pieces = list(zip(values[::2], values[1::2], strict=True))
    at = 0
    for offset, size in pieces:
        if offset < at or size < 0 or offset + size > length:
            raise Malformed("invalid tar header: the pieces of a sparse file overlap or lie outside")
        at = offset + size
    if sum(size for _, size in pieces) != e.size or not 0 <= length < 1 << 62:
        raise Malformed("invalid tar header: the pieces of a sparse file are not what follows")
    e.type, e.pieces, e.length = FILE, pieces, length


def _old_sparse(header: bytes, e: Entry, take: Callable[[int], bytes]) -> None:
    """The map of old GNU tar: in the header and in blocks behind it."""
    values: list[int] = []
    block, count, more = header[386:482], 4, header[482]
    length = number(header[483:495])
    while True:
        for at in range(0, count * 24, 24):
            if block[at : at + 1] not in (b"", b"\0"):
                values += number(block[at : at + 12]), number(block[at + 12 : at + 24])
        if len(values) > _PIECES_MAX:
            raise Malformed("invalid tar header: a sparse file has too many pieces")
        if not more:
            break
        whole = take(BLOCK)
        if not whole:
            raise Malformed("unexpected end of the tar archive")
        block, count, more = whole[:504], 21, whole[504]
    _pairs(values, e, length)


def _pax_sparse(pax: dict[bytes, bytes], e: Entry, take: Callable[[int], bytes]) -> None:
    """The map of a sparse file in PAX records, or (version 1.0) in front of the data."""
    try:
        e.name = pax.get(_SPARSE + b"name", e.name)
        length = int(pax.get(_SPARSE + b"realsize") or pax.get(_SPARSE + b"size") or b"0")
        if (text := pax.get(_SPARSE_MAP)) is not None:
            values = [int(one) for one in text.split(b",")[: _PIECES_MAX + 2]] if text else []
        elif pax.get(_SPARSE + b"major") == b"1":
            values = _front_map(e, take)
        else:
            values = []
    except ValueError as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed("invalid tar header: the map of a sparse file is damaged") from None
    if len(values) > _PIECES_MAX:
        raise Malformed("invalid tar header: a sparse file has too many pieces")
    _pairs(values, e, length)


def _front_map(e: Entry, take: Callable[[int], bytes]) -> list[int]:
    """The numbers in front of a sparse file's data, each on a line, the first being how many pairs follow; takes them off its size."""
    text, used, lines, wanted = bytearray(), 0, 0, 1
    while lines < wanted:
        block = take(BLOCK) if used + BLOCK <= e.size else b""
        if not block or used > _PIECES_MAX * 24:
            raise Malformed("invalid tar header: the map of a sparse file is damaged")
        text += block
        used += BLOCK
        lines += block.count(b"\n")
        if wanted == 1 and lines:
            wanted = 1 + 2 * int(bytes(text).partition(b"\n")[0])
            if not 0 < wanted <= _PIECES_MAX:
                raise Malformed("invalid tar header: a sparse file has too many pieces")
    e.size -= used
    return [int(one) for one in bytes(text).split(b"\n")[1:wanted]]


def read_entry(take: Callable[[int], bytes], sparse: bool = False) -> Entry | None:
    """The next member, or None at the end. `take(n)` gives exactly n bytes; b"" when the stream ends before the first of them; else raises.

    The caller reads or skips `size` bytes and the padding after each member; `sparse`: it knows `pieces`. Raises Malformed.
    """
    pax: dict[bytes, bytes] = {}
    long_name = long_link = None
    while True:
        header = take(BLOCK)
        if not header or header == _ZERO:
            if pax or long_name or long_link:
                raise Malformed("unexpected end of the tar archive")
            return None
        entry = _parse(header)
        kind = entry.type
        if kind in (b"x", b"g", b"L", b"K", b"X"):
            if entry.size > (_META_MAX if kind in b"xgX" else _NAME_MAX):
                raise Malformed("invalid tar header: an extended header is too large")
            padded = -(-entry.size // BLOCK) * BLOCK
            data = take(padded)[: entry.size] if padded else b""
            if padded and not data:
                raise Malformed("unexpected end of the tar archive")
            if kind == b"L":
                long_name = _text(data)
            elif kind == b"K":
                long_link = _text(data)
            elif kind == b"x":
                pax = parse_pax(data)
            continue
        holes = kind == b"S" or any(key.startswith(_SPARSE) for key in pax)
        if holes and not sparse:
            raise Malformed("sparse files are not supported here")
        if kind == b"S":
            _old_sparse(header, entry, take)
        if long_name is not None:
            entry.name = long_name
        if long_link is not None:
            entry.link = long_link
        if pax:
            _apply(entry, pax)
            if holes and kind != b"S":
                _pax_sparse(pax, entry, take)
        if entry.type == FILE and entry.name.endswith(b"/"):
            entry.type = DIRECTORY  # pre-POSIX archives
        if entry.type in _SIZELESS:
            entry.size = 0
        if b"\0" in entry.name or b"\0" in entry.link:
            raise Malformed("invalid tar header: a name holds a NUL")
        if not entry.name:
            raise Malformed("invalid tar header: a name is empty")
        return entry


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def _record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest)
    while len(str(size)) + len(rest) != size:
        size = len(str(size)) + len(rest)
    return str(size).encode() + rest


def _block(name: bytes, prefix: bytes, e: Entry, kind: bytes, size: int, link: bytes) -> bytes:
    seconds = max(0, e.mtime_ns // 1_000_000_000)
    uid, gid = (e.uid if e.uid < 1 << 21 else 0), (e.gid if e.gid < 1 << 21 else 0)
    size, seconds = (size if size < 1 << 33 else 0), (seconds if seconds < 1 << 33 else 0)
    head = b"".join((
        name.ljust(100, b"\0"), _octal(e.mode & 0o7777, 8), _octal(uid, 8), _octal(gid, 8), _octal(size, 12), _octal(seconds, 12),
        b"        ", kind, link.ljust(100, b"\0"), b"ustar\x0000", bytes(64), _octal(e.major, 8), _octal(e.minor, 8),
        prefix.ljust(155, b"\0"), bytes(12),
    ))  # fmt: skip
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def header(e: Entry) -> bytes:
    """The header blocks of a member; its content and padding follow. Times are cut to seconds, as Docker writes them."""
    name, prefix, link = e.name, b"", e.link
    pax: list[bytes] = []
    if len(name) > 100 or not name.isascii():
        cut = name.rfind(b"/", 0, 156) if len(name) <= 256 and name.isascii() else -1
        if cut > 0 and 0 < len(name) - cut - 1 <= 100:
            prefix, name = name[:cut], name[cut + 1 :]
        else:
            pax.append(_record(b"path", name))
            name = name[:100]
    if len(link) > 100 or not link.isascii():
        pax.append(_record(b"linkpath", link))
        link = link[:100]
    if e.size >= 1 << 33:
        pax.append(_record(b"size", b"%d" % e.size))
    if e.uid >= 1 << 21:
        pax.append(_record(b"uid", b"%d" % e.uid))
    if e.gid >= 1 << 21:
        pax.append(_record(b"gid", b"%d" % e.gid))
    if not 0 <= e.mtime_ns < 1_000_000_000 << 33:
        pax.append(_record(b"mtime", b"%d" % (e.mtime_ns // 1_000_000_000)))
    pax.extend(_record(_XATTR + key, value) for key, value in sorted(e.xattrs.items()))
    block = _block(name, prefix, e, e.type, e.size, link)
    if not pax:
        return block
    data = b"".join(pax)
    front = _block(b"PaxHeaders/" + name[-80:].replace(b"/", b"_"), b"", Entry(b""), b"x", len(data), b"")
    return front + data + padding(len(data)) + block


def padding(size: int) -> bytes:
    """The zeros that fill the last block of `size` bytes."""
    return bytes(-size % BLOCK)

"""Log records decoded in bulk: neighbours that share stream, attributes and time become one batch at C speed. Pure; used by `reader`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

import orjson

_HEAD = b'{"log":"'
_MARK = b'","stream":"'


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one stream and time, in order. `text` is their output; `pieces` says how many records it was."""

    stream: str
    time: str
    attrs: dict[str, str]
    text: bytes
    pieces: int


_second: tuple[str, int] = ("", 0)


def to_ns(text: str) -> int:
    """RFC3339[Nano] to ns since the epoch; 0 when it is none."""
    global _second
    try:
        if len(text) >= 20 and text.endswith("Z"):
            if _second[0] != text[:19]:
                _second = (text[:19], int(datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()))
            fraction = text[20:-1]
            return _second[1] * 1_000_000_000 + (int(fraction.ljust(9, "0")[:9]) if fraction else 0)
        return int(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1000
    except ValueError:
        return 0


def fixed(text: str) -> str:
    """The time with all nine digits, as `docker logs -t` prints it."""
    if text.endswith("Z") and len(text) < 30:
        whole, _, fraction = text[:-1].partition(".")
        return f"{whole}.{fraction:0<9}Z"
    return text


def _unescape(body: bytes) -> bytes:
    first = body.find(b"\\")
    if first < 0:
        return body
    if first == len(body) - 2 and body.endswith(b"\\n"):
        return body[:-2] + b"\n"
    text = orjson.loads(b'"' + body + b'"')
    assert isinstance(text, str)
    return text.encode()


def _single(line: bytes) -> Batch | None:
    """Any record that is JSON; None: damaged."""
    try:
        record = orjson.loads(line)
        attrs = record.get("attrs") or {}
        return Batch(str(record["stream"]), str(record["time"]), attrs, str(record["log"]).encode("utf-8", "replace"), 1)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _extent(chunk: bytes, start: int, length: int, border: bytes) -> int:
    """End of the last record from `start` on that closes with `border`; by probing, neighbours share their time. `length`: a record's."""
    size = len(chunk)
    step = smallest = max(256, 2 * length)
    growing = True
    while step >= smallest and start < size:
        end = chunk.rfind(b"\n", start, min(start + step, size)) + 1
        if end and chunk.endswith(border, start, end):
            start = end
            step = step * 4 if growing else step
        else:
            growing = False
            step //= 2
    return start


def _many(segment: bytes, tail: bytes) -> tuple[bytes | None, int]:
    """Output and number of records that all close with `tail`; None when one of them does not."""
    lines = segment.split(b"\n")
    lines.pop()
    # itemgetter, not a comprehension: 0.25 s instead of 0.4 for a million lines
    back = len(tail) + 1
    if lines[0].endswith(b"\\n" + tail[:-1]) and len(set(map(itemgetter(slice(-back, None)), lines))) == 1:
        text = b"\n".join(map(itemgetter(slice(len(_HEAD), -back)), lines))
        if b"\\" not in text:
            return text + b"\n", len(lines)
    back = len(tail) - 1
    if len(set(map(itemgetter(slice(-back, None)), lines))) != 1:
        return None, 1
    try:
        return _unescape(b"".join(map(itemgetter(slice(len(_HEAD), -back)), lines))), len(lines)
    except ValueError:
        return None, 1


def batches(chunk: bytes) -> Iterator[Batch]:
    """The records of `chunk`, which holds whole lines; damaged lines are left out."""
    position, size = 0, len(chunk)
    while position < size:
        end = chunk.find(b"\n", position) + 1
        if not end:
            return
        line = chunk[position:end]
        mark = line.find(_MARK)
        clock = line.rfind(b'"time":"')
        if not line.startswith(_HEAD) or mark < 0 or clock < mark or not line.endswith(b'"}\n'):
            found = _single(line)
            position = end
            if found is not None:
                yield found
            continue
        tail = line[mark:]
        stream_end = tail.find(b'"', len(_MARK))
        stream = tail[len(_MARK) : stream_end].decode()
        between = line[mark + stream_end + 1 : clock]
        if between == b",":
            attrs: dict[str, str] = {}
        else:
            whole = _single(line)
            if whole is None:
                position = end
                continue
            attrs = whole.attrs
        last = _extent(chunk, end, end - position, tail)
        text, pieces = _many(chunk[position:last], tail) if last > end else (None, 1)
        if text is None:
            # one record: also when the streams alternate within one time
            last, pieces = end, 1
            try:
                text = _unescape(line[len(_HEAD) : mark])
            except ValueError:
                position = end
                continue
        position = last
        yield Batch(stream, line[clock + 8 : -3].decode(), attrs, text, pieces)

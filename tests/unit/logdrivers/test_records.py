"""Decoding in bulk gives what one JSON record after another gives."""

import json

from hypothesis import given
from hypothesis import strategies as st

from scow.keeper import jsonlog
from scow.logdrivers.records import batches, fixed, to_ns

TEXT = st.lists(st.tuples(st.binary(max_size=60), st.sampled_from(["stdout", "stderr"]), st.integers(0, 3)), max_size=12)


@given(TEXT)
def test_round_trip(pieces: list[tuple[bytes, str, int]]) -> None:
    data = b""
    for text, stream, time in pieces:
        texts, _ = jsonlog.cut(text, final=True)
        data += b"".join(jsonlog.encode(part, stream, time, "") for part in texts)
    records = [json.loads(line) for line in data.split(b"\n")[:-1]]
    expected = [(record["stream"], record["log"].encode()) for record in records]
    for name in ("stdout", "stderr"):
        got = b"".join(batch.text for batch in batches(data) if batch.stream == name)
        assert got == b"".join(text for stream, text in expected if stream == name)
    assert sum(batch.pieces for batch in batches(data)) == len(expected)


def test_times() -> None:
    assert to_ns("2023-11-14T22:13:20.5Z") == 1_700_000_000_500_000_000
    assert fixed("2023-11-14T22:13:20Z") == "2023-11-14T22:13:20.000000000Z"
    assert to_ns("rubbish") == 0

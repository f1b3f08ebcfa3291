"""Docker's log records."""

import json

from scow.keeper import jsonlog


def test_record_format() -> None:
    assert jsonlog.encode(b"hi\n", "stdout", 1_700_000_000_120_000_000) == (
        b'{"log":"hi\\n","stream":"stdout","time":"2023-11-14T22:13:20.12Z"}\n'
    )


def test_every_byte_survives_or_is_replaced() -> None:
    text = bytes(range(128)) + "é\u2028".encode() + b"\xff\n"
    records = [json.loads(line) for line in jsonlog.encode(text, "stderr", 0).split(b"\n")[:-1]]
    assert "".join(record["log"] for record in records) == text.decode("utf-8", "replace")


def test_cut_keeps_unfinished_lines_and_splits_long_ones() -> None:
    assert jsonlog.cut(b"a\nb\nrest") == ([b"a\nb\n"], 4)
    assert jsonlog.cut(b"a\nrest", final=True) == ([b"a\n", b"rest"], 6)
    long = b"x" * (jsonlog.PARTIAL + 5) + b"\n"
    assert jsonlog.cut(b"a\n" + long) == ([b"a\n", b"x" * jsonlog.PARTIAL, b"xxxxx\n"], len(long) + 2)


def test_first_lines_are_whole_and_at_least_one() -> None:
    assert jsonlog.first_lines(b"one\ntwo\nthree\n", 9) == b"one\ntwo\n"
    assert jsonlog.first_lines(b"one\ntwo\n", 0) == b"one\n"
    assert jsonlog.first_lines(b"no end", 2) == b"no end"


def test_least_is_never_more_than_what_is_written() -> None:
    for texts in ([b"a\n"], [b"a\nbb\n", b"c"], [b"\n" * 50], [b'<">\n\x01\n']):
        for stream in ("stdout", "stderr"):
            written = sum(len(jsonlog.encode(text, stream, 1_000_000_000)) for text in texts)
            assert 0.9 * written < jsonlog.least(texts) <= written or b"<" in texts[0]

"""Sizes, durations and times in Go's and Docker's writing."""

import pytest

from scow import units
from scow.errors import InvalidArgument


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1_700_000_000_123_000_000, "2023-11-14T22:13:20.123Z"),
        (1_709_164_800_000_000_000, "2024-02-29T00:00:00Z"),
    ],
)
def test_rfc3339nano(ns, text):
    assert units.rfc3339nano(ns) == text
    if ns:
        assert units.parse_rfc3339(text) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("", 0),
        ("0", 0),
        ("1.5", 1_500_000_000),
        ("2024-01-01T10:00:00+02:00", 1_704_096_000_000_000_000),
        ("2024-01-01", 1_704_067_200_000_000_000),
        ("10s", 90_000_000_000),
    ],
)
def test_timestamps(text, ns):
    assert units.parse_timestamp(text, now_ns=100_000_000_000) == ns


@pytest.mark.parametrize("text", ["x", "2024-13-01", "2024-02-30T00:00:00Z", "1e9", "9" * 40, "2024-01-01T25:00:00Z", "-", "٣"])
def test_bad_timestamps(text):
    with pytest.raises(InvalidArgument):
        units.parse_timestamp(text)


@pytest.mark.parametrize(
    ("text", "ns"), [("1h30m", 5_400_000_000_000), ("1.5s", 1_500_000_000), ("-2ms", -2_000_000), ("0", 0), ("3us", 3000)]
)
def test_durations(text, ns):
    assert units.parse_duration(text) == ns


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1.2.3s", "9999999999999h", "."])
def test_bad_durations(text):
    with pytest.raises(InvalidArgument):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0s"), (90 * 10**9, "1m30s"), (3600 * 10**9, "1h0m0s"), (1_500_000, "1.5ms"), (-5 * 10**9, "-5s")]
)
def test_format_duration(ns, text):
    assert units.format_duration(ns) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (86400, "24 hours"),
        (86400 * 3, "3 days"),
        (86400 * 20, "2 weeks"),
        (86400 * 90, "3 months"),
        (86400 * 365 * 3, "3 years"),
    ],
)
def test_human_duration(seconds, text):
    assert units.human_duration(seconds * 10**9) == text


@pytest.mark.parametrize(("text", "size"), [("10m", 10 << 20), ("1.5g", 3 << 29), ("64KiB", 65536), ("512", 512), ("1 kb", 1024), ("0", 0)])
def test_sizes(text, size):
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "10q", "1mbb", "1e400", "nan", "inf", "1_0", "99999999999p"])
def test_bad_sizes(text):
    with pytest.raises(InvalidArgument):
        units.parse_size(text)


def test_human_sizes():
    assert [units.human_size(1_984_321, 3), units.human_size(0), units.human_size(12_345)] == ["1.98MB", "0B", "12.35kB"]
    assert [units.bytes_size(1 << 30), units.bytes_size(1536)] == ["1GiB", "1.5KiB"]

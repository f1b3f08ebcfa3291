"""`--since` and `--until` as the API wants them."""

from __future__ import annotations

import time

from scow.errors import InvalidArgument
from scow.units import NANO, parse_duration, parse_rfc3339


def api_timestamp(text: str) -> str | None:
    """Unix seconds (with fraction) of a unix time, a date in local time, an RFC 3339 time, or a duration ago. Raises InvalidArgument."""
    text = text.strip()
    if not text:
        return None
    if text.replace(".", "", 1).isdigit():
        return text
    try:
        value = time.time_ns() - parse_duration(text)
    except InvalidArgument:
        try:
            value = parse_rfc3339(text)
        except ValueError:
            raise InvalidArgument(f'failed to parse value as time or duration: "{text}"') from None
        if not text.endswith(("Z", "z")) and "+" not in text and text.count("-") < 3:
            value -= time.localtime(value // NANO).tm_gmtoff * NANO
    return f"{value // NANO}.{value % NANO:09d}"

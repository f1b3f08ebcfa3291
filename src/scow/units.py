"""Sizes, durations and times as Docker and Go write and read them. Pure; used by every package and by the CLI (so: no imports that
cost start-up time).

Times are integer nanoseconds since the epoch; durations are integer nanoseconds; sizes are bytes.
"""

from scow.errors import InvalidArgument

NANO = 1_000_000_000
_MANY = 512
_MAX_NS = 2**63 - 1
ZERO_TIME = "0001-01-01T00:00:00Z"
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_DURATION_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": NANO, "m": 60 * NANO, "h": 3600 * NANO}


# ---------------------------------------------------------------- times


def _days_from_civil(year: int, month: int, day: int) -> int:
    year -= month <= 2
    era = year // 400
    yoe = year - era * 400
    doy = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468


def _civil_from_days(days: int) -> tuple[int, int, int]:
    days += 719468
    era = days // 146097
    doe = days - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1


def rfc3339nano(ns: int) -> str:
    """UTC text of a time, trailing zeros of the fraction dropped as Go does; 0 (never) is Go's zero time."""
    if ns == 0:
        return ZERO_TIME
    seconds, fraction = divmod(ns, NANO)
    return f"{_second(seconds)}.{fraction:09d}".rstrip("0") + "Z" if fraction else _second(seconds) + "Z"


_written: dict[int, str] = {}


def _second(seconds: int) -> str:
    text = _written.get(seconds)  # what is listed together was made together
    if text is None:
        if len(_written) >= _MANY:
            _written.clear()
        days, rest = divmod(seconds, 86400)
        year, month, day = _civil_from_days(days)
        _written[seconds] = text = f"{year:04d}-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return text


def _fields(text: str, separator: str, widths: tuple[int, ...]) -> list[int]:
    parts = text.split(separator)
    if len(parts) > len(widths) or any(not (p.isascii() and p.isdigit() and len(p) == w) for p, w in zip(parts, widths, strict=False)):
        raise ValueError(text)
    return [int(p) for p in parts]


def parse_rfc3339(text: str) -> int:
    """Nanoseconds of an RFC 3339 time; also Docker's shorter forms (`2006-01-02`, `2006-01-02T15:04`, without zone = UTC). Raises
    ValueError."""
    date, _, clock = text.replace(" ", "T", 1).partition("T")
    if not date:
        raise ValueError(text)
    offset = 0
    if not clock and date.endswith("Z"):
        date = date[:-1]
    if clock.endswith(("Z", "z")):
        clock = clock[:-1]
    else:
        at = max(clock.rfind("+"), clock.rfind("-"))
        if at >= 0:
            hours, minutes = _fields(clock[at + 1 :], ":", (2, 2))
            offset = (hours * 3600 + minutes * 60) * (1 if clock[at] == "+" else -1)
            clock = clock[:at]
    numbers = _fields(date, "-", (4, 2, 2))
    if len(numbers) != 3:
        raise ValueError(text)
    year, month, day = numbers
    clock, _, fraction = clock.partition(".")
    hms = _fields(clock, ":", (2, 2, 2)) if clock else []
    hms += [0] * (3 - len(hms))
    if fraction and not (fraction.isascii() and fraction.isdigit() and len(fraction) <= 18):
        raise ValueError(text)
    month_days = (31, 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if not 1 <= month <= 12 or not 1 <= day <= month_days[month - 1] or hms[0] > 23 or hms[1] > 59 or hms[2] > 60:
        raise ValueError(text)
    seconds = _days_from_civil(year, month, day) * 86400 + hms[0] * 3600 + hms[1] * 60 + hms[2] - offset
    return seconds * NANO + (int((fraction + "000000000")[:9]) if fraction else 0)


def parse_timestamp(text: str, now_ns: int | None = None) -> int:
    """A moment as `since`/`until` give it: unix seconds with optional fraction, RFC 3339, or a Go duration counted back from now.

    "" and "0" are 0 (never). Raises InvalidArgument.
    """
    text = text.strip()
    if not text:
        return 0
    sign, _, digits = ("-", "", text[1:]) if text.startswith("-") else ("", "", text)
    whole, dot, fraction = digits.partition(".")
    if len(text) > 64:
        raise InvalidArgument("invalid time: too long")
    if whole.isascii() and whole.isdigit() and (not dot or (fraction.isascii() and fraction.isdigit() and len(fraction) <= 18)):
        value = int(whole) * NANO + int((fraction + "000000000")[:9])
        if value > _MAX_NS:
            raise InvalidArgument(f"invalid time {text!r}: out of range")
        return -value if sign else value
    try:
        return parse_rfc3339(text)
    except ValueError:
        pass
    try:
        back = parse_duration(text)
    except InvalidArgument:
        raise InvalidArgument(f'failed to parse value as time or duration: "{text}"') from None
    if now_ns is None:
        import time

        now_ns = time.time_ns()
    return now_ns - back


# ---------------------------------------------------------------- durations


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration (`1h30m`, `1.5s`, `-2ms`, `0`). Raises InvalidArgument with Go's texts."""
    rest = text
    negative = False
    if rest[:1] in ("+", "-"):
        negative = rest[0] == "-"
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest or len(text) > 64:
        raise InvalidArgument(f'time: invalid duration "{text[:80]}"')
    total = 0
    while rest:
        end = 0
        while end < len(rest) and (rest[end] in "0123456789."):
            end += 1
        number, rest = rest[:end], rest[end:]
        whole, _, fraction = number.partition(".")
        if not (whole or fraction) or "." in fraction:
            raise InvalidArgument(f'time: invalid duration "{text}"')
        end = 0
        while end < len(rest) and rest[end] not in "0123456789.":
            end += 1
        unit, rest = rest[:end], rest[end:]
        if not unit:
            raise InvalidArgument(f'time: missing unit in duration "{text}"')
        if unit not in _DURATION_UNITS:
            raise InvalidArgument(f'time: unknown unit "{unit}" in duration "{text}"')
        scale = _DURATION_UNITS[unit]
        total += int(whole or "0") * scale
        if fraction:
            total += int(fraction) * scale // 10 ** len(fraction)
        if total > _MAX_NS:
            raise InvalidArgument(f'time: invalid duration "{text}"')
    return -total if negative else total


def format_duration(ns: int) -> str:
    """A duration as Go's String prints it (`1m30s`, `1.5s`, `100ms`, `0s`)."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)

    def decimal(value: int, scale: int) -> str:
        whole, part = divmod(value, scale)
        if not part:
            return str(whole)
        return f"{whole}." + str(part).rjust(len(str(scale)) - 1, "0").rstrip("0")

    if ns < 1000:
        return f"{sign}{ns}ns"
    if ns < 1_000_000:
        return f"{sign}{decimal(ns, 1000)}µs"
    if ns < NANO:
        return f"{sign}{decimal(ns, 1_000_000)}ms"
    minutes, rest = divmod(ns, 60 * NANO)
    text = decimal(rest, NANO) + "s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{minutes}m{text}"
        if hours:
            text = f"{hours}h{text}"
    return sign + text


def human_duration(ns: int) -> str:
    """How long, for people: `3 minutes`, `About an hour`, `2 weeks` (the words of ps and images)."""
    seconds = int(ns / NANO)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{seconds // 3600 // 24 // 365} years"


# ---------------------------------------------------------------- sizes


def parse_size(text: str) -> int:
    """Bytes of `10m`, `1.5g`, `64KiB`, `512` (binary multiples, as docker's RAM sizes). Raises InvalidArgument."""
    cut = max((text.rfind(ch) for ch in "0123456789. "), default=-1)
    if cut < 0 or len(text) > 64:
        raise InvalidArgument(f"invalid size: '{text[:80]}'")
    number, suffix = (text[:cut], text[cut + 1 :]) if text[cut] == " " else (text[: cut + 1], text[cut + 1 :])
    try:
        if "_" in number or not number.strip() == number:
            raise ValueError
        value = float(number)
    except ValueError:
        raise InvalidArgument(f"invalid size: '{text}'") from None
    if not 0 <= value < 2**63:
        raise InvalidArgument(f"invalid size: '{text}'")
    exact = int(number) if number.isascii() and number.isdigit() else None
    suffix = suffix.lower()
    if suffix in ("", "b"):
        return exact if exact is not None else int(value)
    if suffix[0] not in _BINARY or suffix[1:] not in ("", "b", "ib"):
        raise InvalidArgument(f"invalid suffix: '{suffix}'")
    scale = _BINARY[suffix[0]]
    result = exact * scale if exact is not None else int(value * scale)
    if result >= 2**63:
        raise InvalidArgument(f"invalid size: '{text}'")
    return result


def _general(value: float, precision: int) -> str:
    return f"{value:.{precision}g}"


def human_size(size: float, precision: int = 4) -> str:
    """Decimal size: `13.3kB`, `1.24GB` (docker prints images and df with precision 3)."""
    names = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
    index = 0
    while size >= 1000 and index < len(names) - 1:
        size /= 1000
        index += 1
    return _general(size, precision) + names[index]


def bytes_size(size: float) -> str:
    """Binary size: `7.5GiB`, `512KiB`."""
    names = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
    index = 0
    while size >= 1024 and index < len(names) - 1:
        size /= 1024
        index += 1
    return _general(size, 4) + names[index]

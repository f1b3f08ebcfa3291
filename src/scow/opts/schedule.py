"""When a job runs by the clock (label `scow.cron`; `deploy.x-cron` of stacks): five fields, or @hourly, @daily … Times are UTC.

Pure; read by managers and by the client.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from scow.errors import InvalidArgument

LABEL = "scow.cron"
OVERLAP = "scow.cron.overlap"
"""What a time does while the run before still goes on: `replace` it (the default), or `skip` the time."""
_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MAX_LOOK = 366 * 9  # from one 29 February to the next, where a century lies between
_MINUTE_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Schedule:
    """A parsed expression; times are UTC."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def _fits_day(self, day: datetime.date) -> bool:
        if day.month not in self.months:
            return False
        by_date, by_week = day.day in self.days, (day.weekday() + 1) % 7 in self.weekdays
        if self.any_day or self.any_weekday:
            return by_date and by_week
        return by_date or by_week  # both given: either will do, as cron has always had it

    def after(self, ns: int) -> int | None:
        """The first time after `ns` (nanoseconds since the epoch); None when there is none for years."""
        start = datetime.datetime.fromtimestamp((ns // _MINUTE_NS + 1) * 60, datetime.UTC)
        day = start.date()
        for offset in range(_MAX_LOOK):
            if self._fits_day(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        at = datetime.datetime(day.year, day.month, day.day, hour, minute, tzinfo=datetime.UTC)
                        if offset or at >= start:
                            return int(at.timestamp()) * 10**9
            day += datetime.timedelta(days=1)
        return None


def skips(labels: Mapping[str, str]) -> bool:
    """Whether a time is left out while the run before goes on. Raises InvalidArgument."""
    value = labels.get(OVERLAP, "replace")
    if value not in ("replace", "skip"):
        raise InvalidArgument(f"label {OVERLAP}={value[:40]!r} is none of replace, skip")
    return value == "skip"


def parse(text: str) -> Schedule:
    """Raises InvalidArgument."""
    fields = _NAMED.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise InvalidArgument(
            f"label {LABEL}={text[:100]!r} is no schedule: it has five fields (minute hour day month weekday, in UTC), or is @daily …"
        )
    sets = [_field(field, number) for number, field in enumerate(fields)]
    weekdays = frozenset(day % 7 for day in sets[4])
    by_date = not fields[2].startswith("*") and fields[4].startswith("*")
    if by_date and not any(day <= _LONGEST_MONTHS[month - 1] for day in sets[2] for month in sets[3]):
        raise InvalidArgument(f"label {LABEL}={text[:100]!r} never comes: those months do not have that day")
    return Schedule(sets[0], sets[1], sets[2], sets[3], weekdays, fields[2].startswith("*"), fields[4].startswith("*"))


def _field(text: str, number: int) -> frozenset[int]:
    low, high = _RANGES[number]
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        every = _number(step, number) if step else 1
        if span == "*":
            first, last = low, high
        else:
            begin, dash, end = span.partition("-")
            first = _number(begin, number)
            last = _number(end, number) if dash else (high if step else first)
        if not low <= first <= last <= high or every < 1:
            raise InvalidArgument(f"label {LABEL}: {text[:60]!r} is not between {low} and {high}")
        found |= set(range(first, last + 1, every))
    return frozenset(found)


def _number(text: str, number: int) -> int:
    names = _MONTHS if number == 3 else _DAYS if number == 4 else ()
    if text in names:
        return names.index(text) + (1 if number == 3 else 0)
    if not text.isascii() or not text.isdigit() or len(text) > 3:
        raise InvalidArgument(f"label {LABEL}: {text[:60]!r} is no number")
    return int(text)

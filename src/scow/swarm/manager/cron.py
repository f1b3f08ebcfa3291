"""Jobs that run by the clock: a job service with the label `scow.cron` (five fields, or @hourly, @daily …) begins a new iteration at each
time. The time of the last one is in the service, so that each fires once, also when another manager comes to lead in between; times that
passed while nobody led are made up for once. A clock set back by up to three hours repeats nothing; one that was wrong by more counts
anew from where it is set."""

import datetime
from dataclasses import dataclass

from scow import log
from scow.errors import InvalidArgument
from scow.swarm.clock import Clock
from scow.swarm.objects import Service
from scow.swarm.store.store import Store, Tx

logger = log.get(__name__)

LABEL = "scow.cron"
_EVERY_SECONDS = 1.0
_NAMED = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MAX_LOOK = 366 * 5
_MINUTE_NS = 60 * 10**9
_SET_BACK_NS = 3 * 60 * _MINUTE_NS


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


def parse(text: str) -> Schedule:
    """Raises InvalidArgument."""
    fields = _NAMED.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise InvalidArgument(
            f"label {LABEL}={text[:100]!r} is no schedule: it has five fields (minute hour day month weekday), or is @daily …"
        )
    sets = [_field(field, number) for number, field in enumerate(fields)]
    weekdays = frozenset(day % 7 for day in sets[4])
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


class Cron:
    """The leader's watch on the clock."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Look every second; runs while this manager leads."""
        while True:
            await self._clock.sleep(_EVERY_SECONDS)
            for service in self._store.all(Service):
                if LABEL in service.labels and service.mode.endswith("-job"):
                    await self._consider(service)

    async def _consider(self, service: Service) -> None:
        try:
            schedule = parse(service.labels[LABEL])
        except InvalidArgument:
            return  # refused when it was made; a label added later says nothing
        now = self._clock.now_ns()
        last = service.job_executed_ns or service.created_ns
        wrong = last > now + _SET_BACK_NS  # that was no time of this world: without a new beginning the job would never run
        due = schedule.after(last)
        if not wrong and (due is None or due > now):
            return

        def write(tx: Tx) -> bool:
            fresh = tx.get(Service, service.id)
            if fresh is None or fresh.job_executed_ns != service.job_executed_ns:
                return False
            tx.update(fresh.changed(job_iteration=fresh.job_iteration + (not wrong), job_executed_ns=now))
            return not wrong

        if await self._store.update(write):
            logger.info("job %s begins by its schedule", service.name)

"""How fast one client may ask: token buckets by address, bounded in number. Pure but for the clock it is given."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MANY = 20_000


class Buckets:
    """`rate` per second for each key, with bursts of `burst`; 0 lets everything pass."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key: (level, when)

    def _level(self, key: str, now: float) -> float:
        level, at = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate)

    def wait(self, key: str) -> float:
        """Seconds until the key may go on, 0 when at once. Takes nothing."""
        if not self._rate:
            return 0.0
        level = self._level(key, self._clock())
        return 0.0 if level >= 1 else (1 - level) / self._rate

    def take(self, key: str) -> None:
        """The key has used one."""
        if not self._rate:
            return
        now = self._clock()
        level = self._level(key, now) - 1
        self._levels.pop(key, None)
        self._levels[key] = (max(level, -self._burst), now)
        if len(self._levels) > _MANY:
            self._levels.popitem(last=False)

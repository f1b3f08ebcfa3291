"""The keeper's event loop: epoll, callbacks by descriptor, timers. Nothing is stored."""

import heapq
import itertools
import select
import time
import traceback
from collections.abc import Callable

IN, OUT, HUP, ERR = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP, select.EPOLLERR
Handler = Callable[[int], None]
_PATIENCE = 20


class Timer:
    """A call to come; `cancel` makes it nothing."""

    __slots__ = ("fn",)

    def __init__(self, fn: Callable[[], None]) -> None:
        self.fn: Callable[[], None] | None = fn

    def cancel(self) -> None:
        """Don't call."""
        self.fn = None


class Loop:
    """Level-triggered: a handler that leaves data behind is called again after all others had their turn."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._masks: dict[int, int] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._failures = 0
        self.stopped = False

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Call `handler(events)` on `mask` events of `fd` (0: hang-up only)."""
        if fd not in self._handlers:
            self._epoll.register(fd, mask)
        elif self._masks[fd] != mask:
            self._epoll.modify(fd, mask)
        self._masks[fd] = mask
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Watch `fd` no more; not watched is fine. Before it is closed."""
        if self._handlers.pop(fd, None) is not None:
            del self._masks[fd]
            self._epoll.unregister(fd)

    def after(self, seconds: float, fn: Callable[[], None]) -> Timer:
        """Call `fn` once, later."""
        timer = Timer(fn)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def run(self) -> None:
        """Serve until `stopped`."""
        while not self.stopped:
            timeout = -1.0
            if self._timers:
                timeout = max(0.0, self._timers[0][0] - time.monotonic())
            for fd, events in self._epoll.poll(timeout):
                handler = self._handlers.get(fd)
                if handler is not None:
                    self._call(fd, handler, events)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                fn = heapq.heappop(self._timers)[2].fn
                if fn is not None:
                    try:
                        fn()
                    except Exception:
                        traceback.print_exc()

    def _call(self, fd: int, handler: Handler, events: int) -> None:
        """One failing descriptor must not end the holder of all containers; one that goes on failing is left alone."""
        try:
            handler(events)
        except Exception:
            traceback.print_exc()
            self._failures += 1
            if self._failures >= _PATIENCE:
                self._failures = 0
                self.forget(fd)

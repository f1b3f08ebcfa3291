"""Asynchronous building blocks of the daemon: named tasks, locks by key, undo stacks, the thread pool.

Nothing else in the daemon starts tasks or threads.
"""

import asyncio
import contextlib
import contextvars
import functools
import inspect
import select
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

from scow import log

logger = log.get(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_POOL_THREADS = 8
_pool: ThreadPoolExecutor | None = None
_pool_behind: ThreadPoolExecutor | None = None
_is_behind: contextvars.ContextVar[bool] = contextvars.ContextVar("behind", default=False)


async def in_pool(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run blocking `fn` in the bounded thread pool. A cancelled caller leaves the call running to its end."""
    global _pool, _pool_behind
    if _is_behind.get():
        if _pool_behind is None:
            _pool_behind = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="scow-behind")
        return await asyncio.get_running_loop().run_in_executor(_pool_behind, functools.partial(fn, *args, **kwargs))
    if _pool is None:
        _pool = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="scow-pool")
    return await asyncio.get_running_loop().run_in_executor(_pool, functools.partial(fn, *args, **kwargs))


async def behind(fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await `fn(…)` with its `in_pool` calls in a pool of their own: clean-up that waits for the kernel never holds up an answer."""
    token = _is_behind.set(True)
    try:
        return await fn(*args, **kwargs)
    finally:
        _is_behind.reset(token)


async def in_thread(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run `fn` in a thread of its own: for calls that may hang for minutes (a mount whose server is away) and must not fill the pool."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error is not None else future.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has gone meanwhile
            loop.call_soon_threadsafe(settle, result, failed)

    threading.Thread(target=run, name=f"scow-{getattr(fn, '__name__', 'call')}", daemon=True).start()
    return await future


async def readable(fd: int) -> None:
    """Wait until `fd` has something to read or has ended: data, the last writer's hang-up, a pidfd's process. One waiter a descriptor."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_reader, loop.remove_reader)


async def writable(fd: int) -> None:
    """Wait until `fd` takes bytes again, or is broken. One waiter a descriptor."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_writer, loop.remove_writer)


async def _ready(fd: int, add: Callable[[int, Callable[[], None]], object], remove: Callable[[int], object]) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ready() -> None:
        if not future.done():
            future.set_result(None)

    add(fd, ready)
    try:
        await future
    finally:
        remove(fd)


async def holds(condition: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    """Wait until a condition holds that nobody tells of, looking at it `every` so many seconds; whether it did within `seconds`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not condition():
        if loop.time() >= until:
            return False
        await asyncio.sleep(every)
    return True


def hung_up(fd: int) -> bool:
    """Whether the other side of a socket closed the connection both ways (a half-close is none)."""
    poller = select.poll()
    try:
        poller.register(fd, 0)
        return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poller.poll(0))
    except (OSError, ValueError):
        return True


def heed_cancel() -> None:
    """For loops that go on after failures: raise CancelledError where the running task has been cancelled. A TaskGroup one of whose tasks
    fails at that moment raises the failure only, and the loop would never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class Supervisor:
    """Keeps the tasks of one service: named, counted, their failures logged once, ended together."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, coro: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start `coro` as a task that lives until it ends or `close` is called."""
        task = asyncio.get_running_loop().create_task(coro, name=f"{self._name}:{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("task %s failed", task.get_name(), exc_info=error)

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until the tasks of this moment have ended, at most `timeout` seconds."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)

    async def close(self) -> None:
        """Cancel all tasks and wait for their clean-up."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class KeyedLock:
    """A lock for each key, made when first asked for and forgotten when nobody holds or awaits it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, list[int]]] = {}

    @asynccontextmanager
    async def __call__(self, key: str) -> AsyncIterator[None]:
        lock, users = self._locks.setdefault(key, (asyncio.Lock(), [0]))
        users[0] += 1
        try:
            async with lock:
                yield
        finally:
            users[0] -= 1
            if not users[0]:
                del self._locks[key]

    def locked(self, key: str) -> bool:
        """Whether somebody holds the lock of `key`."""
        return key in self._locks and self._locks[key][0].locked()


class Unwind:
    """A stack of undo steps for a set-up that may fail half-way.

    unwind = Unwind()
    try:
        …; unwind.push(remove_link, name)
    except BaseException:
        await unwind.undo()
        raise
    """

    def __init__(self) -> None:
        self._steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def push(self, fn: Callable[..., Any | Awaitable[Any]], *args: Any) -> None:
        """Remember how to undo what was just done."""
        self._steps.append((fn, args))

    def keep(self) -> None:
        """The set-up succeeded: forget the steps."""
        self._steps.clear()

    async def undo(self) -> None:
        """Run the steps, newest first; an error is logged and the rest goes on."""
        while self._steps:
            fn, args = self._steps.pop()
            try:
                result = fn(*args)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                logger.exception("undo step %s failed", getattr(fn, "__name__", fn))

"""scowd: the entry point. Reads options, opens the sockets, answers `_ping`, then starts the engine behind them.

SIGTERM and SIGINT stop the daemon; containers live on where the options say so. SIGQUIT stops everything: containers end, and their
networks leave the kernel until the next start. SIGHUP reads the configuration file again.

Exit codes: 0 stopped or valid, 1 cannot start, 125 wrong command line.
"""

import contextlib
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from scow.errors import ScowError

if TYPE_CHECKING:
    from scow.daemon.notify import Manager
    from scow.daemon.options import Options

_SWITCH_INTERVAL = 0.001
_ARENAS = 2
"""Of malloc: the loop has one, its pool's threads take turns anyway. One each kept 12 MB more after a swarm of 20 tasks."""


def run(argv: list[str] | None = None) -> int:
    """The console script."""
    from scow.daemon import config

    arguments = sys.argv[1:] if argv is None else argv
    try:
        line = config.parse_args(arguments)
    except config.UsageError as error:
        sys.stderr.write(f"scowd: {error}\nSee 'scowd --help'.\n")
        return 125
    if line.help:
        sys.stdout.write(config.usage())
        return 0
    if line.version:
        from scow.system.names import ENGINE_VERSION

        sys.stdout.write(f"Scow version {ENGINE_VERSION}\n")
        return 0
    try:
        options = config.load(line.values)
        if options.validate:
            from scow.daemon import wiring

            wiring.check(options)
            sys.stdout.write("configuration OK\n")
            return 0
        return _serve(options, line.values)
    except ScowError as error:
        sys.stderr.write(f"scowd: {error.message}\n")
        return 1


def _serve(options: "Options", flags: dict[str, Any]) -> int:
    from pathlib import Path

    from scow import log
    from scow.daemon import config, notify, pidfile

    manager = notify.take(os.environ)
    log.setup(options.level, options.log_format == "json")
    logger = log.get(__name__)
    if os.geteuid() != 0:
        raise ScowError("scowd needs root: it makes namespaces, mounts and cgroups")
    for key in config.unsupported(options):
        logger.warning("the option %s is known and not supported yet: it has no effect", key)
    _prepare_process()
    gc.disable()  # until the engine stands: nothing that starting makes is garbage
    paths = options.paths
    locks = [pidfile.Lock(paths.data)]
    if paths.run != paths.data:
        locks.append(pidfile.Lock(paths.run))
    pid_path = Path(options.pidfile)
    pidfile.write(pid_path)
    try:
        import uvloop

        # one thread runs nearly everything; hand-overs to pool threads should not wait for Python's 5 ms
        sys.setswitchinterval(_SWITCH_INTERVAL)
        return int(uvloop.run(_main(options, flags, manager)))
    finally:
        pidfile.remove(pid_path)
        for lock in locks:
            lock.release()


def _prepare_process() -> None:
    import resource

    os.umask(0o022)
    with contextlib.suppress(OSError):
        os.chdir("/")
    with contextlib.suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


async def _main(options: "Options", flags: dict[str, Any], manager: "Manager") -> int:
    import asyncio
    import importlib

    from scow import log
    from scow.aio import Supervisor, in_pool
    from scow.api.app import App
    from scow.daemon import listeners
    from scow.daemon.lifecycle import Lifecycle, Step
    from scow.daemon.reload import Reloader
    from scow.http.server import Server

    logger = log.get(__name__)
    loop = asyncio.get_running_loop()
    stop, everything = asyncio.Event(), asyncio.Event()
    tasks = Supervisor("api")
    app = App(tasks)
    server = Server(app, tasks)
    lifecycle = Lifecycle()
    reloader = Reloader(options, flags, {})
    reloader.add("log level", lambda new: log.setup(new.level, new.log_format == "json"))
    _signals(loop, stop, everything, reloader)
    opened: list[listeners.Opened] = []

    async def listen() -> None:
        opened.extend(listeners.open_all(options, manager.sockets))
        for entry in opened:
            await server.listen(entry.sock, entry.tls)

    async def close() -> None:
        server.stop_listening()
        listeners.remove(opened)
        await server.close(_CONNECTION_GRACE)
        await tasks.close()

    status = 0
    try:
        await lifecycle.start(Step("listeners", listen, close))
        logger.info("API listen on %s", ", ".join(listeners.addresses(options)))
        # in a thread: `_ping` is answered meanwhile
        wiring = await in_pool(importlib.import_module, "scow.daemon.wiring")
        from scow.kernel import syscalls

        syscalls.share_arenas(_ARENAS)
        engine = await wiring.build(options, app, reloader, lifecycle)
        gc.freeze()  # modules and services stay: collections need not look at them again
        gc.enable()
        app.opened()
        logger.info("Daemon has completed initialization")
        manager.tell(READY=1, STATUS="containers are served")
        tasks.start(manager.keep_alive(), "watchdog")
        await stop.wait()
        manager.tell(STOPPING=1, STATUS="stopping")
        live_on = reloader.options.live_restore and not everything.is_set()
        logger.info("stopping: containers %s", "live on" if live_on else "are stopped")
        server.stop_listening()
        await engine.shutdown(reloader.options, everything.is_set())
    except ScowError as error:
        logger.error("cannot start: %s", error.message)
        manager.tell(STATUS=f"cannot start: {error.message}".replace("\n", " "))
        status = 1
    except Exception:
        logger.exception("cannot start")
        status = 1
    finally:
        await lifecycle.stop()
    return status


_CONNECTION_GRACE = 1.0


def _signals(loop: Any, stop: Any, everything: Any, reloader: Any) -> None:
    def down() -> None:
        everything.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGQUIT, down)
    loop.add_signal_handler(signal.SIGHUP, reloader.reload)


if __name__ == "__main__":
    sys.exit(run())

"""The task manager: containers' live side. Run, attach, exec, signal, and learn how each ended. Called by `containers`.

Stored: run/bundles/<id> (the caller's), run/crun (runtime state), run/exits (exit records, removed by `delete` only).
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal as signals
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from scow import aio, log
from scow.errors import Internal, InvalidArgument, ScowError
from scow.keeper import protocol
from scow.kernel import cgroups, pidfd, syscalls
from scow.logdrivers import forward
from scow.logdrivers.plan import LogPlan
from scow.runtime import live as parts
from scow.runtime import oci
from scow.runtime.live import Kit, Live
from scow.runtime.supervision import RunFailed, Supervision, to_exit
from scow.runtime.types import Attachment, Exit, NoTask, Runtime, Started, StartFailed, Stdio, Task, TaskSpec

__all__ = ["Attachment", "Exit", "LogPlan", "NoTask", "Runtime", "StartFailed", "Started", "Stdio", "Task", "TaskManager", "TaskSpec"]

logger = log.get(__name__)


class TaskManager:
    """All tasks of one engine. Set the callbacks before `recover`; each exit is told once, after its record is on disk."""

    def __init__(self, run_dir: Path, runtimes: dict[str, Runtime], default: str) -> None:
        self._run = run_dir
        self._root = run_dir / "crun"
        self._consoles = run_dir / "con"
        self._bundles = run_dir / "bundles"
        self._runtimes, self._default = runtimes, default
        self._super = Supervision(
            run_dir,
            self._settled,
            on_detach=lambda container, execution: self.on_detach(container, execution),
            reap_orphans=lambda: oci.reap_orphans(tuple(self._runtimes.values())),
        )
        self._tasks = aio.Supervisor("tasks")
        self._begun: dict[str, asyncio.Task[Started | ScowError]] = {}  # containers that are being brought to life
        self._forwards = aio.Supervisor("log drivers")
        self._early: dict[tuple[str, str], Live] | None = {}  # exits before `recover` has told what it found
        self._counter = 0
        self.on_exit: Callable[[str, Exit], None] = lambda container_id, result: None
        self.on_exec_exit: Callable[[str, str, Exit], None] = lambda container_id, exec_id, result: None
        self.on_oom: Callable[[str], None] = lambda container_id: None
        self.on_detach: Callable[[str, str], None] = lambda container_id, exec_id: None  # exec_id "" for the container itself

    async def open(self) -> None:
        """Start or find the keeper. Internal or OSError when neither works."""
        syscalls.set_child_subreaper()
        syscalls.keep_heap(1 << 20, 2 << 20)
        for directory in (self._run, self._root, self._consoles, self._bundles, self._super.exits_dir):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        await oci.prepare(self._run)
        await self._super.open()
        for entry in self._consoles.iterdir():  # of starts that a daemon's death met; the keeper has seen them through by now
            entry.unlink(missing_ok=True)

    async def close(self, end_keeper: bool = False) -> None:
        """Leave. Containers and their keeper go on; `end_keeper` ends it now if it holds none."""
        idle = not self._super.live
        await self._tasks.drain(10)
        await self._tasks.close()
        await self._forwards.close()
        await self._super.close(end_keeper)
        if idle and end_keeper:
            await oci.unprepare(self._run)

    async def recover(self) -> dict[str, Task | Exit]:
        """What is known of every container that ran: alive, or how it ended. Later exits come by the callbacks."""
        found: dict[str, Task | Exit] = {}
        for name in sorted(os.listdir(self._super.exits_dir)):
            record = protocol.read_record(str(self._super.exits_dir), name)
            if record is None or name.endswith(".tmp") or "." in name:
                execution = self._super.live.get((name.partition(".")[0], name.partition(".")[2]))
                if record is not None and execution is not None:
                    self._super.settle(execution, record)
                elif record is not None and not name.endswith(".tmp"):
                    container_id, _, exec_id = name.partition(".")
                    self.on_exec_exit(container_id, exec_id, to_exit(record))
                with contextlib.suppress(FileNotFoundError):
                    (self._super.exits_dir / name).unlink()
                continue
            process = self._super.live.get((name, ""))
            if process is None:
                found[name] = to_exit(record)
            elif not self._super.settle(process, record):
                with contextlib.suppress(FileNotFoundError):
                    (self._super.exits_dir / name).unlink()  # of an earlier process of this container
        for name in sorted(os.listdir(self._root)):
            if name not in found and (name, "") not in self._super.live:
                exit_ = await self._recover_orphan(name)
                if exit_ is not None:
                    found[name] = exit_
        await self._super.settled()
        settled, self._early = self._early or {}, None
        for (container_id, exec_id), process in settled.items():
            if exec_id:
                self._settled(process)
            elif process.exit is not None:
                found[container_id] = process.exit
        for (_, exec_id), process in self._super.live.items():
            if not exec_id:
                self._forward(process)
        execs: dict[str, list[str]] = {}
        for container_id, exec_id in self._super.live:
            if exec_id:
                execs.setdefault(container_id, []).append(exec_id)
        for (container_id, exec_id), process in self._super.live.items():
            if not exec_id and container_id not in found:
                found[container_id] = Task(container_id, process.pid, int(process.meta["at"]), tuple(execs.get(container_id, ())))
        return found

    async def _recover_orphan(self, container_id: str) -> Exit | None:
        """A container that the runtime knows and no keeper holds: its keeper and daemon died; its stdio is gone."""
        state = await self._state(container_id)
        pid = int(state.get("pid") or 0)
        if state.get("status") in ("running", "paused") and pid > 0:
            with contextlib.suppress(OSError):
                fd = pidfd.open_pid(pid)
                again = await self._state(container_id)
                if again.get("pid") == pid:
                    config = oci.read_config(Path(str(state.get("bundle", self._bundles / container_id))))
                    meta = self._meta(container_id, "", Stdio(), None, config) | {"pid": pid, "at": _started_ns(pid), "runtime": ""}
                    self._super.watch(Live(meta, {"pidfd": fd}))
                    return None
                os.close(fd)
        return Exit(255, 0, known=False)

    async def _state(self, container_id: str) -> dict[str, Any]:
        code, out, _ = await oci.run(oci.command(self._runtime(""), self._root, None, "state", container_id))
        with contextlib.suppress(ValueError):
            found = json.loads(out) if code == 0 else {}
            return found if isinstance(found, dict) else {}
        return {}

    def _runtime(self, name: str) -> Runtime:
        runtime = self._runtimes.get(name or self._default)
        if runtime is None:
            raise InvalidArgument(f"unknown or invalid runtime name: {name or self._default}")
        return runtime

    def _meta(self, container_id: str, exec_id: str, stdio: Stdio, plan: LogPlan | None, config: dict[str, Any]) -> dict[str, Any]:
        path = str(config.get("linux", {}).get("cgroupsPath", "")) if not exec_id else ""
        return {
            "id": container_id,
            "exec": exec_id,
            "pid": 0,
            "tty": stdio.tty,
            "once": stdio.stdin_once,
            "rows": stdio.rows,
            "cols": stdio.cols,
            "log": plan.for_keeper() if plan is not None else None,
            "oom": oci.oom_files(path),
            "cgroup": path,
            "forward": plan.to_dict() if plan is not None and plan.driver in forward.DRIVERS else None,
        }

    def _console(self) -> Path:
        self._counter += 1
        return self._consoles / f"{os.getpid()}.{self._counter}"

    # containers

    async def run(self, spec: TaskSpec) -> Started:
        """Start a container from its bundle with one `run --detach`. StartFailed, Internal.

        Attachments are connected before its first output. Once begun it goes on when the caller is cancelled: the exit is told in any case.
        """
        return await self._carry_on(self._run_task(spec), "run", spec.container_id)

    async def _carry_on(self, work: Coroutine[Any, Any, Started], name: str, container_id: str = "") -> Started:
        """Await work that is not cancelled with the caller. `container_id`: it brings this container to life."""

        async def guarded() -> Started | ScowError:
            try:
                return await work
            except ScowError as error:
                return error

        begun = self._tasks.start(guarded(), name)
        if container_id:
            self._begun[container_id] = begun
            begun.add_done_callback(lambda _: self._begun.pop(container_id, None))
        result = await asyncio.shield(begun)
        if isinstance(result, ScowError):
            raise result
        return result

    async def _run_task(self, spec: TaskSpec) -> Started:
        try:
            runtime = self._runtime(spec.runtime)
            config = oci.read_config(spec.bundle)
            if spec.log.path is not None:
                spec.log.path.parent.mkdir(parents=True, exist_ok=True, mode=0o710)
            with contextlib.suppress(FileNotFoundError):
                (self._super.exits_dir / spec.container_id).unlink()
            plan = spec.log.for_keeper()
            kit = Kit(spec.stdio, plan is not None, spec.attachments, self._console())
        except BaseException:
            for attachment in spec.attachments:
                attachment.sock.close()
            raise
        meta = self._meta(spec.container_id, "", spec.stdio, spec.log, config) | {"runtime": spec.runtime}
        files = (spec.bundle / "pid", spec.bundle / "runtime.log")
        words = ["run", "--detach", "--bundle", str(spec.bundle), "--pid-file", str(files[0])]
        if kit.console is not None:
            words += ["--console-socket", str(kit.console)]
        argv = oci.command(runtime, self._root, files[1], *words, spec.container_id)
        (spec.bundle / "runtime").write_text(spec.runtime)

        async def undo() -> None:
            await self._delete_state(spec.container_id, spec.runtime)

        try:
            process = await self._super.launch(meta, argv, files, kit, undo)
        except RunFailed as error:
            # runtimes clean up after a failure themselves, most of the time
            self._tasks.start(undo(), "undo")
            raise oci.start_error(error.message, config.get("process", {}).get("args", []), running=False) from None
        finally:
            kit.close()
        self._forward(process)
        return Started(process.pid, int(process.meta["at"]))

    def _forward(self, process: Live) -> None:
        """Send the log on, for the drivers that do."""
        if stored := process.meta.get("forward"):
            plan = LogPlan.from_dict(stored)
            self._forwards.start(forward.forward(plan, process.container_id, lambda: process.exit is not None), "forward")

    def _live(self, container_id: str, exec_id: str = "") -> Live:
        process = self._super.live.get((container_id, exec_id))
        if process is None:
            raise NoTask(f"exec {exec_id} is not running" if exec_id else f"container {container_id} is not running")
        return process

    async def attach(self, container_id: str, attachment: Attachment) -> None:
        """Connect a client to a live container from now on. NoTask."""
        await self.exec_attach(container_id, "", attachment)

    async def resize(self, container_id: str, rows: int, cols: int) -> None:
        """Set the terminal's size; without a terminal nothing happens. NoTask."""
        await self.exec_resize(container_id, "", rows, cols)

    async def signal(self, container_id: str, signum: int, all: bool = False) -> None:
        """Signal the init process, or with `all` every process. NoTask."""
        process = self._live(container_id)
        if all:
            for pid in oci.cgroup_pids(oci.cgroup_directories(process.meta["cgroup"])):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signum)
            return
        self._signal(process, signum)

    def _signal(self, process: Live, signum: int) -> None:
        try:
            pidfd.send_signal(process.fds["pidfd"], signum)
        except ProcessLookupError:
            raise NoTask(f"container {process.container_id} is not running") from None

    async def pause(self, container_id: str) -> None:
        """Freeze all processes. NoTask, Internal."""
        await self._simple(container_id, "pause")

    async def resume(self, container_id: str) -> None:
        """Thaw. NoTask, Internal."""
        await self._simple(container_id, "resume")

    async def _simple(self, container_id: str, verb: str, *words: str) -> None:
        process = self._live(container_id)
        argv = oci.command(self._runtime(process.meta.get("runtime", "")), self._root, None, verb, *words, container_id)
        code, _, text = await oci.run(argv)
        if code != 0:
            if any(sign in text for sign in ("is not running", "No such process", "does not exist")):
                raise NoTask(f"container {container_id} is not running")  # it ended meanwhile; its exit is on the way
            raise Internal(f"cannot {verb} container {container_id}: OCI runtime {verb} failed: {oci.log_text(text)}: unknown")

    async def pids(self, container_id: str) -> list[int]:
        """Host process ids of the container's processes. NoTask."""
        process = self._live(container_id)
        return oci.cgroup_pids(oci.cgroup_directories(process.meta["cgroup"])) or [process.pid]

    async def update(self, container_id: str, resources: dict[str, Any]) -> None:
        """Set new OCI `linux.resources` on a live container. NoTask, Internal."""
        self._live(container_id)
        bundle = self._bundles / container_id
        path = bundle / "resources.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        cpu = dict(resources.get("cpu") or {})
        unlimited = cpu.get("quota", 0) < 0
        if unlimited:  # crun writes it as a number without sign, which the kernel refuses
            del cpu["quota"]
            resources = {name: value for name, value in {**resources, "cpu": cpu}.items() if value}
        path.write_text(json.dumps(resources))
        try:
            if resources:
                await self._simple(container_id, "update", "--resources", str(path))
            if unlimited:
                group = str(oci.read_config(bundle).get("linux", {}).get("cgroupsPath", ""))
                await aio.in_pool(cgroups.manager().lift_quota, group)
        except OSError as error:
            raise Internal(f"the CPU quota of container {container_id} cannot be lifted: {error.strerror}") from error
        finally:
            path.unlink(missing_ok=True)

    async def _delete_state(self, container_id: str, runtime: str) -> None:
        if (self._root / container_id).exists():
            argv = oci.command(self._runtime(runtime), self._root, None, "delete", "--force", container_id)
            code, _, text = await oci.run(argv)
            if code != 0 and (self._root / container_id).exists():
                logger.warning("runtime state of %s: %s", container_id, oci.log_text(text))

    async def delete(self, container_id: str, runtime: str = "", ended: bool = False) -> None:
        """Remove what an ended container left: runtime state, cgroup, bundle, exit record. A live one is killed, absent is fine.

        `ended`: it is known to have ended and has no hooks, so the runtime is not asked (a step of a build)."""
        if (begun := self._begun.get(container_id)) is not None:
            await asyncio.wait([begun])  # whoever asked for it was cancelled; deleted now, it would live on and nobody would know
        bundle = self._bundles / container_id
        with contextlib.suppress(OSError):
            runtime = (bundle / "runtime").read_text()
        if ended and (container_id, "") not in self._super.live:
            await aio.in_pool(shutil.rmtree, self._root / container_id, True)
        else:
            await self._delete_state(container_id, runtime)
        with contextlib.suppress(ScowError, OSError):
            group = str(oci.read_config(bundle).get("linux", {}).get("cgroupsPath", ""))
            await aio.in_pool(oci.clear_plain_groups, group)
            if container_id in group:  # a run that failed leaves them
                await aio.in_pool(cgroups.manager().delete, group)
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(bundle):
                with contextlib.suppress(OSError):
                    # never into directories: a rootfs may still be mounted there
                    os.rmdir(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
            with contextlib.suppress(OSError):
                os.rmdir(bundle)
        for name in os.listdir(self._super.exits_dir):
            if name.partition(".")[0] == container_id:  # its own record, and those of its execs
                with contextlib.suppress(FileNotFoundError):
                    (self._super.exits_dir / name).unlink()

    # execs

    async def exec(
        self, container_id: str, exec_id: str, process: dict[str, Any], stdio: Stdio, attachments: list[Attachment] | None = None
    ) -> Started:
        """Run one more process (OCI `process` object) in a live container. NoTask, StartFailed, Internal.

        Goes on when the caller is cancelled.
        """
        clients = attachments or []
        return await self._carry_on(self._exec(container_id, exec_id, process, stdio, clients), "exec")

    async def _exec(self, container_id: str, exec_id: str, process: dict[str, Any], stdio: Stdio, clients: list[Attachment]) -> Started:
        try:
            container = self._live(container_id)
            runtime = self._runtime(container.meta.get("runtime", ""))
            kit = Kit(stdio, False, clients, self._console())
        except BaseException:
            for attachment in clients:
                attachment.sock.close()
            raise
        base = self._bundles / container_id
        base.mkdir(parents=True, exist_ok=True)
        description, *rest = (base / f"exec-{exec_id}.{suffix}" for suffix in ("json", "pid", "log"))
        pid_file, log_file = rest
        try:
            description.write_text(json.dumps({**process, "terminal": stdio.tty}))
            words = ["exec", "--detach", "--pid-file", str(pid_file), "--process", str(description)]
            if kit.console is not None:
                words += ["--console-socket", str(kit.console)]
            argv = oci.command(runtime, self._root, log_file, *words, container_id)
            meta = self._meta(container_id, exec_id, stdio, None, {})

            async def undo() -> None:
                return None

            live = await self._super.launch(meta, argv, (pid_file, log_file), kit, undo)
        except RunFailed as error:
            if (container_id, "") not in self._super.live:
                raise NoTask(f"container {container_id} is not running") from None
            raise oci.start_error(error.message, process.get("args", []), running=True) from None
        finally:
            kit.close()
            for path in (description, pid_file, log_file):
                path.unlink(missing_ok=True)
        return Started(live.pid, int(live.meta["at"]))

    async def exec_signal(self, container_id: str, exec_id: str, signum: int = signals.SIGKILL) -> None:
        """Signal an exec's process. NoTask."""
        self._signal(self._live(container_id, exec_id), signum)

    async def exec_resize(self, container_id: str, exec_id: str, rows: int, cols: int) -> None:
        """Set the size of an exec's terminal. NoTask."""
        process = self._live(container_id, exec_id)
        if process.meta["tty"]:
            await self._super.ask((container_id, exec_id), {"op": "resize", "rows": min(rows, 65535), "cols": min(cols, 65535)})

    async def exec_attach(self, container_id: str, exec_id: str, attachment: Attachment) -> None:
        """Connect a client to a live exec. NoTask."""
        fds = {"client0": attachment.sock.fileno()}
        try:
            self._live(container_id, exec_id)
            if attachment.early:
                fds["early0"] = parts.early_file(attachment.early)
            await self._super.ask((container_id, exec_id), {"op": "attach", "clients": [parts.options(attachment)]}, fds)
        except Internal:
            if (container_id, exec_id) not in self._super.live:
                raise NoTask(f"container {container_id} is not running") from None
            raise
        finally:
            attachment.sock.close()
            if "early0" in fds:
                os.close(fds["early0"])

    # exits

    def _settled(self, process: Live) -> None:
        if self._early is not None:
            self._early[process.container_id, process.exec_id] = process
            return
        assert process.exit is not None
        if process.exec_id:
            with contextlib.suppress(FileNotFoundError):
                (self._super.exits_dir / protocol.record_name(process.container_id, process.exec_id)).unlink()
            self.on_exec_exit(process.container_id, process.exec_id, process.exit)
            return
        if process.exit.oom:
            self.on_oom(process.container_id)
        self.on_exit(process.container_id, process.exit)


def _started_ns(pid: int) -> int:
    """Start time of a process, ns since the epoch; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
    since_boot = ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + since_boot

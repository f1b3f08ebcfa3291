"""Driving an OCI runtime (crun, runc, any other): command lines, running one and awaiting it, its errors in dockerd's words.

Stored: the runtime's state in run/crun. `prepare` makes cgroups acceptable to crun once per daemon start.
"""

import asyncio
import contextlib
import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scow import aio, log
from scow.errors import Internal
from scow.kernel import pidfd, spawn, syscalls
from scow.runtime.types import Runtime, StartFailed

logger = log.get(__name__)
_COMMAND_TIMEOUT = 60.0
_MAX_OUTPUT = 1 << 20
_commands: set[int] = set()  # our own runtime commands under way


def reap_orphans(runtimes: Sequence[Runtime]) -> None:
    """Reap what a dead keeper was running: runtime commands and compressors."""
    names = {os.path.basename(runtime.path)[:15] for runtime in runtimes} | {"crun", "runc", "exe", "nice", "gzip", "scow-keeper"}
    pidfd.reap_orphans(frozenset(names), frozenset(_commands))


def command(runtime: Runtime, root: Path, log_file: Path | None, *words: str) -> list[str]:
    """The argument list of a runtime command."""
    logs = ["--log-format", "json", "--log", str(log_file)] if log_file is not None else []
    return [runtime.path, *runtime.args, "--root", str(root), *logs, *words]


async def run(argv: Sequence[str], timeout: float = _COMMAND_TIMEOUT) -> tuple[int, str, str]:
    """Run a short command to its end: exit code, output, error text. Internal when it cannot start or does not end in time."""
    out = os.memfd_create("out", os.MFD_CLOEXEC)
    err = os.memfd_create("err", os.MFD_CLOEXEC)
    try:
        try:
            pid = spawn.spawn(argv, {1: out, 2: err})
            process = pidfd.open_pid(pid)
        except OSError as error:
            raise Internal(f"{argv[0]}: {error.strerror}") from error
        _commands.add(pid)
        try:
            async with asyncio.timeout(timeout):
                await aio.readable(process)
        except TimeoutError:
            raise Internal(f"{os.path.basename(argv[0])} did not answer in {timeout:.0f} s") from None
        finally:
            code = pidfd.reap(process)
            if code is None:
                with contextlib.suppress(ProcessLookupError):
                    pidfd.send_signal(process, 9)
                with contextlib.suppress(ChildProcessError):
                    os.waitid(os.P_PIDFD, process, os.WEXITED)  # noqa: ASYNC222  it has just been killed
                code = 137
            _commands.discard(pid)
            os.close(process)
        texts = [os.pread(fd, _MAX_OUTPUT, 0).decode(errors="replace") for fd in (out, err)]
        return code, texts[0], texts[1].strip()
    finally:
        os.close(out)
        os.close(err)


def log_text(raw: str) -> str:
    """The last error message of a runtime's JSON log (or the text itself when it is none)."""
    message = ""
    for line in raw.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level", "error") in ("error", "fatal"):
            message = str(entry.get("msg", message))
    return message or raw.strip()[-2000:]


def start_error(raw: str, args: Sequence[str], running: bool) -> StartFailed:
    """dockerd's error for a start (or with `running` an exec) that failed; `args` is the process's command."""
    text = log_text(raw)
    lower = text.lower()
    program = args[0] if args else ""
    about_program = "executable file" in lower or "exec" in lower.split() or "open executable" in lower or f"`{program}`" in text
    code = 128
    if args and not program:  # crun opens the directory itself
        code = 127
        text = 'exec: "": executable file not found in $PATH'
    elif about_program and ("no such file" in lower or "not found" in lower):
        code = 127
        what = f"stat {program}: no such file or directory" if "/" in program else "executable file not found in $PATH"
        text = f'exec: "{program}": {what}'
    elif about_program and ("is a directory" in lower or "operation not permitted" in lower):
        code = 126
        text = f'exec: "{program}": is a directory'
    elif about_program and "permission denied" in lower:
        code = 126
        text = f'exec: "{program}": permission denied'
    elif "no such file or directory" in lower or "executable file not found" in lower:
        code = 127
        text = text.replace("No such file or directory", "no such file or directory")
    elif "permission denied" in lower or "is a directory" in lower or "not a directory" in lower:
        code = 126
        text = text.replace("Permission denied", "permission denied")
    if running:
        return StartFailed(f"OCI runtime exec failed: exec failed: unable to start container process: {text}: unknown", code)
    return StartFailed(
        "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
        f"unable to start container process: {text}: unknown",
        code,
    )


def read_config(bundle: Path) -> dict[str, Any]:
    """The bundle's config.json; Internal when there is none."""
    try:
        found = json.loads((bundle / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise Internal(f"bundle {bundle}: {error}") from error
    if not isinstance(found, dict):
        raise Internal(f"bundle {bundle}: config.json is no object")
    return found


_V1_MEMORY = Path("/sys/fs/cgroup/memory")
_UNIFIED = Path("/sys/fs/cgroup")


def cgroup_directories(path: str) -> list[str]:
    """Where the cgroup `path` of a container lies, the one to list processes of first."""
    if not path or ":" in path:
        return []
    relative = path.lstrip("/")
    if (_UNIFIED / "cgroup.controllers").exists():
        return [str(_UNIFIED / relative)]
    return [str(root / relative) for name in ("memory", "pids", "devices", "freezer") if (root := _UNIFIED / name).is_dir()]


def oom_files(path: str) -> list[str]:
    """The files that count out-of-memory kills of the cgroup."""
    if not path or ":" in path:
        return []
    relative = path.lstrip("/")
    if (_UNIFIED / "cgroup.controllers").exists():
        return [str(_UNIFIED / relative / "memory.events")]
    return [str(_V1_MEMORY / relative / "memory.oom_control")]


def cgroup_pids(directories: Sequence[str]) -> list[int]:
    """The processes of a cgroup and those below it, from the first directory that is there."""
    for directory in directories:
        found: list[int] = []
        for here, _, _ in os.walk(directory):
            with contextlib.suppress(OSError):
                with open(os.path.join(here, "cgroup.procs")) as file:
                    found.extend(int(line) for line in file if line.strip() not in ("", "0"))
        if found:
            return sorted(set(found))
    return []


# what cgroup v2 lists as controllers, by their v1 names; each one more mounted costs every container a cgroup
_ON_UNIFIED = frozenset({"cpuset", "cpu", "blkio", "memory", "hugetlb", "pids", "rdma", "misc", "dmem"})


def _homeless() -> list[str]:
    """On a hybrid host the controllers mounted nowhere: unless held on v1 they are on v2, and crun refuses."""
    if (_UNIFIED / "cgroup.controllers").exists() or not (_UNIFIED / "unified").is_dir():
        return []
    try:
        lines = Path("/proc/cgroups").read_text().splitlines()[1:]
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return []
    enabled = [fields[0] for line in lines if (fields := line.split())[3:4] == ["1"]]
    mounted: set[str] = set()
    for line in mounts:
        fields = line.split(" ")
        if fields[2] == "cgroup" and fields[1].startswith(f"{_UNIFIED}/"):
            mounted.update(fields[3].split(","))
    return [name for name in enabled if name in _ON_UNIFIED and name not in mounted]


async def prepare(run_dir: Path) -> None:
    """Give crun a host it accepts: on a hybrid host mount the controllers that would be on v2 as v1.

    At their usual place, where they stay: crun writes plain files there that nobody removes when it is no cgroup. Else below run/cgroup.
    """
    for name in _homeless():
        target = _UNIFIED / name
        try:
            target.mkdir(exist_ok=True)
        except OSError:
            target = run_dir / "cgroup" / name
            target.mkdir(parents=True, exist_ok=True)
        if os.path.ismount(target):
            continue
        for attempt in range(100):
            try:
                syscalls.checked(syscalls.libc.mount(b"cgroup", os.fsencode(target), b"cgroup", 0, name.encode()))
                break
            except OSError as error:
                # a hierarchy that another engine has just given up takes a moment to go
                if error.errno != errno.EBUSY or attempt == 99:
                    logger.warning("controller %s stays on cgroup v2: %s", name, error)
                    break
            await asyncio.sleep(0.02)


def clear_plain_groups(path: str) -> None:
    """Remove the plain directories that crun makes where a controller has no mount below /sys/fs/cgroup: its `delete` leaves them."""
    relative = path.strip("/")
    if not relative or ".." in relative.split("/"):
        return
    for name in _homeless():
        group = _UNIFIED / name / relative
        if group.is_dir() and not os.path.ismount(_UNIFIED / name):
            shutil.rmtree(group, ignore_errors=True)


async def unprepare(run_dir: Path) -> None:
    """Take the mounts of `prepare` away, as far as nobody uses them."""

    def undo() -> None:
        with contextlib.suppress(OSError):
            for target in (run_dir / "cgroup").iterdir():
                syscalls.libc.umount2(os.fsencode(target), 2)
                target.rmdir()
            (run_dir / "cgroup").rmdir()

    await aio.in_pool(undo)

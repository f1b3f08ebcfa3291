"""Containers through keeper and crun: exit codes, logs, attach, terminals, exec, deaths of keeper and daemon."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from scow.runtime.task import Attachment, Exit, StartFailed, Stdio, Task
from tests.integration.runtime.conftest import Bench, read_all, read_until, until, use


def pair(**options: object) -> tuple[socket.socket, Attachment]:
    ours, theirs = socket.socketpair()
    return ours, Attachment(theirs, **options)  # type: ignore[arg-type]


def test_exit_code_and_log(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        spec = bench.spec("sh", "-c", "echo out; echo err >&2; exit 7")
        started = await bench.manager.run(spec)
        assert started.pid > 0
        result = await bench.ended(spec.container_id)
        assert (result.code, result.known) == (7, True)
        assert sorted((r["log"], r["stream"]) for r in bench.records(spec)) == [("err\n", "stderr"), ("out\n", "stdout")]
        assert (bench.run_dir / "exits" / spec.container_id).exists()
        await bench.manager.delete(spec.container_id)
        assert not (bench.run_dir / "exits" / spec.container_id).exists()
        assert not spec.bundle.exists()

    use(bench, scenario)


def test_missing_program_is_127(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(StartFailed, match=r"executable file not found in \$PATH: unknown") as caught:
            await bench.manager.run(bench.spec("nope"))
        assert caught.value.exit_code == 127
        with pytest.raises(StartFailed, match=r"is a directory|permission denied") as caught:
            await bench.manager.run(bench.spec("/bin"))
        assert caught.value.exit_code == 126
        with pytest.raises(StartFailed, match="stat /bin/nope: no such file or directory"):
            await bench.manager.run(bench.spec("/bin/nope"))

    use(bench, scenario)


def test_a_run_that_was_given_up_halfway_leaves_no_process(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        mark = f"1000{os.getpid()}"
        for seconds in (number * 0.002 for number in range(30)):
            spec = bench.spec("sleep", mark)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(bench.manager.run(spec), seconds)
            await bench.manager.delete(spec.container_id)
            assert not spec.bundle.exists()
        await asyncio.sleep(0.5)  # one that begins to live only now
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert not [line for line in lines if line.startswith(b"sleep\0" + mark.encode())]

    use(bench, scenario)


def test_attach_with_stdin_half_close(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        ours, attachment = pair(stdin=True, mux=True, early=b"first\n")
        spec = bench.spec("cat", stdin=True, attachments=[attachment])
        await bench.manager.run(spec)
        payload = b"x" * 300_000 + b"\n"
        sending = asyncio.get_running_loop()
        ours.setblocking(False)

        async def send() -> None:
            await sending.sock_sendall(ours, payload)
            ours.shutdown(socket.SHUT_WR)

        task = sending.create_task(send())
        data = await read_all(ours)
        await task
        out = b""
        while data:
            size = int.from_bytes(data[4:8], "big")
            assert data[0] == 1
            out += data[8 : 8 + size]
            data = data[8 + size :]
        assert out == b"first\n" + payload
        assert (await bench.ended(spec.container_id)).code == 0
        ours.close()

    use(bench, scenario)


def test_terminal_resize_and_detach_keys(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        detached: list[str] = []
        bench.manager.on_detach = lambda container_id, _exec: detached.append(container_id)
        ours, attachment = pair(stdin=True, mux=False, detach_keys=b"\x10\x11")
        spec = bench.spec("sh", tty=True, stdin=True, attachments=[attachment])
        await bench.manager.run(spec)
        ours.sendall(b"stty size\n")
        await read_until(ours, b"24 80")
        await bench.manager.resize(spec.container_id, 30, 100)
        ours.sendall(b"stty size\n")
        await read_until(ours, b"30 100")
        ours.sendall(b"\x10\x11")
        await read_all(ours)
        await until(lambda: detached == [spec.container_id])
        ours.close()
        ours, attachment = pair(stdin=True, mux=False)
        await bench.manager.attach(spec.container_id, attachment)
        ours.sendall(b"exit 5\n")
        await read_all(ours)
        assert (await bench.ended(spec.container_id)).code == 5
        ours.close()

    use(bench, scenario)


def test_exec(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        spec = bench.spec("sleep", "1000")
        await bench.manager.run(spec)
        args = ["sh", "-c", "echo hi; exit 3"]
        process = {"user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"], "cwd": "/"}
        ours, attachment = pair(mux=True)
        await bench.manager.exec(spec.container_id, "e1", process, Stdio(), [attachment])
        data = await read_all(ours)
        assert b"hi\n" in data
        await until(lambda: "e1" in bench.exec_exits)
        assert bench.exec_exits["e1"].code == 3
        with pytest.raises(StartFailed) as caught:
            await bench.manager.exec(spec.container_id, "e2", {**process, "args": ["nope"]}, Stdio())
        assert caught.value.exit_code == 127
        assert "OCI runtime exec failed: exec failed: unable to start container process" in caught.value.message
        assert await bench.manager.pids(spec.container_id)
        await bench.manager.pause(spec.container_id)
        await bench.manager.resume(spec.container_id)
        await bench.manager.signal(spec.container_id, signal.SIGKILL)
        assert (await bench.ended(spec.container_id)).code == 137
        ours.close()

    use(bench, scenario)


def test_keeper_death_keeps_containers_logs_and_exits(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        ours, attachment = pair(stdin=True, mux=False)
        # what `cat` gets is only sent when the second keeper is there
        spec = bench.spec("sh", "-c", "echo one; printf tw; read x; echo o; echo $x; exit 9", stdin=True, attachments=[attachment])
        await bench.manager.run(spec)
        quiet = bench.spec("sh", "-c", "sleep 1000")
        await bench.manager.run(quiet)
        await read_until(ours, b"tw")
        old = bench.keeper_pid()
        bench.kill_keeper()
        await bench.manager.signal(quiet.container_id, signal.SIGTERM, all=True)
        await bench.manager.signal(quiet.container_id, signal.SIGKILL)
        assert (await bench.ended(quiet.container_id)).code == 137
        await until(lambda: bench.keeper_pid() != old)
        second, attachment = pair(stdin=True, mux=False)
        await bench.manager.attach(spec.container_id, attachment)
        second.sendall(b"three\n")
        await read_all(second)
        result = await bench.ended(spec.container_id)
        assert (result.code, result.known) == (9, True)
        assert [r["log"] for r in bench.records(spec)] == ["one\n", "two\n", "three\n"]
        ours.close()
        second.close()

    use(bench, scenario)


@pytest.mark.slow  # the moment of each death is luck
def test_keeper_death_while_running_floods(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        spec = bench.spec("seq", "400000")
        await bench.manager.run(spec)
        for _ in range(3):
            await asyncio.sleep(0.02)
            old = bench.keeper_pid()
            bench.kill_keeper()
            await until(lambda old=old: bench.keeper_pid() != old)
            await bench.manager._super._keeper()
        assert (await bench.ended(spec.container_id)).code == 0
        lines = [int(r["log"]) for r in bench.records(spec)]
        assert lines == list(range(1, 400001))

    use(bench, scenario)


def test_daemon_death_and_return(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        living = bench.spec("sh", "-c", "read x; exit 4", stdin=True)
        await bench.manager.run(living)
        ending = bench.spec("sh", "-c", "sleep 0.2; echo last; exit 6")
        await bench.manager.run(ending)
        await bench.drop()
        await until(lambda: (bench.run_dir / "exits" / ending.container_id).exists())
        bench.manager = bench.new_manager()
        await bench.manager.open()
        found = await bench.manager.recover()
        assert isinstance(found[living.container_id], Task)
        ended = found[ending.container_id]
        assert isinstance(ended, Exit)
        assert ended.code == 6
        assert [r["log"] for r in bench.records(ending)] == ["last\n"]
        ours, attachment = pair(stdin=True, mux=False)
        await bench.manager.attach(living.container_id, attachment)
        ours.sendall(b"go\n")
        assert (await bench.ended(living.container_id)).code == 4
        ours.close()

    use(bench, scenario)


def test_daemon_returns_then_keeper_dies(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        spec = bench.spec("sh", "-c", "read x; echo done; exit 8", stdin=True)
        await bench.manager.run(spec)
        await bench.drop()
        bench.manager = bench.new_manager()
        await bench.open()
        old = bench.keeper_pid()
        bench.kill_keeper()
        await until(lambda: bench.keeper_pid() != old)
        ours, attachment = pair(stdin=True, mux=False)
        await bench.manager.attach(spec.container_id, attachment)
        ours.sendall(b"go\n")
        assert (await bench.ended(spec.container_id)).code == 8
        assert [r["log"] for r in bench.records(spec)] == ["done\n"]
        ours.close()

    use(bench, scenario)


def test_keeper_ends_when_alone(bench: Bench) -> None:
    async def scenario(bench: Bench) -> None:
        await bench.manager.run(bench.spec("true"))

    use(bench, scenario)
    pid = bench.keeper_pid()

    async def gone() -> None:
        def dead() -> bool:
            try:
                return os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                return not os.path.exists(f"/proc/{pid}")

        await until(dead)

    asyncio.run(gone())

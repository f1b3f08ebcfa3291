"""Which words of the keeper about exits the daemon keeps, and which only leave a record to remove."""

import asyncio
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from scow.keeper import protocol
from scow.runtime.live import Live
from scow.runtime.supervision import Supervision


def test_the_exit_of_an_exec_that_nobody_started_takes_its_record_with_it(tmp_path: Path) -> None:
    supervision = Supervision(tmp_path, lambda process: None, lambda container, execution: None, lambda: None)
    supervision.exits_dir.mkdir()
    for execution in ("e", ""):
        protocol.write_record(str(supervision.exits_dir), protocol.record_name("c", execution), {"code": 0, "at": 1, "pid": 7})
        supervision._event({"ev": "exit", "id": "c", "exec": execution, "code": 0, "at": 1, "pid": 7}, {})
    # a container's own record stays until the container is deleted
    assert [entry.name for entry in supervision.exits_dir.iterdir()] == [protocol.record_name("c", "")]


def test_a_keeper_that_is_there_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its word comes after the last output is in the log, which takes a while on a loaded machine."""

    async def scenario() -> None:
        ended: list[Live] = []
        supervision = Supervision(tmp_path, ended.append, lambda container, execution: None, lambda: None)
        supervision.exits_dir.mkdir()
        link = SimpleNamespace(up=True, send=lambda message: None)
        monkeypatch.setattr(supervision, "_link", link)
        monkeypatch.setattr("scow.runtime.supervision._OWN_RECORD", 0.05)
        with subprocess.Popen(["true"]) as child:
            process = Live({"id": "c", "exec": "", "pid": child.pid}, {"pidfd": os.pidfd_open(child.pid)})
            supervision._watch(process)
            await asyncio.sleep(1)
            assert not ended
            link.up = False
            async with asyncio.timeout(30):
                while not ended:
                    await asyncio.sleep(0.01)
            child.returncode = 0
        assert process.exit is not None and process.exit.code == 0

    asyncio.run(scenario())

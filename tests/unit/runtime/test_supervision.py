"""Which words of the keeper about exits the daemon keeps, and which only leave a record to remove."""

from pathlib import Path

from scow.keeper import protocol
from scow.runtime.supervision import Supervision


def test_the_exit_of_an_exec_that_nobody_started_takes_its_record_with_it(tmp_path: Path) -> None:
    supervision = Supervision(tmp_path, lambda process: None, lambda container, execution: None, lambda: None)
    supervision.exits_dir.mkdir()
    for execution in ("e", ""):
        protocol.write_record(str(supervision.exits_dir), protocol.record_name("c", execution), {"code": 0, "at": 1, "pid": 7})
        supervision._event({"ev": "exit", "id": "c", "exec": execution, "code": 0, "at": 1, "pid": 7}, {})
    # a container's own record stays until the container is deleted
    assert [entry.name for entry in supervision.exits_dir.iterdir()] == [protocol.record_name("c", "")]

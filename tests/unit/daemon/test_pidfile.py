import os
import sys

import pytest

from scow.daemon import pidfile
from scow.errors import Unavailable
from tests.support.engine import until


def test_one_holder_at_a_time(tmp_path):
    lock = pidfile.Lock(tmp_path / "root")
    with pytest.raises(Unavailable, match="another scowd is running"):
        pidfile.Lock(tmp_path / "root")
    lock.release()
    pidfile.Lock(tmp_path / "root").release()


def test_the_lock_is_no_link(tmp_path):
    (tmp_path / "scowd.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="symbolic"):
        pidfile.Lock(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("before", [None, "", "junk", "4194303\n", f"{os.getpid()}\n"])
def test_stale_files_are_taken_over(tmp_path, before):
    path = tmp_path / "deep" / "scow.pid"
    if before is not None:
        path.parent.mkdir()
        path.write_text(before)
    pidfile.write(path)
    assert path.read_text() == f"{os.getpid()}\n"
    assert list(path.parent.iterdir()) == [path]
    pidfile.remove(path)
    assert not path.exists()
    pidfile.remove(path)


def test_a_living_daemon_keeps_its_file(tmp_path):
    path = tmp_path / "scow.pid"
    read, write = os.pipe()
    # a process whose command line names scowd; it ends with the pipe
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", "import sys; sys.stdin.read()", "scowd"], os.environ,
                           file_actions=[(os.POSIX_SPAWN_DUP2, read, 0), (os.POSIX_SPAWN_CLOSE, write)])  # fmt: skip
    os.close(read)
    try:
        # the kernel lets the parent of a vfork go on a moment before the new command line can be read
        until(lambda: pidfile._is_daemon(child), what="the child's command line")
        path.write_text(f"{child}\n")
        with pytest.raises(Unavailable, match=f"process with PID {child} is still running"):
            pidfile.write(path)
        pidfile.remove(path)
        assert path.exists()
    finally:
        os.close(write)
        os.waitpid(child, 0)


def test_a_root_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot use the folder"):
        pidfile.Lock(tmp_path / "file" / "root")

"""The service manager's protocol, against a socket of our own."""

import asyncio
import socket

import pytest

from scow.daemon import notify
from scow.daemon.notify import Manager


def test_variables_are_taken_and_gone():
    environment = {
        "NOTIFY_SOCKET": "/run/n",
        "LISTEN_PID": "7",
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "a:b",
        "WATCHDOG_USEC": "3000000",
        "PATH": "/bin",
    }
    assert notify.take(environment, 7) == Manager("/run/n", 2, 3.0)
    assert environment == {"PATH": "/bin"}
    assert notify.take(environment, 7) == Manager()


@pytest.mark.parametrize(
    "environment",
    [
        {"LISTEN_PID": "8", "LISTEN_FDS": "2"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "９"},
        {"NOTIFY_SOCKET": "vsock:2:1"},
        {"WATCHDOG_USEC": "100", "WATCHDOG_PID": "8"},
        {"WATCHDOG_USEC": "soon"},
    ],
)
def test_what_is_meant_for_others_or_broken_counts_as_nothing(environment):
    assert notify.take(dict(environment), 7) == Manager()


@pytest.mark.parametrize("abstract", [False, True])
def test_states_arrive(tmp_path, abstract):
    name = f"@scow-test-{tmp_path.name}-{id(tmp_path)}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name[1:] if abstract else name)
        sock.settimeout(30)
        Manager(name).tell(READY=1, STATUS="fine")
        assert sock.recv(1000) == b"READY=1\nSTATUS=fine"


def test_the_watchdog_hears_of_a_turning_loop(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "n"))
        sock.settimeout(30)

        async def main() -> None:
            task = asyncio.get_running_loop().create_task(Manager(str(tmp_path / "n"), watchdog=0.03).keep_alive())
            for _ in range(3):
                assert await asyncio.to_thread(sock.recv, 1000) == b"WATCHDOG=1"
            task.cancel()

        asyncio.run(main())


def test_no_manager_is_no_error(tmp_path, caplog):
    Manager().tell(READY=1)
    asyncio.run(Manager().keep_alive())
    Manager(str(tmp_path / "nobody")).tell(READY=1)
    assert "cannot be told" in caplog.text

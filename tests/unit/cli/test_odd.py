"""Odd engines and odd surroundings: whatever happens, a sentence and an exit status, never a traceback."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.wire import FakeEngine, chunked, reply

SRC = str(Path(__file__).resolve().parents[3] / "src")
PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'scow'; from scow.cli.main import run; run()"
SECONDS = 120
ID = "a" * 64
FRAME = b"\x01\0\0\0\0\0\0\x05hello"
UPGRADED = (
    b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
)


def start(tmp_path, engine, *argv, env=None, **more):
    full = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DOCKER_HOST": engine.url if engine else "unix:///nonexistent.sock",
        **(env or {}),
    }
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-IS", "-c", PROGRAM, SRC, *argv], env=full, **options)


def scow(tmp_path, engine, *argv, **more):
    with start(tmp_path, engine, *argv, **more) as process:
        out, err = process.communicate(timeout=SECONDS)
    assert b"Traceback" not in (err or b""), err
    return process.returncode, out, (err or b"").decode(errors="replace")


LISTS = {"ps": "/containers/json", "images": "/images/json", "volume ls": "/volumes", "network ls": "/networks", "plugin ls": "/plugins"}
DEATHS = {
    "silent": lambda connection, request: None,
    "no HTTP": lambda connection, request: connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "cut head": lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-"),
    "cut body": lambda connection, request: connection.sendall(reply(200, b'[{"Id": "abc', length=1000)),
    "cut chunk": lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n[{"),
    "bad chunk": lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[{"),
    "endless head": lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000),
}


@pytest.mark.parametrize("death", DEATHS)
def test_an_engine_that_dies_in_its_answer(tmp_path, death):
    with FakeEngine(tmp_path / "s", dict.fromkeys(("GET " + path for path in LISTS.values()), DEATHS[death])) as engine:
        code, out, err = scow(tmp_path, engine, "ps")
    assert code == 1 and out == b"" and len(err.strip()) > 10 and "this should not have happened" not in err


@pytest.mark.parametrize("words", LISTS)
@pytest.mark.parametrize("body", [b"nonsense", b"{}", b"[1]", b"null", b'[{"Id": 5, "Names": 7}]', b'[{"Id": "\\ud800", "Name": "\xff"}]'])
def test_an_engine_that_answers_nonsense(tmp_path, words, body):
    with FakeEngine(tmp_path / "s", {"GET " + LISTS[words]: reply(200, body)}) as engine:
        code, _, err = scow(tmp_path, engine, *words.split())
    assert code in (0, 1) and bool(err) == bool(code)
    assert "should not have happened" not in err


@pytest.mark.parametrize("status", [301, 400, 404, 500, 503])
def test_refusals_without_a_sentence(tmp_path, status):
    with FakeEngine(tmp_path / "s", {"GET /containers/json": reply(status, b"<html>no</html>")}) as engine:
        code, _, err = scow(tmp_path, engine, "ps")
    assert code == 1 and err


STREAMS = {
    ("logs", "-f", "c"): {
        "GET /containers/c/json": reply(200, {"Id": ID, "Config": {"Tty": False}}),
        "GET /containers/c/logs": lambda connection, request: connection.sendall(chunked(FRAME)),
    },
    ("events",): {"GET /events": lambda connection, request: connection.sendall(chunked(b'{"Type":"container","Action":"die"}\n'))},
    ("load",): {"POST /images/load": lambda connection, request: connection.sendall(chunked(b'{"stream":"Loa'))},
    ("pull", "x"): {"POST /images/create": lambda connection, request: connection.sendall(chunked(b'{"status":"Pulling"}\n'))},
    ("save", "x"): {"GET /images/get": lambda connection, request: connection.sendall(chunked(b"data"))},
    ("export", "c"): {"GET /containers/c/export": lambda connection, request: connection.sendall(chunked(b"data"))},
    ("wait", "c"): {"POST /containers/c/wait": lambda connection, request: connection.sendall(chunked(b'{"Status'))},
    ("stats", "--no-stream", "c"): {"GET /containers/c/stats": lambda connection, request: connection.sendall(chunked(b'{"cpu_st'))},
}


@pytest.mark.parametrize("words", STREAMS, ids=" ".join)
def test_an_engine_that_dies_in_its_stream(tmp_path, words):
    with FakeEngine(tmp_path / "s", dict(STREAMS[words])) as engine:
        code, _, err = scow(tmp_path, engine, *words)
    assert code in (0, 1) and "should not have happened" not in err
    if words[0] not in ("stats",):
        assert code == 1 and err


def _run_routes(engine, at=""):
    routes = {
        "POST /containers/create": reply(201, {"Id": ID, "Warnings": []}),
        f"POST /containers/{ID}/attach": lambda connection, request: (connection.sendall(UPGRADED), engine.stall(connection, request)),
        f"POST /containers/{ID}/wait": lambda connection, request: (
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            engine.stall(connection, request),
        ),
        f"POST /containers/{ID}/start": reply(204),
        f"DELETE /containers/{ID}": reply(204),
    }
    return {**routes, **({at: engine.stall} if at else {})}


def test_an_engine_that_dies_under_a_running_container(tmp_path):
    with FakeEngine(tmp_path / "s", {}) as engine:
        engine.routes = {
            **_run_routes(engine),
            f"POST /containers/{ID}/attach": lambda connection, request: connection.sendall(UPGRADED + FRAME),
            f"POST /containers/{ID}/wait": lambda connection, request: connection.sendall(chunked(b"")[:-5]),
        }
        code, out, err = scow(tmp_path, engine, "run", "x")
    assert out == b"hello" and code not in (0, None) and err and "should not have happened" not in err


CUT = chunked(b"")[:-5]
ENDED, GOES_ON = {"Running": False, "ExitCode": 9}, {"Running": True, "ExitCode": 0}


@pytest.mark.parametrize(
    ("words", "waits", "state", "code", "out"),
    [
        (("run", "x"), [CUT, CUT], ENDED, 9, b"hello"),
        (("run", "x"), [CUT, CUT, chunked(b'{"StatusCode":7}', ends=True)], GOES_ON, 7, b"hello" * 3),
        (("run", "--rm", "x"), [CUT, reply(200, {"StatusCode": 4})], None, 4, b"hello"),
        (("wait", "c"), [CUT, reply(200, {"StatusCode": 4})], ENDED, 0, b"4\n"),
        (("wait", "c"), [CUT, reply(404), reply(200, {"StatusCode": 5})], None, 0, b"5\n"),
        (("wait", "c"), [b"", b"", reply(200, {"StatusCode": 6})], ENDED, 0, b"6\n"),
        (("wait", "c"), [b""] * 7, None, 1, b""),
    ],
)
def test_another_engine_is_asked_when_a_wait_breaks_off(tmp_path, words, waits, state, code, out):
    with FakeEngine(tmp_path / "s", {}) as engine:
        engine.routes = _run_routes(engine)
        waited = list(waits)
        for ref in (ID, "c"):
            engine.routes[f"POST /containers/{ref}/wait"] = lambda connection, request: connection.sendall(waited.pop(0))
            engine.routes[f"POST /containers/{ref}/attach"] = lambda connection, request: connection.sendall(UPGRADED + FRAME)
            if state is not None:
                engine.routes[f"GET /containers/{ref}/json"] = reply(200, {"Id": ID, "State": state})
        found = scow(tmp_path, engine, *words)
    assert found[:2] == (code, out), found
    assert not waited
    if "--rm" in words:
        assert [line for line in engine.seen if "/wait" in line] == [f"POST /containers/{ID}/wait?condition=removed"] * 2


STAGES = ["POST /images/create", "POST /containers/create", "attach", "start"]


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_before_the_container_runs_leaves_none(tmp_path, stage):
    at = f"POST /containers/{ID}/{stage}" if " " not in stage else stage
    with FakeEngine(tmp_path / "s", {}) as engine:
        engine.routes = _run_routes(engine, at)
        pull = ("--pull", "always") if stage.startswith("POST /images") else ()
        with start(tmp_path, engine, "run", *pull, "x") as process:
            assert engine.stalled.wait(SECONDS)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            if stage == "POST /containers/create":  # the answer is waited for; a second one does not wait
                while process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    time.sleep(0.3)
            _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130 and b"Traceback" not in err
    if stage in ("attach", "start"):
        assert any(line.startswith(f"DELETE /containers/{ID}") for line in engine.seen), engine.seen


def test_ctrl_c_while_it_is_created_removes_it(tmp_path):
    def slow(connection, request):
        engine.stalled.set()
        time.sleep(1)
        connection.sendall(reply(201, {"Id": ID, "Warnings": []}))

    with FakeEngine(tmp_path / "s", {}) as engine:
        engine.routes = {**_run_routes(engine), "POST /containers/create": slow}
        with start(tmp_path, engine, "run", "--cidfile", str(tmp_path / "cid"), "x") as process:
            assert engine.stalled.wait(SECONDS)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130 and err == b"" and not (tmp_path / "cid").exists()
    assert any(line.startswith(f"DELETE /containers/{ID}") for line in engine.seen), engine.seen


@pytest.mark.parametrize("argv", [("ps",), ("events",), ("logs", "-f", "c"), ("wait", "c"), ("stop", "c"), ("exec", "c", "true")])
def test_ctrl_c_anywhere_else(tmp_path, argv):
    with FakeEngine(tmp_path / "s", {}) as engine:
        for route in (
            "GET /containers/json",
            "GET /events",
            "GET /containers/c/json",
            "POST /containers/c/wait",
            "POST /containers/c/stop",
        ):
            engine.routes[route] = engine.stall
        engine.routes["POST /containers/c/exec"] = engine.stall
        with start(tmp_path, engine, *argv) as process:
            assert engine.stalled.wait(SECONDS)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130 and b"Traceback" not in err


MANY = [
    {"Id": f"{number:064x}", "Names": [f"/n{number}"], "Image": "x", "Command": "y", "Created": 1, "Status": "Up"} for number in range(3000)
]


@pytest.mark.parametrize("argv", [("ps",), ("ps", "--format", "json"), ("--help",), ("events",)])
def test_a_reader_that_leaves(tmp_path, argv):
    endless = lambda connection, request: connection.sendall(chunked(*[b'{"Type":"container","Action":"die"}\n'] * 5000))  # noqa: E731
    reading, writing = os.pipe()
    os.close(reading)
    with FakeEngine(tmp_path / "s", {"GET /containers/json": reply(200, MANY), "GET /events": endless}) as engine:
        code, _, err = scow(tmp_path, engine, *argv, stdout=writing)
    os.close(writing)
    assert code in (1, 141) and err == ""


@pytest.mark.parametrize("argv", [("ps",), ("--version",), ("--help",), ("nosuch",), ("inspect", "x"), ("run", "x"), ("rm",)])
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams(tmp_path, argv, closed):
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": "unix:///nonexistent.sock"}
    line = f'exec "$0" -IS -c "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, PROGRAM, SRC, *argv], env=env, capture_output=True, timeout=SECONDS, check=False
    )
    assert b"Traceback" not in done.stderr and b"AttributeError" not in done.stderr and done.returncode in (0, 1, 125)


@pytest.mark.parametrize("env", [{}, {"LANG": "C"}, {"LC_ALL": "C.UTF-8"}, {"PYTHONIOENCODING": "ascii"}])
def test_names_that_are_no_text(tmp_path, env):
    with FakeEngine(
        tmp_path / "s", {"GET /containers/json": reply(200, [{**MANY[0], "Names": ["/caf\u00e9"], "Command": "\u2603"}])}
    ) as engine:
        code, out, err = scow(tmp_path, engine, "ps", env=env)
        assert code == 0 and "café".encode() in out, err
        code, _, err = scow(tmp_path, engine, "inspect", os.fsdecode(b"\xff\xfe"), env=env)
        assert code == 1 and err
        code, _, err = scow(tmp_path, engine, "ps", "--filter", os.fsdecode(b"name=\xff"), env=env)
        assert code == 0, err
        assert any("%FF" in line or "%EF%BF%BD" in line for line in engine.seen)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"psFormat": 5, "HttpHeaders": [1], "proxies": 3, "plugins": 2, "aliases": 1}', b"\xff", None]
)
def test_odd_configurations(tmp_path, content):
    folder = tmp_path / ".docker"
    folder.mkdir()
    if content is None:
        (folder / "config.json").mkdir()
    else:
        (folder / "config.json").write_bytes(content)
    with FakeEngine(tmp_path / "s", {"GET /containers/json": reply(200, [])}) as engine:
        assert scow(tmp_path, engine, "ps")[0] == 0
        assert scow(tmp_path, engine, "context", "ls")[0] == 0
        assert scow(tmp_path, engine, "--help")[0] == 0


@pytest.mark.parametrize(("rows", "columns", "term"), [(24, 80, "xterm"), (1, 1, "xterm"), (3, 20, "dumb"), (0, 0, "")])
@pytest.mark.parametrize("argv", [("ps",), ("--help",), ("run", "--help"), ("load", "-i", "/dev/null")])
def test_odd_terminals(tmp_path, rows, columns, term, argv):
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    routes = {"GET /containers/json": reply(200, MANY[:3]), "POST /images/load": reply(200, b'{"stream":"Loaded image: x"}\n')}
    seen = b""
    with FakeEngine(tmp_path / "s", routes) as engine:
        env = {"TERM": term, "NO_COLOR": "1"}
        with start(tmp_path, engine, *argv, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
            os.close(theirs)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                if select.select([ours], [], [], 0.5)[0]:
                    with contextlib.suppress(OSError):
                        piece = os.read(ours, 65536)
                        seen += piece
                        continue
                    break
            assert process.wait(SECONDS) == 0, seen
    os.close(ours)
    assert seen and b"Traceback" not in seen
    if term in ("dumb", ""):
        assert b"\033" not in seen


def test_arguments_that_are_no_utf8(tmp_path):
    routes = {"POST /volumes/create": reply(201, {"Name": "v"}), "DELETE /volumes/%FF": reply(204)}
    with FakeEngine(tmp_path / "s", routes) as engine:
        assert scow(tmp_path, engine, "volume", "create", "--label", b"a=\xff", b"\xff")[:2] == (0, b"v\n")
        assert scow(tmp_path, engine, "volume", "rm", b"\xff")[:2] == (0, b"\xff\n")


def test_closed_and_full_standard_output(tmp_path):
    with FakeEngine(tmp_path / "s", {"GET /containers/json": reply(200, [])}) as engine, open("/dev/full", "w") as full:
        code, _, err = scow(tmp_path, engine, "ps", stdout=full)
        assert code == 1 and err == "write /dev/stdout: no space left on device\n"
        code, _, err = scow(tmp_path, engine, "ps", stdout=None, preexec_fn=lambda: os.close(1))
        assert code == 1 and err == "write /dev/stdout: bad file descriptor\n"


def test_errors_name_the_file(tmp_path):
    with FakeEngine(tmp_path / "s", {"GET /images/get": reply(200, b"x" * 100_000)}) as engine:
        assert scow(tmp_path, engine, "load", "-i", "/etc")[2] == "read /etc: is a directory, not an archive\n"
        assert "write /dev/full: no space" in scow(tmp_path, engine, "save", "-o", "/dev/full", "x")[2]
    gone = tmp_path / "gone"
    gone.mkdir()
    code, _, err = scow(tmp_path, None, "run", "-v", "./x:/x", "y", preexec_fn=lambda: (os.chdir(gone), gone.rmdir()))
    assert code == 125 and "working directory was removed" in err


def test_surroundings_of_another_age(tmp_path):
    rows = reply(200, [{"Id": ID, "Names": ["/\u00e9"], "Image": "\u00e9"}])
    with FakeEngine(tmp_path / "s", {"GET /containers/json": rows}) as engine:
        env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TERM": "dumb", "COLUMNS": "20", "NO_COLOR": "1", "HOME": "/proc/1"}
        code, out, err = scow(tmp_path, engine, "ps", env=env)
    assert (code, err) == (0, "") and "\u00e9".encode() in out

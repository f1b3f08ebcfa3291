"""curl on the socket: the API as the documentation of Docker shows it."""

import json
import shutil
import subprocess

import pytest

from tests.support.engine import Engine


def curl(engine: Engine, *args: str, stdin: bytes = b"") -> str:
    program = shutil.which("curl")
    if program is None:
        pytest.skip("needs curl")
    done = subprocess.run(
        [program, "-sS", "--unix-socket", engine.socket, *args], input=stdin, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode(errors="replace")


JSON = ("-H", "Content-Type: application/json")


def test_a_container_by_hand(engine: Engine) -> None:
    assert curl(engine, "http://localhost/_ping") == "OK"
    body = json.dumps({"Image": "busybox", "Cmd": ["echo", "hello"]})
    made = json.loads(curl(engine, "-X", "POST", *JSON, "-d", body, "http://localhost/v1.47/containers/create?name=hand"))
    assert made["Warnings"] == []
    assert curl(engine, "-X", "POST", "-w", "%{http_code}", "http://localhost/v1.47/containers/hand/start") == "204"
    assert json.loads(curl(engine, "-X", "POST", "http://localhost/v1.47/containers/hand/wait"))["StatusCode"] == 0
    assert curl(engine, "http://localhost/v1.47/containers/hand/logs?stdout=1", "-o", "-").endswith("hello\n")
    names = [row["Names"] for row in json.loads(curl(engine, "http://localhost/v1.24/containers/json?all=1"))]
    assert names == [["/hand"]]
    assert curl(engine, "-X", "DELETE", "-w", "%{http_code}", "http://localhost/containers/hand") == "204"


@pytest.mark.parametrize(
    ("args", "status", "gist"),
    [
        (["http://localhost/nosuch"], "404", "page not found"),
        (["http://localhost/v9.99/info"], "400", "is too new"),
        (["http://localhost/containers/nosuch/json"], "404", "No such container: nosuch"),
        (["-X", "POST", *JSON, "-d", "{", "http://localhost/containers/create"], "400", ""),
        (
            ["-X", "POST", "-H", "Expect: 100-continue", *JSON, "-d", "{}", "http://localhost/containers/create"],
            "400",
            "config cannot be empty",
        ),
    ],
)
def test_errors_are_json(engine: Engine, args: list[str], status: str, gist: str) -> None:
    text = curl(engine, "-w", "\n%{http_code} %{content_type}", *args)
    body, _, last = text.rpartition("\n")
    assert last == f"{status} application/json"
    assert gist in json.loads(body)["message"]


def test_a_tar_goes_in_and_out(engine: Engine) -> None:
    made = engine.create("true")
    url = f"http://localhost/containers/{made}"
    data = subprocess.run(["tar", "-C", "/etc", "-c", "hostname"], capture_output=True, check=True).stdout
    assert curl(engine, "-X", "PUT", "-T", "-", "-w", "%{http_code}", f"{url}/archive?path=/tmp", stdin=data) == "200"
    assert "hostname" in curl(engine, f"{url}/archive?path=/tmp/hostname")
    assert json.loads(curl(engine, f"{url}/changes"))
    curl(engine, "-X", "DELETE", url)

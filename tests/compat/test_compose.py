"""The compose plugin: a project of two services goes up, is looked at, changes and goes down."""

import json
from pathlib import Path

import pytest

from tests.support.cli import Cli, has_plugin
from tests.support.engine import until

FILE = """
services:
  web:
    image: busybox
    command: sh -c 'cp /etc/passwd /data/index.html && exec httpd -f -h /data'
    volumes: [data:/data]
    healthcheck: {test: ["CMD", "test", "-e", "/data/index.html"], interval: 200ms, retries: 50}
    stop_grace_period: 0s
  client:
    image: busybox
    command: sh -c 'wget -q -O - http://web/ | head -n 1; exec sleep 1000'
    environment: {WORD: "${WORD:-one}"}
    depends_on: {web: {condition: service_healthy}}
    stop_grace_period: 0s
volumes:
  data:
"""


@pytest.fixture
def compose(docker: Cli, tmp_path: Path) -> Path:
    if not has_plugin("compose"):
        pytest.skip("needs the compose plugin of the docker CLI")
    (tmp_path / "compose.yaml").write_text(FILE)
    return tmp_path


def test_a_project_goes_up_and_down(docker: Cli, compose: Path) -> None:
    def call(*args: str, code: int | None = 0, env: dict[str, str] | None = None) -> str:
        done = docker("compose", "-p", "proj", *args, cwd=compose, code=code, env=env)
        return done.out

    call("up", "-d")
    rows = {row["Service"]: row for row in map(json.loads, call("ps", "--format", "json").splitlines())}
    assert {name: (row["Name"], row["State"]) for name, row in rows.items()} == {
        "web": ("proj-web-1", "running"),
        "client": ("proj-client-1", "running"),
    }
    assert rows["web"]["Health"] == "healthy"
    until(lambda: "root:x:0:0" in call("logs", "--no-log-prefix", "client"), what="the page", every=0.2)
    assert call("exec", "-T", "client", "sh", "-c", "echo $WORD") == "one"
    assert docker("network", "ls", "--filter", "label=com.docker.compose.project=proj", "--format", "{{.Name}}").out == "proj_default"
    before = docker("ps", "-q", "--no-trunc", "--filter", "name=proj-web-1").out
    call("up", "-d", env={"WORD": "two"})
    assert call("exec", "-T", "client", "sh", "-c", "echo $WORD") == "two"
    assert docker("ps", "-q", "--no-trunc", "--filter", "name=proj-web-1").out == before
    assert call("run", "--rm", "--no-deps", "-T", "client", "echo", "once") == "once"
    call("stop")
    call("start")
    call("down", "-v")
    left = "label=com.docker.compose.project=proj"
    assert docker("ps", "-aq", "--filter", left).out == ""
    assert docker("volume", "ls", "-q", "--filter", left).out == ""
    assert docker("network", "ls", "-q", "--filter", left).out == ""


def test_a_foreground_project_ends_with_its_service(docker: Cli, compose: Path) -> None:
    text = "services: {job: {image: busybox, command: sh -c 'echo working; exit 3'}}\n"
    (compose / "compose.yaml").write_text(text)
    done = docker("compose", "-p", "fore", "up", "--exit-code-from", "job", cwd=compose, code=3)
    assert "working" in done.out
    docker("compose", "-p", "fore", "down", cwd=compose)

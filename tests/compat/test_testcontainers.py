"""testcontainers: a generic container with a port, as in its documentation. The program runs in the engine's network."""

import os
import sys

import pytest

from tests.support.engine import Engine

PROGRAM = """
import urllib.request
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

with Network() as network:
    web = DockerContainer("busybox:latest").with_exposed_ports(80).with_network(network).with_network_aliases("web")
    web = web.with_env("WORD", "hello").with_command("sh -c 'echo $WORD > /tmp/index.html; echo ready; exec httpd -f -h /tmp'")
    with web:
        wait_for_logs(web, "ready", timeout=60)
        url = f"http://{web.get_container_host_ip()}:{web.get_exposed_port(80)}/index.html"
        for attempt in range(100):
            try:
                text = urllib.request.urlopen(url, timeout=10).read()
                break
            except OSError:
                import time
                time.sleep(0.1)
        assert text == b"hello\\n", text
        code, output = web.exec(["sh", "-c", "echo $WORD; exit 3"])
        assert (code, output) == (3, b"hello\\n"), (code, output)
        name = web.get_wrapped_container().name
        print("reached", name)
"""


def test_a_generic_container(engine: Engine) -> None:
    pytest.importorskip("testcontainers", reason="needs testcontainers")
    settings = [
        f"DOCKER_HOST=unix://{engine.socket}",
        "TESTCONTAINERS_RYUK_DISABLED=true",
        "TC_HOST=localhost",
        f"PATH={os.environ['PATH']}",
    ]
    done = engine.inside("env", *settings, sys.executable, "-W", "ignore", "-c", PROGRAM)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert b"reached" in done.stdout
    assert engine.api("GET", "/containers/json?all=1").json == []
    assert [row["Name"] for row in engine.api("GET", "/networks").json] == ["bridge", "host", "none"]

"""`scow compose up`, beside the plugin, beside itself, and after what was cut off."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from tests.support.compose import Project
from tests.support.engine import until

TWO = """
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    environment: {COLOUR: "${COLOUR:-red}"}
    depends_on: [db]
  db:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    volumes: ["data:/data", "/anon"]
    healthcheck: {test: "true", interval: 1s}
    deploy: {replicas: 2, resources: {limits: {memory: 20m}}}
volumes: {data: }
"""


def test_both_tools_manage_one_project_in_turns(project: Project) -> None:
    project.file(TWO)
    project.plugin("up", "-d")
    before = project.ids()
    assert len(before) == 3
    project("up", "-d")
    assert project.ids() == before
    project("up", "-d", env={"COLOUR": "blue"})
    changed = project.ids()
    assert len(changed & before) == 2
    project.plugin("up", "-d", env={"COLOUR": "blue"})
    assert project.ids() == changed
    project.plugin("down", "-v", "-t", "0")
    project("up", "-d")
    project.plugin("up", "-d")
    rows = [json.loads(line) for line in project.plugin("ps", "--format", "json").lines]
    ours = [json.loads(line) for line in project("ps", "--format", "json").lines]
    assert sorted(row["Name"] for row in rows) == sorted(row["Name"] for row in ours) == sorted(project.containers())
    project("down", "-v", "-t", "0")
    assert not project.ids()


def test_the_plan_says_what_and_why(project: Project) -> None:
    project.file(TWO)
    text = project("up", "-d", "--dry-run").out
    assert f"create {project.name}-web-1: it is not there" in text
    assert not project.ids()
    project("up", "-d")
    assert "its configuration changed" in project("up", "--dry-run", env={"COLOUR": "blue"}).out
    assert f"recreate  {project.name}-web-1: its configuration changed" in project("diff", env={"COLOUR": "blue"}).out
    assert project("diff", "--exit-code", env={"COLOUR": "blue"}, code=1).out


def test_two_runs_at_once_make_one_project(project: Project) -> None:
    project.file(TWO)
    for env in ({"COLOUR": "red"}, {"COLOUR": "blue"}):
        runs = [project.begin("up", "-d", env=env) for _ in range(2)]
        ends = [(run.communicate(timeout=120), run.returncode) for run in runs]
        assert any(code == 0 for _, code in ends), ends
        project("up", "-d", env=env)
        assert sorted(project.containers()) == [f"{project.name}-{name}" for name in ("db-1", "db-2", "web-1")]
        assert all(row["State"] == "running" for row in project.containers().values())


def test_what_a_killed_run_left_is_mended(project: Project) -> None:
    """Killed at any time of an up that makes containers anew: the next one comes to the same end."""
    project.file(TWO)
    project("up", "-d")
    for step in range(4):
        env = {"COLOUR": str(step)}
        run = project.begin("up", "-d", "--force-recreate", env=env)
        time.sleep(0.25 + 0.1 * step)
        run.kill()
        run.communicate(timeout=60)
        project("up", "-d", env=env)
        assert sorted(project.containers()) == [f"{project.name}-{name}" for name in ("db-1", "db-2", "web-1")]
        assert all(row["State"] == "running" for row in project.containers().values())


def test_left_over_copies_are_removed_or_get_their_name(project: Project) -> None:
    """A recreate that ended before the old one was removed, and one that ended before the new one was renamed."""
    project.file("services: {web: {image: busybox, command: sleep 1000, stop_signal: KILL}}")
    project("up", "-d")
    row = project.containers()[f"{project.name}-web-1"]
    ident, labels = row["Id"], row["Labels"]
    temporary = f"{ident[:12]}_{project.name}-web-1"
    project.engine.create(
        "sleep", "1000", name=temporary, Labels={**labels, "com.docker.compose.replace": ident, "com.docker.compose.config-hash": "0"}
    )
    project("up", "-d")
    assert project.ids() == {ident}
    project.engine.api("POST", f"/containers/{ident}/rename?name={'a' * 12}_{project.name}-web-1")
    project("up", "-d")
    assert {name: row["Id"] for name, row in project.containers().items()} == {f"{project.name}-web-1": ident}


def test_a_failing_dependency_is_told_and_mended(project: Project) -> None:
    text = """
services:
  web: {image: busybox, command: sleep 1000, stop_signal: KILL, depends_on: {db: {condition: service_healthy}}}
  db: {image: busybox, command: sleep 1000, stop_signal: KILL, healthcheck: {test: "CHECK", interval: 200ms, retries: 1}}
"""
    project.file(text.replace("CHECK", "exit 1"))
    assert f"container {project.name}-db-1 is unhealthy" in project("up", "-d", code=1).err
    assert project.containers()[f"{project.name}-web-1"]["State"] == "created"
    project.file(text.replace("CHECK", "exit 0"))
    project("up", "-d")
    assert project.containers()[f"{project.name}-web-1"]["State"] == "running"


def test_content_of_configs_counts_as_chosen(project: Project) -> None:
    project.file("""
services:
  web: {image: busybox, command: sleep 1000, stop_signal: KILL, configs: [one]}
  calm: {image: busybox, command: sleep 1000, stop_signal: KILL, configs: [two]}
configs:
  one: {file: ./one}
  two: {file: ./one, x-on-change: ignore}
""")
    (project.folder / "one").write_text("1")
    project("up", "-d")
    before = {name: row["Id"] for name, row in project.containers().items()}
    (project.folder / "one").write_text("2")
    assert "content of its configs" in project("up", "--dry-run").out
    project("up", "-d")
    after = {name: row["Id"] for name, row in project.containers().items()}
    assert {name for name in after if after[name] != before[name]} == {f"{project.name}-web-1"}


def test_changed_content_is_told_by_a_signal(project: Project) -> None:
    text = """
services:
  web:
    image: busybox
    command: [sh, -c, "trap 'echo told $$(cat /one /two)' USR1; echo ready; while :; do sleep 0.1; done"]
    stop_signal: KILL
    configs: [one, two]
configs:
  one: {file: ./one, x-on-change: {signal: USR1}}
  two: {content: "1", x-on-change: {signal: USR1}}
"""
    project.file(text)
    (project.folder / "one").write_text("1")
    project("up", "-d")
    follow = project.begin("logs", "-f", "--no-log-prefix")
    assert follow.stdout is not None
    while b"ready" not in follow.stdout.readline():
        pass
    (project.folder / "one").write_text("2")
    project.file(text.replace('"1"', '"3"'))
    assert "signal" in project("up", "--dry-run").out
    project("up", "-d")
    while (line := follow.stdout.readline()) and b"told 2" not in line:
        pass
    assert b"told 2" in line
    assert "keep" in project("up", "--dry-run").out
    follow.terminate()
    follow.wait(60)


def test_changed_env_files_act_as_chosen(project: Project) -> None:
    text = """
services:
  again: {image: busybox, command: sleep 1000, stop_signal: KILL, env_file: ./env, environment: {OWN: "1"}}
  calm: {image: busybox, command: sleep 1000, stop_signal: KILL, env_file: ./env, environment: {OWN: "1"}, x-on-change: ignore}
  told:
    image: busybox
    command: [sh, -c, "trap 'touch /told' USR1; while :; do sleep 0.1; done"]
    stop_signal: KILL
    env_file: [./env, {path: ./none, required: false}]
    x-on-change: {signal: USR1}
"""
    project.file(text)
    (project.folder / "env").write_text("COLOUR=red\n")
    project("up", "-d")

    def anew(before: dict[str, str]) -> set[str]:
        return {name.split("-")[-2] for name, row in project.containers().items() if row["Id"] != before[name]}

    before = {name: row["Id"] for name, row in project.containers().items()}
    (project.folder / "env").write_text("COLOUR=blue\n")
    plan = project("up", "-d", "--dry-run").out
    assert f"recreate {project.name}-again-1" in plan
    assert f"signal {project.name}-told-1" in plan
    assert f"keep {project.name}-calm-1" in plan
    project("up", "-d")
    assert anew(before) == {"again"}
    until(lambda: project("exec", "-T", "told", "ls", "/told", code=None).out == "/told")
    assert "recreate" not in (plan := project("up", "-d", "--dry-run").out)
    assert "signal" not in plan
    # what is not of the env file makes them anew, with what the file holds now
    project.file(text.replace('"1"', '"2"'))
    before = {name: row["Id"] for name, row in project.containers().items()}
    project("up", "-d")
    assert anew(before) == {"again", "calm"}
    assert project("exec", "-T", "calm", "sh", "-c", "echo $COLOUR").out == "blue"


def test_control_c_stops_and_twice_kills(project: Project) -> None:
    project.file("""
services:
  web: {image: busybox, stop_grace_period: 60s, command: [sh, -c, "trap 'echo bye' TERM; echo ready; while :; do sleep 0.1; done"]}
""")
    run = project.begin("up")
    assert run.stdout is not None
    while b"ready" not in (line := run.stdout.readline()):
        assert line
    run.send_signal(signal.SIGINT)
    while b"bye" not in (line := run.stdout.readline()):
        assert line
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130
    assert project.containers()[f"{project.name}-web-1"]["State"] == "exited"


ROLLING = """
services:
  web:
    image: busybox
    command: [sh, -c, "mkdir /w; echo $$V >/w/index.html; sleep 1; touch /ready; exec httpd -f -h /w"]
    environment: {V: "${V:-1}"}
    stop_signal: KILL
    ports: ["127.0.0.1:18080:80"]
    x-rollout: {order: start-first, drain: 500ms}
    healthcheck: {test: "${CHECK:-test -e /ready}", interval: 200ms, retries: "${RETRIES:-200}"}
"""


def test_a_rollout_leaves_no_gap(project: Project) -> None:
    project.file(ROLLING)
    project("up", "-d", "--wait")
    port = f"{project.name}-web-1"
    answers: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answers[_page(project)] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        old = project.ids()
        project("up", "-d", env={"V": "2"})
        assert len(project.ids()) == 1
        assert not project.ids() & old
        until(lambda: answers["2"] > 3, what=f"an answer of the new one beside {answers}")
        new = project.ids()
        assert "the old one goes on" in project("up", "-d", env={"V": "3", "CHECK": "false", "RETRIES": "3"}, code=1).err
        assert project.ids() == new
    finally:
        done.set()
        asking.join(60)
    assert answers.keys() == {"1", "2"}, answers
    project.engine.api("POST", f"/containers/{port}/restart?t=0")
    until(lambda: _page(project) == "2", what="the port after a restart", every=0.2)


# the client, cut off at the request whose path ends so
CUT = """
import os, sys
from scow.cli import main
from scow.client.api import Client
end, number, call, seen = sys.argv[1], int(sys.argv[2]), Client.call, []
def cut(self, method, path, *args, **more):
    seen.extend([path] if path.endswith(end) else [])
    if len(seen) == number:
        os._exit(99)
    return call(self, method, path, *args, **more)
Client.call = cut
sys.exit(main.main(sys.argv[3:]))
"""


@pytest.mark.parametrize(("end", "number"), [("/takeover", 1), ("/rename", 2), ("/stop", 1)])
def test_a_rollout_that_was_cut_off_is_ended(project: Project, end: str, number: int) -> None:
    project.file(ROLLING)
    project("up", "-d", "--wait")
    words = [sys.executable, "-c", CUT, end, str(number), "compose", "-p", project.name, "-f", "compose.yaml", "up", "-d"]
    env = {**project.cli.env, "V": "2"}
    assert subprocess.run(words, cwd=project.folder, env=env, capture_output=True, timeout=120, check=False).returncode == 99
    assert len(project.ids()) == 2
    project("up", "-d", env={"V": "2"})
    assert list(project.containers()) == [f"{project.name}-web-1"]
    assert _page(project) == "2"


def _page(project: Project) -> str:
    script = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:18080/', timeout=20).read().decode())"
    found = project.engine.inside(sys.executable, "-S", "-c", script)
    return found.stdout.decode().strip() or f"error {found.stderr.decode()}"


# the client, held before it makes its container: it has seen the project as it was
LATE = """
import os, pathlib, sys, time
from scow.cli import main
from scow.client.api import Client
seen, go, call = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), Client.call
def late(self, method, path, *args, **more):
    if path.endswith("/containers/create"):
        seen.touch()
        while not go.exists():
            time.sleep(0.05)
    return call(self, method, path, *args, **more)
Client.call = late
sys.exit(main.main(sys.argv[3:]))
"""


@pytest.mark.parametrize("word", ["start-first", "stop-first"])
def test_who_comes_too_late_to_replace_a_container_waits_for_the_other(project: Project, word: str) -> None:
    project.file(ROLLING.replace("start-first", word).replace("stop_signal: KILL", "stop_grace_period: 2s"))
    project("up", "-d", "--wait")
    old = project.ids()
    seen, go = project.folder / "seen", project.folder / "go"
    words = [sys.executable, "-c", LATE, str(seen), str(go), "compose", "-p", project.name, "-f", "compose.yaml", "up", "-d"]
    env = {**project.cli.env, "V": "2"}
    late = subprocess.Popen(words, cwd=project.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        until(seen.exists, what="the late one to have looked")
        first = project.begin("up", "-d", env={"V": "2"})
        until(lambda: len(project.ids()) == 2, what="the new container beside the old one")
        go.touch()
        ends = [(run.communicate(timeout=120), run.returncode) for run in (first, late)]
    finally:
        late.kill()
    assert [code for _, code in ends] == [0, 0], ends
    assert list(project.containers()) == [f"{project.name}-web-1"]
    assert not project.ids() & old
    until(lambda: _page(project) == "2", what="the new one's page")


@pytest.mark.slow
def test_an_engine_that_dies_midway(project: Project) -> None:
    project.file(TWO)
    for step in range(3):
        run = project.begin("up", "-d", "--force-recreate")
        time.sleep(0.2 + 0.15 * step)
        project.engine.kill()
        _, err = run.communicate(timeout=120)
        assert b"Traceback" not in err
        project.engine.start()
        project("up", "-d")
        assert len(project.containers()) == 3
        assert all(row["State"] == "running" for row in project.containers().values())

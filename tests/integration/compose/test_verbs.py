"""What the verbs of `scow compose` do in odd cases, as the plugin does it."""

from tests.support.compose import Project
from tests.support.engine import until

ONE = """
services:
  web:
    image: busybox
    command: [sh, -c, "echo told; echo wrong >&2; sleep 1000"]
    stop_signal: KILL
    environment: {COLOUR: red}
  job: {image: busybox, command: "true", profiles: [job]}
"""


def test_one_off_containers_are_killed_and_shown_but_not_removed(project: Project) -> None:
    project.file(ONE)
    project("run", "-d", "--name", f"{project.name}-oneoff", "web", "sleep", "1000")
    assert f"{project.name}-oneoff" in project("top").out
    assert "No stopped containers" in project("rm", "-f", "-s").err
    project("kill")
    assert project.containers()[f"{project.name}-oneoff"]["State"] == "exited"
    assert "No stopped containers" in project("rm", "-f").err
    project("down")
    assert not project.ids()


def test_run_takes_variables_that_have_a_value(project: Project) -> None:
    project.file(ONE)
    run = ("run", "--rm", "-e", "COLOUR", "-e", "NEW", "web", "sh", "-c", "echo $COLOUR-$NEW")
    assert project(*run).out.split() == ["red-"]
    assert project(*run, env={"COLOUR": "blue", "NEW": "x"}).out.split() == ["blue-x"]
    assert "label must be set as KEY=VALUE" in project("run", "--rm", "-l", "x", "web", "true", code=1).err


def test_ls_counts_what_runs(project: Project) -> None:
    project.file(ONE)
    project("--profile", "job", "up", "-d", "--scale", "job=2")
    jobs = [f"{project.name}-job-{number}" for number in (1, 2)]
    until(lambda: {project.containers()[name]["State"] for name in jobs} == {"exited"}, what="the jobs to end")
    rows = [line.split() for line in project("ls").lines]
    assert [project.name, "running(1)"] in [row[:2] for row in rows]
    assert "exited(2), running(1)" in project("ls", "-a").out
    assert sorted(project("logs", "--no-log-prefix").lines) == ["told", "wrong"]
    removed = project("--profile", "job", "rm", "-f").out.strip()
    assert removed == f"Going to remove {', '.join(jobs)}"


def test_nothing_to_restart_is_fine_and_misspelled_words_are_named(project: Project) -> None:
    project.file(ONE)
    assert "no container to restart" in project("restart").err
    assert 'invalid --pull option "bogus"' in project("up", "-d", "--pull", "bogus", code=1).err
    for verb in ("up", "stop", "restart", "down"):
        assert "no such service: wbe\nDid you mean this?\n\tweb" in project(verb, "wbe", code=1).err
    assert not project.ids()


def test_the_end_of_what_is_not_shown_counts(project: Project) -> None:
    project.file("""
services:
  web: {image: busybox, command: sleep 1000, stop_signal: KILL}
  job: {image: busybox, command: [sh, -c, "sleep 0.5; exit 3"], attach: false}
""")
    done = project("up", "--abort-on-container-exit", code=3)
    assert "Aborting on container exit" in done.err
    assert "job" not in done.out
    assert project.containers()[f"{project.name}-web-1"]["State"] == "exited"
    project("up", "--exit-code-from", "job", "--no-attach", "job", code=3)


NETWORKED = """
services:
  web: {image: busybox, command: sleep 1000, stop_signal: KILL, volumes: ["/anon"]}
  calm: {image: busybox, command: sleep 1000, stop_signal: KILL, networks: [calm]}
networks:
  default: {internal: INTERNAL, ipam: {config: [{subnet: 10.99.7.0/24}]}}
  calm: {}
"""


def test_a_changed_network_is_made_anew_with_who_is_in_it(project: Project) -> None:
    project.file(NETWORKED.replace("INTERNAL", "false"))
    project("up", "-d")
    before = {name: row["Id"] for name, row in project.containers().items()}
    project.file(NETWORKED.replace("INTERNAL", "true"))
    assert "its configuration changed (internal)" in project("up", "--dry-run").out
    project("up", "-d", "calm")  # does not need the network
    assert project.ids() == set(before.values())
    project("up", "-d")
    after = {name: row["Id"] for name, row in project.containers().items()}
    assert {name for name in after if after[name] != before[name]} == {f"{project.name}-web-1"}
    facts = project.engine.api("GET", f"/networks/{project.name}_default").json
    assert facts["Internal"] is True
    assert facts["Containers"].keys() == {after[f"{project.name}-web-1"]}
    assert "keep" in project("diff").out
    project.engine.api("POST", f"/networks/{project.name}_default/disconnect", {"Container": f"{project.name}-web-1"})
    assert f"it is not in the network {project.name}_default" in project("up", "--dry-run").out
    project("up", "-d")
    assert len(project.engine.api("GET", f"/networks/{project.name}_default").json["Containers"]) == 1


def test_what_others_made_is_not_taken_silently(project: Project) -> None:
    api = project.engine.api
    project.file("services: {web: {image: busybox, command: sleep 1000, stop_signal: KILL, volumes: ['data:/data']}}\nvolumes: {data: }")
    api("POST", "/volumes/create", {"Name": f"{project.name}_data"})
    api("POST", "/networks/create", {"Name": f"{project.name}_default"})
    assert "incorrect label com.docker.compose.network set to" in project("up", "-d", code=1).err
    assert not project.ids()
    api("DELETE", f"/networks/{project.name}_default")
    assert "was not made for project" in project("up", "-d").err
    project("down", "-v")
    assert api("DELETE", f"/volumes/{project.name}_data").status == 204
    project("up", "-d")
    text = "volumes: {data: {driver_opts: {type: tmpfs, device: tmpfs}}}"
    project.file(f"services: {{web: {{image: busybox, command: sleep 1000, stop_signal: KILL, volumes: ['data:/data']}}}}\n{text}")
    assert "is not as the files want it (driver_opts)" in project("up", "-d").err
    project("down", "-v")


def test_up_thaws_what_is_paused(project: Project) -> None:
    project.file(ONE)
    project("up", "-d")
    project("pause")
    project("up", "-d")
    assert project.containers()[f"{project.name}-web-1"]["State"] == "running"


def test_a_closed_output_does_not_stop_the_work(project: Project) -> None:
    project.file("services: {web: {image: busybox, stop_signal: KILL, command: [sh, -c, 'while :; do echo told; sleep 0.1; done']}}")
    run = project.begin("up", "-d")
    assert run.stdout is not None
    assert run.stderr is not None
    run.stderr.close()
    assert run.wait(60) == 0
    for words in (["up"], ["logs", "-f"]):
        run = project.begin(*words)
        assert run.stdout is not None
        assert b"web" in run.stdout.readline()
        run.stdout.close()
        assert run.wait(60) == 141
    assert project.containers()[f"{project.name}-web-1"]["State"] == "running"

"""Services that a program of this machine provides, beside containers."""

from tests.support.compose import Project


def test_a_provider_tells_its_dependents_where_it_is(project: Project) -> None:
    cloud = project.folder / "bin/cloud"
    cloud.parent.mkdir()
    cloud.write_text(f"""#!/bin/sh
echo "$*" >>{project.folder}/log
case $3 in
up) echo '{{"type": "info", "message": "making it"}}'; echo '{{"type": "setenv", "message": "URL=cloud://db"}}';;
esac
""")
    cloud.chmod(0o755)
    project.file("""
services:
  db: {provider: {type: cloud, options: {kind: mysql}}}
  app: {image: busybox, command: sleep 1000, stop_signal: KILL, depends_on: [db]}
""")
    env = {"PATH": f"{cloud.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
    assert "making it" in project("up", "-d", env=env).err
    assert sorted(project.containers()) == [f"{project.name}-app-1"]
    assert project("exec", "-T", "app", "sh", "-c", "echo $DB_URL", env=env).out == "cloud://db"
    before = project.ids()
    project("up", "-d", env=env)
    assert project.ids() == before
    assert "cloud://db" in project("run", "--rm", "-T", "app", "sh", "-c", "echo $DB_URL", env=env).out
    assert "provided" not in project("run", "--rm", "db", "true", code=1, env=env).out
    for words in (("ps",), ("images",), ("pull", "db"), ("config", "--quiet"), ("stop",), ("logs",), ("down",)):
        project(*words, env=env)
    log = (project.folder / "log").read_text().splitlines()
    name = f"compose --project-name={project.name}"
    assert log.count(f"{name} up --kind=mysql db") == 3
    assert log[-1] == f"{name} down --kind=mysql db"


def test_a_project_of_providers_only_and_one_that_fails(project: Project) -> None:
    cloud = project.folder / "bin/cloud"
    cloud.parent.mkdir()
    cloud.write_text("#!/bin/sh\n[ $3 = up ] && [ $4 = --fail=yes ] && { echo >&2 no money; exit 7; }\nexit 0\n")
    cloud.chmod(0o755)
    env = {"PATH": f"{cloud.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
    text = "services: {db: {provider: {type: cloud, options: {fail: FAIL}}}}"
    project.file(text.replace("FAIL", "'no'"))
    project("up", env=env)
    assert "would have cloud provide service db" in project("up", "--dry-run", env=env).out
    project("down", env=env)
    project.file(text.replace("FAIL", "'yes'"))
    assert "status 7: no money" in project("up", "-d", env=env, code=1).err

"""scow in docker's place: on one engine, the same words give the same output, errors and exit codes."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.cli import Cli, Done
from tests.support.engine import Engine

_TIMES = re.compile(r"(?:Less than a second|About a minute|About an hour|\d+ (?:second|minute|hour)s?)(?: ago)?")


@pytest.fixture(scope="module")
def things(engine: Engine) -> Engine:
    """A running, an exited and a created container, a network, volumes and a second image."""
    engine.api("POST", "/networks/create", {"Name": "net", "Labels": {"a": "b"}})
    engine.api("POST", "/volumes/create", {"Name": "data", "Labels": {"a": "b"}})
    host = {"PortBindings": {"80/tcp": [{"HostPort": "18081"}]}, "Binds": ["data:/data", "/tmp:/host:ro"], "NetworkMode": "net"}
    exposed = {"80/tcp": {}, "81/udp": {}}
    engine.container("sleep", "1000", name="one", Labels={"a": "b", "c": "d"}, ExposedPorts=exposed, HostConfig=host)
    done = engine.container("sh", "-c", "echo out; echo err >&2; exit 3", name="two", HostConfig={"Memory": 64 << 20})
    engine.wait(done)
    engine.create("echo", "a long command with many words in it", name="three", Tty=True)
    engine.api("POST", "/images/busybox/tag?repo=local/other&tag=1.0")
    return engine


def plain(text: str, program: str) -> list[str]:
    """Lines without times and random names, without the program's name and without the width of columns."""
    text = re.sub(rf"(?<![\w/+]){program}(?=[ :])", "docker", _TIMES.sub("T", text))
    text = re.sub(r"endpoint \w+ \([0-9a-f]{64}\)", "endpoint NAME (ID)", text)
    return [re.sub(r"\s{2,}", "  ", line).strip() for line in text.splitlines()]


def _documents(text: str, program: str) -> list[object]:
    return [json.loads(line) for line in sorted(plain(text, program))]


def both(docker: Cli, scow: Cli, args: tuple[str, ...], stdin: bytes = b"") -> tuple[Done, Done]:
    with ThreadPoolExecutor(1) as beside:
        theirs = beside.submit(docker, *args, code=None, stdin=stdin)
        ours = scow(*args, code=None, stdin=stdin)
        return theirs.result(), ours


SAME = [
    "ps -a", "ps -a --no-trunc", "ps -n 1", "ps -a --filter status=exited", "ps -a --format json",
    "ps -a --format {{.Names}}:{{.Status}}:{{.Ports}}:{{.Labels}}:{{.Mounts}}:{{.Networks}}", "images", "images --no-trunc",
    "image ls --format json", "volume ls --format json", "images --format {{.ID}}|{{.Tag}}|{{.Size}}",
    "images --filter reference=local/*", "images nosuch", "history busybox", "history --no-trunc -q busybox", "inspect one",
    "inspect two three", "inspect -s one", "inspect nosuch", "inspect one nosuch", "inspect --type image busybox",
    "inspect --type volume data", "inspect --type nosuch x", "image inspect busybox", "image inspect nosuch", "volume ls",
    "volume inspect data", "volume inspect nosuch", "volume ls --filter dangling=true", "network ls", "network ls -q --no-trunc",
    "network inspect net", "network inspect nosuch", "port one", "port one 99", "port nosuch", "logs two", "logs --tail 1 two",
    "logs nosuch", "diff one", "top one -o pid,args", "top two", "version -f {{.Server.Version}}", "info -f {{.Driver}}", "wait two",
    "container inspect -f {{json.Mounts}} one", "container inspect -f {{json.Config.Env}} one",
]  # fmt: skip


@pytest.mark.parametrize("words", SAME)
def test_looking(docker: Cli, scow: Cli, things: Engine, words: str) -> None:
    theirs, ours = both(docker, scow, tuple(word.replace("json.", "json .") for word in words.split()))
    assert ours.code == theirs.code, (ours, theirs)
    if ours.out.startswith("{"):  # JSON of its own escapes
        assert _documents(ours.out, "scow") == _documents(theirs.out, "docker")
        return
    # docker shows the names of one image in random order
    order = sorted if words.startswith("image") else list
    assert order(plain(ours.out, "scow")) == order(plain(theirs.out, "docker"))
    assert plain(ours.err, "scow") == plain(theirs.err, "docker")


FAILING = [
    "run --rm busybox nosuch", "run --rm busybox /etc", "run --rm busybox sh -c exit\t7", "run --rm --nosuch busybox",
    "run --rm --pull never nosuch:1", "run --rm -m 1k busybox", "run --rm --name one busybox", "run --rm -p 18081:1 busybox",
    "run --rm -v nosuch/x:/y busybox", "run --rm --network nosuch busybox", "run --rm -it busybox true",
    "run -d --rm --restart always busybox", "run", "create", "create --name !! busybox", "exec one sh -c exit\t9", "exec one nosuch",
    "exec two true", "exec nosuch true", "exec", "start nosuch", "start one nosuch", "stop nosuch", "kill two", "kill -s BAD one",
    "rm one", "rm nosuch", "rmi nosuch", "rename one two", "pause two", "unpause one", "cp one:/nosuch /tmp", "cp /nosuch one:/tmp",
    "volume rm data", "volume rm nosuch", "volume create !!", "network rm net", "network rm bridge", "network rm nosuch",
    "network create bridge", "network connect nosuch one", "network disconnect net two", "tag nosuch x", "tag busybox UPPER",
    "save nosuch", "import /nosuch", "export nosuch", "commit nosuch", "update -m 1k one", "attach two", "nosuch", "images a b",
    "inspect", "top nosuch", "container prune --filter bad=x -f",
]  # fmt: skip


@pytest.mark.parametrize("words", FAILING)
def test_refusals(docker: Cli, scow: Cli, things: Engine, words: str) -> None:
    args = tuple(word.replace("\t", " ") for word in words.split(" "))
    theirs, ours = both(docker, scow, args)
    assert ours.code == theirs.code, (ours, theirs)
    assert plain(ours.out, "scow") == plain(theirs.out, "docker")
    theirs_lines, ours_lines = plain(theirs.err, "docker"), plain(ours.err, "scow")
    # what the engine says is said by both; how a command is used may be worded by each
    said = [re.sub(r"[0-9a-f]{64}", "ID", line) for line in theirs_lines if "Error" in line]
    assert [re.sub(r"[0-9a-f]{64}", "ID", line) for line in ours_lines if "Error" in line] == said
    assert bool(ours_lines) == bool(theirs_lines)


def test_doing(docker: Cli, scow: Cli, things: Engine) -> None:
    for program in (docker, scow):
        assert program("run", "--rm", "-i", "busybox", "cat", stdin=b"through").out == "through"
        made = program("create", "--name", "made", "busybox", "sh", "-c", "echo out; echo err >&2; exit 4").out
        assert len(made) == 64
        done = program("start", "-a", "made", code=4)
        assert (done.out, done.err) == ("out", "err")
        assert program("commit", "made", "copy").out.startswith("sha256:")
        assert program("rmi", "copy").lines[0] == "Untagged: copy:latest"
        assert program("rename", "made", "named").out == ""
        assert program("rm", "named").out == "named"
        assert program("volume", "create", "vol").out == "vol"
        assert program("volume", "rm", "vol").out == "vol"
        assert len(program("network", "create", "other").out) == 64
        assert program("network", "rm", "other").out == "other"
        assert program("kill", "one").out == "one"
        assert program("start", "one").out == "one"


# what the command line itself refuses, or answers without doing anything: every word of it is docker's
EXACT = (
    """
ps x|ps -n x|ps --format {{|ps --format {{.Nope}}|ps --format {{nofunc}}|ps --format table\t{{.Nope}}|ps --format {{if}}|ps -f bad
images --format {{.Nope}}|network ls --format {{.Nope}}|volume ls --format {{.Nope}}|history --format {{.Nope}} busybox
info --format {{|info --format {{.Nope}}|inspect -f {{ one|inspect -f {{.State.Nope}} one|inspect -f {{.Config.Labels.nosuch}} one
inspect -f {{index\t.Args\t9}} one|image inspect -f {{ busybox|volume inspect -f {{.Nope}} data|events --format {{ --until 1s
events --format {{.Nope}} --since 1 --until 2|system df --format {{.Nope}}|system df --format raw|context inspect --format {{
context create x! --docker host=unix:///x|context create cc --docker nohost|context create cc --docker a=b|context rm nosuch
context use nosuch
run -m x busybox|run --cpus 1.1234567891 busybox|run -v x:y:z:w busybox|run -p x busybox|run -p 1-3:1-2 busybox|run -p 1.2.3:1:1 busybox
run --expose 5-1 busybox|run --network name=x,nosuch=1 busybox|run --network-alias a busybox|run --network container: busybox
run --link a:b:c busybox|run --link  busybox|run --mac-address x busybox|run --add-host x busybox|run --dns x busybox
run --dns-search a\tb busybox|run -e =x busybox|run -l =x busybox|run --env-file /nosuch busybox|run --cidfile /nosuch/x busybox
run --restart on-failure:x busybox|run --pull x busybox|run --gpus x busybox|run --device x busybox|run --device-cgroup-rule x busybox
run --ulimit nosuch=1 busybox|run --sysctl nosuch=1 busybox|run --security-opt seccomp=/nosuch busybox|run --pid x busybox
run --pid container: busybox|run --uts x busybox|run --userns x busybox|run --cgroupns x busybox|run --mount type=bad,target=/x busybox
run --health-interval -1s busybox|run --health-cmd x --no-healthcheck busybox|run --blkio-weight-device x busybox
run --stop-timeout x busybox
run --cpu-count 1 busybox|start --checkpoint x one|volume update data|volume update|plugin ls|plugin ls -q|plugin inspect nosuch
plugin rm nosuch|plugin enable nosuch|plugin set nosuch a=b|plugin upgrade nosuch|plugin create a|checkpoint ls one
volume create --scope single x
volume create --label  x|exec -e =x one true|logs --since x one|network create --label  x|network connect --link a:b:c net one
volume prune -a --filter all=1|container prune|image prune|system prune|ps -q --format {{.Names}}|container nosuch|rm --nosuch one
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


@pytest.mark.parametrize("words", EXACT)
def test_every_word(docker: Cli, scow: Cli, things: Engine, words: str) -> None:
    args = tuple(word.replace("\t", " ") for word in words.split(" "))
    theirs, ours = both(docker, scow, args)
    assert ours.code == theirs.code, (ours, theirs)
    assert (plain(ours.out, "scow"), plain(ours.err, "scow")) == (plain(theirs.out, "docker"), plain(theirs.err, "docker"))


def test_flags_of_a_newer_api_are_refused(docker: Cli, scow: Cli, things: Engine) -> None:
    for version, words in (("1.24", "container prune -f"), ("1.40", "volume prune -a"), ("1.41", "run --annotation a=b busybox true")):
        theirs, ours = (program(*words.split(), code=1, env={"DOCKER_API_VERSION": version}) for program in (docker, scow))
        assert plain(ours.err, "scow") == plain(theirs.err, "docker")

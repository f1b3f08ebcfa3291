"""What could come next."""

import pytest

from scow.cli import plugins
from scow.cli.command import Cli
from scow.cli.completing import FILES, NO_FILES, candidates, run
from scow.errors import ScowError


class Engine:
    """Answers lists."""

    answers = {
        "/containers/json": [{"Id": "1" * 64, "Names": ["/web", "/other/alias"]}, {"Id": "2" * 64, "Names": []}],
        "/images/json": [{"RepoTags": ["nginx:latest", "busybox:1"]}, {"RepoTags": None}],
        "/networks": [{"Name": "bridge"}, {"Name": "back"}],
        "/services": [{"Spec": {"Name": "web", "Labels": {"com.docker.stack.namespace": "st"}}}],
        "/nodes": [{"ID": "1", "Description": {"Hostname": "h"}}],
        "/volumes": {"Volumes": [{"Name": "site"}]},
    }

    def get(self, path, params=None):
        return self.answers[path]


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "SYSTEM", ())
    return Cli(Engine, lambda name: "", str(tmp_path))


def words(cli, *line):
    return [word for word, _ in candidates(cli, list(line))[0]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["stop", ""], ["222222222222", "web"]),
        (["rm", "web", ""], ["222222222222"]),
        (["run", "--rm", "-e", "A=b", ""], ["busybox:1", "nginx", "nginx:latest"]),
        (["run", "--network", ""], ["back", "bridge"]),
        (["-H", "unix:///x", "network", "rm", ""], ["back", "bridge"]),
        (["volume", "inspect", ""], ["site"]),
        (["run", "--pull", ""], ["always", "missing", "never"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["context", "use", ""], ["default"]),
        (["ps", ""], []),
        (["service", "rm", ""], ["web"]),
        (["service", "scale", ""], ["web="]),
        (["stack", "rm", ""], ["st"]),
        (["node", "inspect", ""], ["h", "self"]),
        (["swarm", "join-token", ""], ["manager", "worker"]),
        (["node", "update", "--availability", ""], ["active", "drain", "pause"]),
    ],
)
def test_names(cli, line, expected):
    assert words(cli, *line) == expected


def test_commands_and_flags(cli):
    assert {"ps", "run", "container", "completion"} <= set(words(cli, ""))
    assert {"ls", "prune", "rm"} <= set(words(cli, "volume", ""))
    assert "--all" in words(cli, "ps", "-") and "--host" in words(cli, "-")
    assert words(cli, "run", "--restart=o")[1:2] == ["--restart=no"]


def test_files_where_files_may_stand(cli):
    assert candidates(cli, ["load", "-i", ""]) == ([], FILES)
    assert candidates(cli, ["run", "busybox", ""])[1] == FILES
    assert candidates(cli, ["run", "-v", ""]) == ([("site:", "a volume")], FILES)
    assert candidates(cli, ["cp", "./"])[1] == FILES and candidates(cli, ["ps", ""])[1] == NO_FILES


def test_an_engine_that_is_not_there_gives_no_answer_and_no_error(tmp_path, capsys):
    def dial():
        raise ScowError("nobody")

    assert run(Cli(dial, lambda name: "", str(tmp_path)), ["stop", ""]) == 0
    assert capsys.readouterr().out == ":4\n"
    assert run(Cli(dial, lambda name: "", str(tmp_path)), ["stop", "-t", "3", "--sig"]) == 0
    assert capsys.readouterr().out == "--signal\tSignal to send\n:4\n"

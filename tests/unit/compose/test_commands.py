"""The command line of `scow compose`: verbs, flags, exit codes, without an engine."""

import sys

import pytest

from scow.cli import main
from scow.compose.commands.main import load, script
from scow.compose.commands.preparing import scales
from scow.compose.commands.table import UNSUPPORTED, VERBS
from scow.errors import ScowError

PLUGIN = (
    "attach build commit config cp create down events exec export images kill logs ls pause port ps publish pull push restart rm run scale "
    "start stats stop top unpause up version volumes wait watch"
)


def test_every_verb_of_the_plugin_is_there() -> None:
    assert set(PLUGIN.split()) <= VERBS.keys()
    for name in VERBS:
        flags = [flag[0] for flag in load(name).flags]
        assert len(flags) == len(set(flags)), name
        shorts = [flag[1] for flag in load(name).flags if flag[1]]
        assert len(shorts) == len(set(shorts)), name


@pytest.mark.parametrize(
    ("argv", "code", "text"),
    [
        (["bogus"], 16, 'unknown docker command: "compose bogus"'),
        (["up", "--bogus"], 16, "unknown flag: --bogus"),
        (["exec", "web"], 1, "requires at least 2 arg(s), only received 1"),
        (["-f", "/nonexistent.yaml", "up"], 14, "no such file or directory"),
        (["-f", "FILE", "up", "nobody"], 1, "no such service: nobody"),
        (["-f", "FILE", "up", "--force-recreate", "--no-recreate"], 1, "--force-recreate and --no-recreate are incompatible"),
        (["-f", "FILE", "up", "-d", "--abort-on-container-exit"], 1, "can't be used with --detach"),
        (["-f", "FILE", "up", "--scale", "web"], 1, "invalid scale"),
        (["--ansi", "x", "-f", "FILE", "up", "-d"], 1, "Cannot connect"),
        (["-f", "FILE", "publish", "--oci-version", "2", "x"], 1, "use 1.0 or 1.1"),
        *(([name], 1, "SCOW_COMPOSE=plugin") for name in UNSUPPORTED),
    ],
)
def test_errors(
    argv: list[str], code: int, text: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path_factory.mktemp("project") / "compose.yaml"
    file.write_text("services: {web: {image: busybox}}")
    words = [str(file) if word == "FILE" else word for word in argv]
    assert main.main(["-H", "unix:///nonexistent.sock", "compose", *words]) == code
    assert text in capsys.readouterr().err


def test_help_names_all_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["compose", "up", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"--{flag[0]}" in text for flag in load("up").flags if flag[4])
    assert main.main(["compose", "--help"]) == 0
    assert "unpause" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["__complete", "wa"], ["__complete", "compose", "wa"]])
def test_scow_compose_completes_its_own_words(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["scow-compose", *words])
    monkeypatch.setattr(main, "run", lambda: main.main(sys.argv[1:]))
    script()
    assert [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["wait", "watch", ":4"]


def test_scales() -> None:
    assert scales(["web=3", "db=0"]) == {"web": 3, "db": 0}
    for word in ("web", "web=x", "=3", "web=-1"):
        with pytest.raises(ScowError, match="invalid scale"):
            scales([word])

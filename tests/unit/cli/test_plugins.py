"""Plugins are found in their folders, asked for their metadata, and get build's commands."""

import json
import os
import posix
import subprocess
import sys

import pytest

from scow.cli import plugins
from scow.cli.command import Cli

PROGRAM = "import sys; sys.argv[0] = '/usr/bin/scow'; from scow.cli.main import run; run()"
ANSWER = """if [ "$1" = docker-cli-plugin-metadata ]; then echo '{"SchemaVersion":"0.1.0","Vendor":"Someone"}'; exit; fi
"""
META = {"SchemaVersion": "0.1.0", "Vendor": "Someone", "Version": "v1", "ShortDescription": "Says hello"}


def _plugin(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"docker-{name}"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "SYSTEM", (str(tmp_path / "system"),))
    return Cli(lambda: pytest.fail("no engine is needed"), lambda name: "", str(tmp_path))


def test_the_users_folder_comes_first_and_extra_folders_before_it(cli, tmp_path):
    system = _plugin(tmp_path / "system", "hello", "")
    assert plugins.find(cli, "hello") == system
    own = _plugin(tmp_path / "cli-plugins", "hello", "")
    assert plugins.find(cli, "hello") == own
    extra = _plugin(tmp_path / "extra", "hello", "")
    (tmp_path / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(tmp_path / "extra")]}))
    cli._config = None
    assert plugins.find(cli, "hello") == extra


def test_what_is_no_plugin(cli, tmp_path):
    path = _plugin(tmp_path / "cli-plugins", "hello", "")
    os.chmod(path, 0o644)
    (tmp_path / "cli-plugins" / "docker-folder").mkdir()
    assert plugins.find(cli, "folder") == "" and plugins.find(cli, "../x") == "" and plugins.find(cli, "Up") == ""
    if os.getuid():
        assert plugins.find(cli, "hello") == ""


def test_described_asks_all_and_leaves_out_who_answers_nonsense(cli, tmp_path):
    folder = tmp_path / "cli-plugins"
    path = _plugin(folder, "hello", f"echo '{json.dumps(META)}'")
    _plugin(folder, "broken", "echo no json")
    _plugin(folder, "nobody", "echo '{}'")
    assert plugins.described(cli) == [{**META, "Name": "hello", "Path": path}]


def test_build_goes_to_buildx_unless_the_user_says_no():
    none = lambda name: ""  # noqa: E731
    assert plugins.redirected(["build", "-t", "x", "."], none) == ["buildx", "build", "-t", "x", "."]
    assert plugins.redirected(["image", "build", "."], none) == ["buildx", "build", "."]
    assert plugins.redirected(["builder", "prune"], none) == ["buildx", "prune"]
    assert plugins.redirected(["build", "."], lambda name: "0") == ["build", "."]
    assert plugins.redirected(["build", "."], none, {"builder": "mine"}) == ["mine", "build", "."]
    assert plugins.redirected(["compose", "up"], none) == ["compose", "up"]


def test_a_plugin_becomes_the_process_with_the_whole_line_and_the_engines_address(tmp_path):
    _plugin(
        tmp_path / "cli-plugins",
        "hello",
        ANSWER + 'echo "$@" "$DOCKER_HOST" "$(basename "$DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND")"; exit 7',
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--config", str(tmp_path), "hello", "a", "--flag"],
        env={"PATH": posix.environ[b"PATH"].decode(), "SCOW_HOST": "unix:///far.sock", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (7, f"--config {tmp_path} hello a --flag unix:///far.sock scow\n"), done.stderr


def test_why_a_file_is_no_plugin(cli, tmp_path):
    folder = tmp_path / "cli-plugins"
    _plugin(folder, "Upper", "")
    _plugin(folder, "run", "")
    _plugin(folder, "silent", "exit 3")
    _plugin(folder, "noise", "echo no json")
    _plugin(folder, "nobody", """echo '{"SchemaVersion":"0.1.0"}'""")
    _plugin(folder, "future", """echo '{"SchemaVersion":"7","Vendor":"x"}'""")
    os.chmod(_plugin(folder, "locked", ""), 0o644)
    found = {one["Name"]: one["Err"] for one in plugins.candidates(cli)}
    assert "did not match" in found["Upper"] and found["run"] == 'plugin "run" duplicates builtin command'
    assert found["silent"] == "failed to fetch metadata: exit status 3" and found["noise"].startswith("invalid metadata: ")
    assert found["nobody"] == "plugin metadata does not define a vendor" and "must be 0.1.0" in found["future"]
    assert found["locked"].startswith("failed to fetch metadata: fork/exec ")
    assert plugins.described(cli) == []


def _scow(tmp_path, *argv, **env):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "--config", str(tmp_path), *argv],
        env={"PATH": posix.environ[b"PATH"].decode(), "SCOW_HOST": "unix:///nowhere.sock", "PYTHONPATH": ":".join(sys.path), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_is_no_plugin_is_not_run_and_help_says_why(tmp_path):
    _plugin(tmp_path / "cli-plugins", "broken", "echo ran")
    done = _scow(tmp_path, "broken", "x")
    assert done.returncode == 1 and done.stdout == "" and "is not valid: invalid metadata" in done.stderr
    _plugin(tmp_path / "cli-plugins", "hello", ANSWER)
    text = _scow(tmp_path, "--help").stdout
    assert "  hello*" in text and "Invalid Plugins:\n  broken" in text


def _on_terminal(tmp_path, *argv):
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--config", str(tmp_path), *argv],
        env={"PATH": posix.environ[b"PATH"].decode(), "PYTHONPATH": ":".join(sys.path), "DOCKER_CLI_HOOKS": "1", "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(theirs)
        err = process.communicate(timeout=60)[1].decode()
    os.close(ours)
    return process.returncode, err


HOOK = """if [ "$1" = docker-cli-plugin-hooks ]; then
  printf '%s' "$2" >>"$(dirname "$0")/asked"; echo '{"Type":0,"Template":"try {{command}} {{flagValue \\"format\\"}} next"}'; exit; fi
"""


def test_hooks_follow_a_command_on_a_terminal(tmp_path):
    _plugin(tmp_path / "cli-plugins", "hello", ANSWER + HOOK)
    (tmp_path / "config.json").write_text(json.dumps({"plugins": {"hello": {"hooks": "image ls,context show"}}}))
    assert _on_terminal(tmp_path, "context", "show") == (0, "\n\033[1mWhat's next:\033[0m\n    try show  next\n")
    assert json.loads((tmp_path / "cli-plugins" / "asked").read_text()) == {"RootCmd": "context show", "Flags": {}}
    assert _on_terminal(tmp_path, "context", "ls", "-q") == (0, "")
    assert _scow(tmp_path, "context", "show", DOCKER_CLI_HOOKS="1").stderr == ""  # no terminal


def test_error_hooks_follow_only_what_failed(tmp_path):
    _plugin(tmp_path / "cli-plugins", "hello", ANSWER + HOOK)
    (tmp_path / "config.json").write_text(json.dumps({"plugins": {"hello": {"error-hooks": "context"}, "absent": {"hooks": "context"}}}))
    assert _on_terminal(tmp_path, "context", "show") == (0, "")
    code, err = _on_terminal(tmp_path, "context", "inspect", "--format", "x", "nosuch")
    assert code == 1 and err.endswith("    try inspect x next\n")
    assert "CommandError" in json.loads((tmp_path / "cli-plugins" / "asked").read_text())


def test_a_plugin_that_answers_nonsense_gives_no_hint(tmp_path):
    _plugin(tmp_path / "cli-plugins", "hello", ANSWER + "echo '{{'; exit 1")
    (tmp_path / "config.json").write_text(json.dumps({"plugins": {"hello": {"hooks": "context"}}, "features": {"hooks": "true"}}))
    assert _on_terminal(tmp_path, "context", "show") == (0, "")

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
    _plugin(tmp_path / "cli-plugins", "hello", 'echo "$@" "$DOCKER_HOST" "$(basename "$DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND")"; exit 7')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--config", str(tmp_path), "hello", "a", "--flag"],
        env={"PATH": posix.environ[b"PATH"].decode(), "SCOW_HOST": "unix:///far.sock", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (7, f"--config {tmp_path} hello a --flag unix:///far.sock scow\n"), done.stderr

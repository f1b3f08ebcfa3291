"""The service manager's files are what systemd takes, and leave containers running."""

import configparser
import shutil
import subprocess

import pytest

from scow.daemon import units
from scow.daemon.units.__main__ import main


def read(path):
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str
    parser.read_string(path.read_text())
    return parser


def test_units_are_written_for_an_installation(tmp_path, capsys):
    assert main([str(tmp_path / "units"), "/opt/x/bin", str(tmp_path / "groups")]) == 0
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {*units.UNITS, units.GROUP}
    assert len(capsys.readouterr().out.splitlines()) == 5
    service = read(tmp_path / "units/scow.service")["Service"]
    assert service["ExecStart"] == "/opt/x/bin/scowd -H fd://"
    assert (service["Type"], service["KillMode"], service["Delegate"]) == ("notify", "process", "yes")
    assert read(tmp_path / "units/scow.socket")["Socket"]["ListenStream"] == "/run/scow/scow.sock"
    assert read(tmp_path / "units/scow-registry.service")["Service"]["ExecStart"].startswith(
        "/opt/x/bin/scow registry serve --root /var/lib/"
    )
    assert "@" not in "".join(path.read_text() for path in tmp_path.rglob("scow*") if path.is_file())


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file/x")]) == 1
    assert "the units can't be written" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_them(tmp_path):
    for program in ("scow", "scowd"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    written = units.write(tmp_path, str(tmp_path))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, written)], capture_output=True, text=True, timeout=120, check=False
    )
    said = [line for line in done.stderr.splitlines() if "scow" in line]
    assert (done.returncode, said) == (0, [])

"""What a user sees of operations."""

import json

import pytest

from scow.compose.display import progress


def test_plain_json_and_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    progress.make("auto", False, (0, 0)).event("Container p-web-1", "Starting")
    assert capsys.readouterr().err == " Container p-web-1  Starting\n"
    progress.make("json", True, (0, 0)).event("Container p-web-1", "Started", "", True)
    assert json.loads(capsys.readouterr().err) == {"id": "Container p-web-1", "status": "Done", "text": "Started"}
    progress.make("quiet", True, (0, 0)).event("x", "y")
    assert capsys.readouterr().err == ""


def test_live_rows_fit_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    live = progress.make("auto", True, (10, 60), colour=False)
    for number in range(30):
        live.event(f"Container {number}", "Starting")
        live.event(f"Container {number}", "Started", "", True)
    live.event("web", "Pulling")
    live.part("web", {"id": "layer", "status": "Downloading", "progressDetail": {"current": 1000, "total": 4000}})
    live.close()
    last = capsys.readouterr().err.rpartition("\x1b[9A")[2]
    assert "[+] Running 30/31" in last
    assert "web           Pulling 1kB / 4kB" in last
    assert last.count("\n") == 9
    assert all(len(line.replace("\r\x1b[2K", "")) <= 60 for line in last.split("\n"))

"""`scow plugin` and `volume update` against a scripted engine."""

import pytest

from scow.cli import main
from tests.fakes.wire import FakeEngine, chunked, reply

PLUGIN = {
    "Id": "f" * 64,
    "Name": "me/net:latest",
    "Enabled": False,
    "PluginReference": "docker.io/me/net:latest",
    "Config": {"Description": "A\nnet"},
}


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    routes = {
        "GET /plugins": reply(200, [PLUGIN]),
        "GET /plugins/me/net/json": reply(200, PLUGIN),
        "GET /plugins/privileges": reply(200, [{"Name": "network", "Value": ["host"]}]),
        "POST /plugins/pull": chunked(b'{"status":"Pulling"}\n', ends=True),
        "POST /plugins/me/net:latest/set": reply(204),
        "POST /plugins/me/net:latest/enable": reply(204),
        "POST /plugins/me/net/disable": reply(204),
        "DELETE /plugins/me/net": reply(204),
        "POST /plugins/create": reply(204),
        "GET /volumes/v": reply(200, {"Name": "v", "Driver": "local"}),
        "GET /volumes/c": reply(200, {"Name": "c", "ClusterVolume": {"ID": "i", "Version": {"Index": 7}, "Spec": {"Group": "g"}}}),
        "PUT /volumes/i": reply(200),
    }
    with FakeEngine(tmp_path / "s", routes) as made:
        yield made


def scow(engine, *argv):
    return main.main(["-H", engine.url, *argv])


def test_lists(engine, capsys):
    assert scow(engine, "plugin", "ls") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ID", "NAME", "DESCRIPTION", "ENABLED"] and lines[1].split() == ["f" * 12, "me/net:latest", "Anet", "false"]
    assert scow(engine, "plugin", "ls", "-q", "--no-trunc") == 0
    assert capsys.readouterr().out == "f" * 64 + "\n"
    assert scow(engine, "plugin", "ls", "--format", "{{.Name}} {{.Enabled}}") == 0
    assert capsys.readouterr().out == "me/net:latest false\n"
    engine.routes["GET /plugins"] = reply(200, [])
    assert scow(engine, "plugin", "ls") == 0 and len(capsys.readouterr().out.splitlines()) == 1


def test_install_asks_and_sets_and_enables(engine, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO("n\n"))
    assert scow(engine, "plugin", "install", "me/net") == 1
    shown = capsys.readouterr()
    assert "requesting the following privileges" in shown.out and "permission denied" in shown.err
    assert scow(engine, "plugin", "install", "--grant-all-permissions", "me/net", "A=b") == 0
    assert capsys.readouterr().out.endswith("Installed plugin me/net\n")
    assert [line.split("?")[0] for line in engine.seen[-3:]] == [
        "POST /plugins/pull",
        "POST /plugins/me/net:latest/set",
        "POST /plugins/me/net:latest/enable",
    ]


def test_the_rest(engine, capsys, tmp_path):
    assert scow(engine, "plugin", "disable", "-f", "me/net") == 0 and engine.seen[-1] == "POST /plugins/me/net/disable?force=1"
    assert scow(engine, "plugin", "rm", "me/net") == 0 and scow(engine, "plugin", "inspect", "-f", "{{.Name}}", "me/net") == 0
    assert scow(engine, "plugin", "rm", "nosuch") == 1 and scow(engine, "plugin", "enable", "") == 1
    assert scow(engine, "plugin", "create", "p", str(tmp_path)) == 1
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "rootfs").mkdir()
    assert capsys.readouterr().err.count("no such file or directory") == 1


def test_volume_update_is_for_clusters(engine, capsys):
    assert scow(engine, "volume", "update", "v") == 1
    assert capsys.readouterr().err == "can only update cluster volumes\n"
    assert scow(engine, "volume", "update", "--availability", "drain", "c") == 0
    assert engine.seen[-1] == "PUT /volumes/i?version=7"

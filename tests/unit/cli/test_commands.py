"""Whole command lines against a scripted engine: what is asked, what is printed, on which stream, and the exit code."""

import posix
from types import SimpleNamespace

import pytest

from scow.cli import main, plugins
from scow.client.transport import ApiError

ID = "0123456789abcdef" * 4
CONTAINER = {
    "Id": ID,
    "Names": ["/web"],
    "Image": "nginx",
    "ImageID": "sha256:" + "1" * 64,
    "Command": "nginx -g off",
    "Created": 1_700_000_000,
    "State": "running",
    "Status": "Up 2 hours",
    "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
    "Labels": {"a": "b"},
    "Mounts": [],
    "NetworkSettings": {"Networks": {"bridge": {}}},
}
ANSWERS = {
    "GET /containers/json": [CONTAINER],
    "GET /containers/web/json": {
        "Id": ID,
        "Name": "/web",
        "State": {"Status": "running"},
        "NetworkSettings": {
            "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}], "9/udp": None}
        },
    },
    "GET /containers/web/changes": [{"Path": "/a", "Kind": 0}, {"Path": "/b", "Kind": 1}, {"Path": "/c", "Kind": 2}],
    "GET /containers/web/top": {"Titles": ["PID", "CMD"], "Processes": [["1", "nginx: master"]]},
    "POST /containers/web/wait": {"StatusCode": 3},
    "POST /commit": {"Id": "sha256:" + "2" * 64},
    "GET /images/nginx/history": [
        {"Id": "sha256:" + "1" * 64, "Created": 1, "CreatedBy": "CMD x", "Size": 0, "Comment": "", "Tags": None},
        {"Id": "<missing>", "Created": 1, "CreatedBy": "ADD y", "Size": 1500, "Comment": "c", "Tags": None},
    ],
    "DELETE /images/nginx": [{"Untagged": "nginx:latest"}, {"Deleted": "sha256:" + "1" * 64}],
    "GET /networks": [{"Name": "back", "Id": "f" * 64, "Driver": "bridge", "Scope": "local", "Created": "2024-01-01T00:00:00Z"}],
    "POST /networks/create": {"Id": "e" * 64, "Warning": ""},
    "GET /volumes": {"Volumes": [{"Name": "site", "Driver": "local", "Mountpoint": "/m", "Labels": None, "Scope": "local"}]},
    "POST /volumes/create": {"Name": "site"},
    "POST /containers/prune": {"ContainersDeleted": [ID], "SpaceReclaimed": 1500},
    "POST /containers/create": {"Id": ID, "Warnings": ["careful"]},
    "POST /containers/web/update": {"Warnings": None},
    "GET /version": {
        "Version": "9.9",
        "ApiVersion": "1.45",
        "MinAPIVersion": "1.24",
        "Os": "linux",
        "Arch": "amd64",
        "Platform": {"Name": "Test Engine"},
        "Components": [
            {
                "Name": "Engine",
                "Version": "9.9",
                "Details": {"GitCommit": "abc", "BuildTime": "2024-05-06T07:08:09.000+00:00", "Experimental": "false"},
            },
            {"Name": "runc", "Version": "1", "Details": {"GitCommit": ""}},
        ],
    },
}


class Engine:
    """Answers from the table, and notes what it was asked."""

    version = ""

    def __init__(self):
        self.asked = []

    def _answer(self, method, path, params, body=None):
        sent = {key: value for key, value in (params or {}).items() if value not in (None, False, [])}
        self.asked.append((method, path, sent, body))
        if path.startswith("/containers/gone"):
            raise ApiError(404, "No such container: gone")
        return ANSWERS.get(f"{method} {path}")

    def get(self, path, params=None):
        return self._answer("GET", path, params)

    def post(self, path, params=None, body=None):
        return self._answer("POST", path, params, body)

    def delete(self, path, params=None):
        return self._answer("DELETE", path, params)

    def call(self, method, path, params=None):
        answer = self._answer(method, path, params)
        return SimpleNamespace(json=lambda: answer)

    def close(self):
        pass


@pytest.fixture
def engine(monkeypatch, tmp_path):
    monkeypatch.setitem(posix.environ, b"DOCKER_CONFIG", str(tmp_path).encode())
    monkeypatch.setattr(plugins, "SYSTEM", ())
    made = Engine()
    monkeypatch.setattr(main, "make_client", lambda options, cli: made)
    return made


PS = "CONTAINER ID   IMAGE     COMMAND          CREATED        STATUS       PORTS                  NAMES\n"


@pytest.mark.parametrize(
    ("line", "out"),
    [
        ("ps -q", ID[:12] + "\n"),
        ("ps --no-trunc -q", ID + "\n"),
        ("ps --format {{.Names}}:{{.Ports}}:{{.Networks}}", "web:0.0.0.0:8080->80/tcp:bridge\n"),
        ("port web", "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"),
        ("port web 80", "0.0.0.0:8080\n[::]:8080\n"),
        ("diff web", "C /a\nA /b\nD /c\n"),
        ("top web", "PID                 CMD\n1                   nginx: master\n"),
        ("wait web", "3\n"),
        ("stop web", "web\n"),
        ("stop -t 3 web db", "web\ndb\n"),
        ("kill -s HUP web", "web\n"),
        ("restart web", "web\n"),
        ("pause web", "web\n"),
        ("unpause web", "web\n"),
        ("rm -fv web db", "web\ndb\n"),
        ("rename web old", ""),
        ("update -m 64m web", "web\n"),
        ("commit web me/x:1", "sha256:" + "2" * 64 + "\n"),
        ("tag a b:2", ""),
        ("rmi nginx", "Untagged: nginx:latest\nDeleted: sha256:" + "1" * 64 + "\n"),
        ("history -q nginx", "1" * 12 + "\n<missing>\n"),
        ("network ls", "NETWORK ID     NAME      DRIVER    SCOPE\nffffffffffff   back      bridge    local\n"),
        ("network create back", "e" * 64 + "\n"),
        ("network rm back", "back\n"),
        ("network connect --alias x back web", ""),
        ("network disconnect -f back web", ""),
        ("volume ls", "DRIVER    VOLUME NAME\nlocal     site\n"),
        ("volume create site", "site\n"),
        ("volume rm site", "site\n"),
        ("inspect -f {{.State.Status}} web", "running\n"),
        ("container prune -f", f"Deleted Containers:\n{ID}\n\nTotal reclaimed space: 1.5kB\n"),
        ("create nginx", ID + "\n"),
        ("version -f {{.Server.Version}}/{{.Client.Context}}", "9.9/default\n"),
    ],
)
def test_output(engine, capsys, line, out):
    assert main.main(line.split()) == 0
    assert capsys.readouterr().out == out


def test_the_table_of_containers(engine, capsys):
    assert main.main(["ps"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == PS.split()
    assert row.startswith(ID[:12] + '   nginx     "nginx -g off"   ') and row.endswith("   Up 2 hours   0.0.0.0:8080->80/tcp   web")
    assert head.index("NAMES") == row.index("web", 20)


def test_version_text(engine, capsys):
    assert main.main(["version"]) == 0
    out = capsys.readouterr().out
    assert " API version:       1.45 (downgraded from 1.51)\n" in out
    assert out.partition("\n\n")[2] == (
        "Server: Test Engine\n Engine:\n  Version:          9.9\n  API version:      1.45 (minimum version 1.24)\n"
        "  Git commit:       abc\n  Built:            Mon May  6 07:08:09 2024\n  OS/Arch:          linux/amd64\n"
        "  Experimental:     false\n runc:\n  Version:          1\n  GitCommit:        \n"
    )


@pytest.mark.parametrize(
    ("line", "method", "path", "params"),
    [
        ("ps -a -n 3 --filter name=x", "GET", "/containers/json", {"all": True, "limit": 3, "filters": '{"name":{"x":true}}'}),
        ("stop -t 3 -s INT web", "POST", "/containers/web/stop", {"t": 3, "signal": "INT"}),
        ("rm -fv web", "DELETE", "/containers/web", {"force": True, "v": True}),
        ("rename web old", "POST", "/containers/web/rename", {"name": "old"}),
        ("tag a me/b:2", "POST", "/images/a/tag", {"repo": "docker.io/me/b", "tag": "2"}),
        ("create --name n nginx", "POST", "/containers/create", {"name": "n"}),
        ("network rm back", "DELETE", "/networks/back", {}),
        ("volume rm -f site", "DELETE", "/volumes/site", {"force": True}),
    ],
)
def test_requests(engine, line, method, path, params):
    main.main(line.split())
    found = [(one[0], one[1], one[2]) for one in engine.asked]
    wanted = [one for one in found if one[:2] == (method, path)]
    assert wanted and {**wanted[-1][2], **params} == wanted[-1][2], found


def test_errors_of_some_names_leave_the_others_done(engine, capsys):
    assert main.main(["stop", "web", "gone"]) == 1
    assert capsys.readouterr() == ("web\n", "Error response from daemon: No such container: gone\n")
    assert main.main(["rm", "-f", "gone"]) == 0
    assert capsys.readouterr() == ("", "Error response from daemon: No such container: gone\n")


def test_warnings_are_no_output(engine, capsys):
    main.main(["create", "nginx"])
    assert capsys.readouterr().err == "WARNING: careful\n"


def test_the_configurations_formats_and_proxies(engine, capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"psFormat": "{{.Names}}!", "proxies": {"default": {"httpProxy": "http://p"}}}')
    engine.transport = type("T", (), {"endpoint": type("E", (), {"url": "unix:///x"})})
    main.main(["ps"])
    assert capsys.readouterr().out == "web!\n"
    main.main(["create", "-e", "http_proxy=mine", "nginx"])
    assert engine.asked[-1][3]["Env"] == ["http_proxy=mine", "HTTP_PROXY=http://p"]


def test_a_command_that_breaks_says_so_in_one_line(engine, capsys, monkeypatch):
    monkeypatch.setattr(engine, "get", lambda path, params=None: [{}])
    assert main.main(["ps"]) == 1
    assert capsys.readouterr().err.startswith("scow: the engine's answer can't be understood: KeyError")

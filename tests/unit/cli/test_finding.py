"""Which engine: flag, environment, context, default; TLS and headers on the way."""

import posix

import pytest

from scow.cli import contexts, flags
from scow.cli.command import Cli
from scow.cli.engine import make_client
from scow.cli.environment import env
from scow.cli.table import GLOBAL_FLAGS
from scow.errors import ScowError

VARIABLES = (
    b"SCOW_HOST",
    b"DOCKER_HOST",
    b"DOCKER_CONTEXT",
    b"DOCKER_TLS",
    b"DOCKER_TLS_VERIFY",
    b"DOCKER_CERT_PATH",
    b"DOCKER_CUSTOM_HEADERS",
)


@pytest.fixture
def find(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delitem(posix.environ, name, raising=False)
    monkeypatch.setattr("scow.cli.environment.SOCKETS", (str(tmp_path / "scow.sock"), str(tmp_path / "docker.sock")))
    for name in ("aa", "bb"):
        endpoint = {"Host": f"tcp://{name}:1", "SkipTLSVerify": False}
        contexts.write(str(tmp_path), {"Name": name, "Metadata": {}, "Endpoints": {"docker": endpoint}}, {"ca.pem": b"C"})

    def run(line="", config="", **environment):
        for name, value in environment.items():
            monkeypatch.setitem(posix.environ, name.encode(), value.encode())
        (tmp_path / "config.json").write_text(config or "{}")
        options, _ = flags.parse(GLOBAL_FLAGS, line.split())
        cli = Cli(lambda: None, env, str(tmp_path), (options.list("host") or [""])[0], options.text("context"))
        return make_client(options, cli).transport

    run.folder = tmp_path
    return run


@pytest.mark.parametrize(
    ("line", "config", "environment", "url"),
    [
        ("-H tcp://f:1", "", {"SCOW_HOST": "tcp://s:1"}, "tcp://f:1"),
        ("", "", {"SCOW_HOST": "tcp://s:1", "DOCKER_HOST": "tcp://d:1"}, "tcp://s:1"),
        ("", '{"currentContext":"bb"}', {"DOCKER_HOST": "tcp://d:1", "DOCKER_CONTEXT": "aa"}, "tcp://d:1"),
        ("-c aa", "", {"DOCKER_HOST": "tcp://d:1"}, "tcp://aa:1"),
        ("", '{"currentContext":"bb"}', {"DOCKER_CONTEXT": "aa"}, "tcp://aa:1"),
        ("", '{"currentContext":"bb"}', {}, "tcp://bb:1"),
        ("-c default", '{"currentContext":"bb"}', {}, "unix://{}/scow.sock"),
    ],
)
def test_the_order(find, line, config, environment, url):
    assert find(line, config, **environment).endpoint.url == url.format(find.folder)


def test_dockers_socket_where_only_that_is(find):
    (find.folder / "docker.sock").touch()
    assert find().endpoint.path.endswith("docker.sock")


def test_tls_of_contexts_and_of_the_environment(find):
    assert find("-c aa").endpoint.tls.ca.endswith("docker/ca.pem")
    (find.folder / "ca.pem").touch()
    tls = find("-H tcp://x", DOCKER_TLS_VERIFY="1").endpoint.tls
    assert tls.verify and tls.ca == f"{find.folder}/ca.pem" and tls.cert == ""
    assert find("-H tcp://x", DOCKER_TLS_VERIFY="1").endpoint.port == 2376
    assert find("-H tcp://x --tls --tlscacert /a --tlsverify=false").endpoint.tls.ca == "/a"
    assert find("-H unix:///x", DOCKER_TLS_VERIFY="1").endpoint.tls is None


def test_headers(find):
    config = '{"HttpHeaders": {"X-A": "b", "User-Agent": "no"}}'
    assert find("", config)._extra == {"X-A": "b"}
    assert find("", config, DOCKER_CUSTOM_HEADERS="X-C=d,X-E=f=g")._extra == {"X-C": "d", "X-E": "f=g"}
    with pytest.raises(ScowError, match="DOCKER_CUSTOM_HEADERS"):
        find("", config, DOCKER_CUSTOM_HEADERS="nonsense")


@pytest.mark.parametrize(("header", "text"), [('{"Bad": "x\\r\\nB: y"}', "header field value for 'Bad'"), ('{"A b": "c"}', "name 'A b'")])
def test_headers_that_would_become_others_are_refused(find, header, text):
    with pytest.raises(ScowError, match=text):
        find("", '{"HttpHeaders": ' + header + "}")


@pytest.mark.parametrize(
    ("line", "more", "text"),
    [
        ("-H tcp://[::1", {}, "IPv6"),
        ("", {"DOCKER_API_VERSION": "x"}, "DOCKER_API_VERSION='x'"),
        ("-H tcp://h:1", {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nonexistent"}, "DOCKER_CERT_PATH=/nonexistent"),
    ],
)
def test_errors_name_the_value(find, line, more, text):
    with pytest.raises(ScowError, match=text):
        find(line, **more)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-H unix:///a -H unix:///b", "specify only one -H"),
        ("-H unix:///a -c aa", "cannot specify both --host and --context"),
        ("-c nope", 'unable to resolve docker endpoint: context "nope": context not found'),
    ],
)
def test_refused(find, line, text):
    with pytest.raises(ScowError, match=text):
        find(line)

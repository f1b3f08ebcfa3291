"""Rows of ps, in docker's form."""

from scow.cli.format import container
from scow.cli.format.table import ellipsis, layout, render

NOW = 1_700_000_000
SUMMARY = {
    "Id": "a" * 64,
    "Names": ["/web", "/other/link"],
    "Image": "busybox",
    "ImageID": "sha256:" + "b" * 64,
    "Command": "sh -c 'echo hello world'",
    "Created": NOW - 7200,
    "Status": "Up 2 hours",
    "State": "running",
    "Labels": {"b": "2", "a": "1"},
    "Mounts": [{"Name": "x" * 20, "Driver": "local"}],
    "NetworkSettings": {"Networks": {"bridge": {}}},
    "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}, {"PrivatePort": 443, "Type": "tcp"}],
}


def test_default_table():
    rows = [[container.HEADERS[name] for name in container.COLUMNS], container.table_row(SUMMARY, True, NOW)]
    assert layout(rows) == (
        "CONTAINER ID   IMAGE     COMMAND                  CREATED       STATUS       PORTS                           NAMES\n"
        'aaaaaaaaaaaa   busybox   "sh -c \'echo hello w…"   2 hours ago   Up 2 hours   443/tcp, 0.0.0.0:8080->80/tcp   web\n'
    )


def test_ports():
    def port(private, public=None, ip=None, kind="tcp"):
        return {"PrivatePort": private, "Type": kind, **({"PublicPort": public, "IP": ip} if public else {})}

    assert container.ports_of([port(80), port(81), port(83)]) == "80-81/tcp, 83/tcp"
    assert (
        container.ports_of([port(80, 80, "0.0.0.0"), port(81, 81, "0.0.0.0"), port(80, 80, "::")])
        == "0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp"
    )
    assert container.ports_of(None) == ""


def test_templates():
    row = container.row(SUMMARY, True, NOW)
    assert render([row], '{{.ID}}\\t{{.Label "a"}} {{.Labels}} {{.Networks}} {{.Mounts}}', container.HEADERS, container.COLUMNS) == (
        "aaaaaaaaaaaa\t1 a=1,b=2 bridge xxxxxxxxxxxxxx…\n"
    )
    assert (
        render([row], 'table {{.Names}}\t{{.Label "com.x.my-app"}}', container.HEADERS, container.COLUMNS)
        == "NAMES     my app\nweb       \n"
    )
    assert render([row], "json", container.HEADERS, container.COLUMNS).startswith('{"Command":"\\"sh -c')
    assert render([row], "", container.HEADERS, container.COLUMNS, "ID") == "aaaaaaaaaaaa\n"


def test_images_and_names():
    assert container.image_of({"Image": "sha256:" + "c" * 64, "ImageID": "sha256:" + "c" * 64}, True) == "c" * 12
    assert container.image_of({"Image": "a:1@sha256:" + "c" * 64}, True) == "a:1"
    assert container.image_of({}, True) == "<no image>"
    assert container.names_of(SUMMARY, False) == "web,other/link"
    assert ellipsis("abcdef", 4) == "abc…"


def test_layout_of_uneven_lines():
    assert (
        layout([["a", "b", "c"], ["long long long", "x", ""]], minimum=10) == "a                b         c\nlong long long   x         \n"
    )

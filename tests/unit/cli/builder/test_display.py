"""Progress as lines, as a picture, and the report of what failed."""

from typing import Any

import pytest

from scow.build.session import messages
from scow.cli.commands.builder import display
from scow.errors import ScowError


def stamp(seconds: float) -> Any:
    return {"seconds": int(seconds), "nanos": round((seconds - int(seconds)) * 1_000_000_000)}


def vertex(digest: str, name: str, started: float = 0, completed: float = 0, **more: Any) -> Any:
    made = messages.V1.Vertex(digest=digest, name=name, **more)
    for field, value in (("started", started), ("completed", completed)):
        if value:
            getattr(made, field).seconds, getattr(made, field).nanos = stamp(value)["seconds"], stamp(value)["nanos"]
    return made


def log(digest: str, text: str, at: float) -> Any:
    return messages.V1.VertexLog(vertex=digest, stream=1, msg=text.encode(), timestamp=stamp(at))


def response(**parts: Any) -> Any:
    return messages.V1.StatusResponse(**parts)


def story(shown: display.Display) -> None:
    shown.feed(response(vertexes=[vertex("a", "[1/2] FROM x", 10)]))
    status = messages.V1.VertexStatus(ID="layer", vertex="a", current=500, total=2000, timestamp=stamp(10))
    shown.feed(response(statuses=[status]))
    status.current, status.completed.seconds = 2000, 11
    shown.feed(response(vertexes=[vertex("a", "[1/2] FROM x", 10, 11)], statuses=[status]))
    shown.feed(response(vertexes=[vertex("b", "[2/2] RUN y", 11)], logs=[log("b", "one\ntw", 11.25)]))
    shown.feed(response(logs=[log("b", "o\n\x1b[1mbar\x07\x00\n", 12)]))
    shown.feed(response(vertexes=[vertex("b", "[2/2] RUN y", 11, 12.5, error="exit code: 3"), vertex("c", "cached", 12, 12, cached=True)]))
    shown.end()


def test_plain() -> None:
    out: list[str] = []
    shown = display.Plain(out.append)
    story(shown)
    assert "".join(out).splitlines() == [
        "#1 [1/2] FROM x",
        "#1 layer 2kB / 2kB done",
        "#1 DONE 1.0s",
        "",
        "#2 [2/2] RUN y",
        "#2 0.250 one",
        "#2 1.000 two",
        "#2 1.000 \x1b[1mbar",
        "",
        "#3 cached",
        "",
        "#2 ...",
        "#2 ERROR: exit code: 3",
        "",
        "#3 ...",
        "#3 CACHED",
    ]
    assert shown.failure() == "------\n > [2/2] RUN y:\n0.250 one\n1.000 two\n1.000 \x1b[1mbar\n------\n"


def test_a_picture_is_redrawn_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "_EVERY", 0)
    out: list[str] = []
    shown = display.Live(out.append)
    story(shown)
    last = out[-1]
    assert "=> ERROR [2/2] RUN y" in last and "=> CACHED cached" in last and "(3/3) FINISHED" in last
    assert any("=> => # one" in text for text in out) and out[-1].startswith("\x1b[")


def test_raw_json() -> None:
    import json

    out: list[str] = []
    story(display.RawJson(out.append))
    assert json.loads(out[0])["vertexes"][0]["name"] == "[1/2] FROM x"


def test_warnings_and_reasons() -> None:
    shown = display.Display(lambda text: None)
    shown.feed(
        response(vertexes=[vertex("a", "step", 1, 2)], statuses=[messages.V1.VertexStatus(ID="scow.reason", vertex="a", name="new files")])
    )
    shown.feed(response(warnings=[messages.V1.VertexWarning(vertex="a", short=b"Rule: text (line 3)")]))
    assert shown.warned() == "\n 1 warning found:\n - Rule: text (line 3)\n" and shown.explained() == "#1 step\n   new files\n"


def test_modes_that_are_none() -> None:
    with pytest.raises(ScowError, match="invalid progress mode"):
        display.make("nice", False)
    assert type(display.make("auto", True)) is display.Display

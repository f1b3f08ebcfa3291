"""Which build needs which other's image, and how several are shown in one display."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.cli.commands.builder.display import Display
from scow.compose.building import named_images, plan
from scow.compose.display.builds import Part, named
from scow.compose.model.build import Build
from scow.compose.model.project import Project
from scow.compose.model.service import Service
from scow.errors import ScowError


def service(name: str, text: str, **more: Any) -> Service:
    image = more.pop("image", "")
    return Service(name=name, image=image, build=Build(context="/nowhere", dockerfile_inline=text, **more))


def order(*services: Service) -> list[tuple[str, set[str]]]:
    project = Project(name="p", services={one.name: one for one in services})
    return [(job.service.name, set(job.after)) for job in plan(project, services)]


def test_what_is_needed_is_built_first() -> None:
    web = service("web", "FROM scratch", additional_contexts={"base": "service:base"})
    base = service("base", "FROM scratch")
    lone = service("lone", "FROM scratch")
    assert order(web, base, lone) == [("base", set()), ("web", {"base"}), ("lone", set())]
    project = Project(name="p", services={"web": web, "base": base})
    assert [job.service.name for job in plan(project, [web])] == ["base", "web"]


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("", "FROM p-base"),
        ("example.org/base:1", "FROM --platform=linux/amd64 example.org/base:1 AS x"),
        ("base", "ARG B=base:latest\nFROM ${B}"),
        ("base", "FROM ${B:-base}"),
        ("base", "FROM scratch\nCOPY --link --from=base /x /y"),
        ("base", "FROM scratch\nRUN --mount=type=bind,from=base,target=/b true"),
    ],
)
def test_an_image_of_another_that_a_dockerfile_names(image: str, text: str) -> None:
    assert order(service("app", text), service("base", "FROM scratch", image=image)) == [("base", set()), ("app", {"base"})]


def test_arguments_of_the_file_count_and_unreadable_dockerfiles_are_no_error(tmp_path: Path) -> None:
    assert "other:latest" in named_images(service("app", "ARG B=x\nFROM $B", args={"B": "other"}))
    assert named_images(Service(name="x", build=Build(context=str(tmp_path)))) == set()
    assert named_images(Service(name="x", build=Build(context="https://example.org/x.git"))) == set()


def test_circles() -> None:
    with pytest.raises(ScowError, match="circle: a -> b -> a"):
        order(
            service("a", "FROM scratch", additional_contexts={"b": "service:b"}),
            service("b", "FROM scratch", additional_contexts={"a": "service:a"}),
        )
    # two that start from each other's former images are no mistake: one goes first
    assert [name for name, _ in order(service("a", "FROM p-b"), service("b", "FROM p-a"))] == ["b", "a"]


def test_parts_name_their_steps_and_keep_their_own() -> None:
    seen: list[tuple[str, str]] = []

    class Whole(Display):
        def feed(self, response: Any) -> None:
            seen.extend((vertex.digest, vertex.name) for vertex in response.vertexes)

    whole = Whole(lambda text: None)
    for name in ("web", "db"):
        part = Part(name, whole)
        vertex = SimpleNamespace(digest="sha256:1", name="[1/2] FROM x", HasField=lambda name: False, cached=False, error="boom")
        part.feed(SimpleNamespace(vertexes=[vertex], statuses=[], logs=[], warnings=[]))
        assert "[1/2] FROM x" in part.failure()
    assert [name for _, name in seen] == ["[web 1/2] FROM x", "[db 1/2] FROM x"]
    assert seen[0][0] != seen[1][0]
    assert named("web", "exporting to image") == "[web] exporting to image"

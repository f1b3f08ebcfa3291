"""Images of several services built at once."""

import pytest

from tests.support.compose import Project

# each waits for a file of the other: one after the other they would fail
MEET = """
    build:
      dockerfile_inline: |
        FROM busybox
        RUN --mount=type=cache,id=PROJECT,target=/meet touch /meet/ME; timeout 90 sh -c 'until test -e /meet/OTHER; do sleep 0.1; done'
    command: sleep 1000
    stop_signal: KILL
"""


def test_builds_run_side_by_side(project: Project) -> None:
    def meet(me: str, other: str) -> str:
        return MEET.replace("PROJECT", project.name).replace("ME", me).replace("OTHER", other)

    project.file(f"services:\n  a:{meet('a', 'b')}\n  b:{meet('b', 'a')}")
    done = project("--progress", "plain", "build")
    assert "[a internal] load build definition" in done.err
    assert "[b internal] load build definition" in done.err
    project("up", "-d")
    assert len(project.ids()) == 2


def test_what_another_build_starts_from_comes_first(project: Project) -> None:
    text = """
services:
  app:
    image: NAME-app
    build: {dockerfile_inline: "FROM NAME-base\\nRUN cat /made"}
  more:
    image: NAME-more
    build: {dockerfile_inline: "FROM scratch\\nCOPY --from=root /made /", additional_contexts: {root: "service:base"}}
  base:
    image: NAME-base
    build: {dockerfile_inline: "FROM busybox\\nRUN sleep 1; echo made >/made"}
"""
    project.file(text.replace("NAME", project.name))
    project("build")


@pytest.mark.parametrize("parallel", ["1", "4"])
def test_a_build_that_fails_ends_the_others(project: Project, parallel: str) -> None:
    project.file(
        """
services:
  bad: {build: {dockerfile_inline: "FROM busybox\\nRUN sleep 1; echo that is it; exit 3"}}
  long: {build: {dockerfile_inline: "FROM busybox\\nRUN sleep 600", additional_contexts: {x: "service:bad"}}}
  slow: {build: {dockerfile_inline: "FROM busybox\\nRUN sleep 600"}}
"""
    )
    done = project("--parallel", parallel, "--progress", "plain", "build", code=17)
    assert "service bad: its image can't be built" in done.err
    assert "exit code: 3" in done.err

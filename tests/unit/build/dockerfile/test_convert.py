"""Dockerfiles as graphs: `graphs/<name>/Dockerfile` becomes `graph.txt` (see kit.graph); configs and histories; what is refused.

`python -m tests.unit.build.dockerfile.test_convert` writes the graphs that are missing.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from scow.build.dockerfile.convert import platform_of
from scow.build.dockerfile.errors import DockerfileError, excerpt
from scow.build.dockerfile.options import Source
from scow.build.dockerfile.tree import Tree
from scow.build.llb import ops
from tests.unit.build.dockerfile.kit import BASE, Resolver, convert, graph

GRAPHS = sorted(path.parent for path in (Path(__file__).parent / "graphs").glob("*/Dockerfile"))
TRIGGERS = {**BASE, "config": {**BASE["config"], "OnBuild": ["RUN first", "COPY --from=busybox /b /c"]}}
IMAGES = {"docker.io/library/trigger:latest": TRIGGERS}
ARGS = {"N": "given", "http_proxy": "http://p", "UNUSED": "1"}


def graph_of(folder: Path) -> str:
    return graph(convert((folder / "Dockerfile").read_text(), Resolver(IMAGES), build_args=ARGS))


@pytest.mark.parametrize("folder", GRAPHS, ids=lambda path: path.name)
def test_graphs(folder: Path) -> None:
    assert graph_of(folder) == (folder / "graph.txt").read_text()


def history(made: Any) -> list[str]:
    return [row["created_by"] + (" (empty)" if row.get("empty_layer") else "") for row in made.config["history"][1:]]


def test_config_and_history_as_buildkit_writes_them() -> None:
    made = convert(
        "FROM busybox\nARG A=1\nENV B=$A C='d e'\nLABEL l=$B\nEXPOSE 80 53/udp 90-91\nVOLUME /v /w\nUSER u:g\nWORKDIR /x\n"
        'STOPSIGNAL SIGINT\nSHELL ["/bin/bash", "-c"]\nRUN echo $A\nCMD say "hi"\nENTRYPOINT ["e", "f"]\nHEALTHCHECK --interval=1m CMD ok\n'
        "MAINTAINER me\nONBUILD RUN y\nCOPY --chown=1 a b /d/\nADD c /e\n",
        labels={"added": "by option"},
    )
    config = made.config["config"]
    assert config["Env"] == ["PATH=/bin", "B=1", "C=d e"] and config["Labels"] == {"l": "1", "added": "by option"}
    assert sorted(config["ExposedPorts"]) == ["53/udp", "80/tcp", "90/tcp", "91/tcp"] and sorted(config["Volumes"]) == ["/v", "/w"]
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("u:g", "/x", "SIGINT")
    assert config["Cmd"] == ["/bin/bash", "-c", 'say "hi"'] and config["Entrypoint"] == ["e", "f"]
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "ok"], "Interval": 60_000_000_000} and config["OnBuild"] == ["RUN y"]
    assert made.config["author"] == "me" and made.config["rootfs"] == BASE["rootfs"]
    assert history(made) == [
        "ARG A=1 (empty)",
        "ENV B=1 C=d e (empty)",
        "LABEL l=1 (empty)",
        "EXPOSE map[53/udp:{} 80/tcp:{} 90/tcp:{} 91/tcp:{}] (empty)",
        "VOLUME [/v /w] (empty)",
        "USER u:g (empty)",
        "WORKDIR /x",
        "STOPSIGNAL SIGINT (empty)",
        "SHELL [/bin/bash -c] (empty)",
        "RUN |1 A=1 /bin/bash -c echo $A # buildkit",
        'CMD ["/bin/bash" "-c" "say \\"hi\\""] (empty)',
        'ENTRYPOINT ["e" "f"] (empty)',
        "HEALTHCHECK {Test:[CMD-SHELL ok] Interval:1m0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0} (empty)",
        "MAINTAINER me (empty)",
        "COPY --chown=1 a b /d/ # buildkit",
        "ADD c /e # buildkit",
    ]
    assert {row.get("comment") for row in made.config["history"][1:]} == {"buildkit.dockerfile.v0"}
    assert BASE["config"] == {"Env": ["PATH=/bin"], "Cmd": ["sh"]}, "the base's own config is not touched"


def test_entrypoint_drops_an_inherited_command_only() -> None:
    assert "Cmd" not in convert('FROM busybox\nENTRYPOINT ["e"]\n').config["config"]
    assert convert('FROM busybox\nCMD ["c"]\nENTRYPOINT ["e"]\n').config["config"]["Cmd"] == ["c"]


def test_scratch_alone_is_an_empty_tree() -> None:
    made = convert("FROM scratch\nLABEL a=1\n")
    assert made.definition.root is None and not made.definition.vertices
    assert made.config["config"]["Env"] == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


def test_platforms() -> None:
    arm = platform_of("linux/arm64/v8")
    made = convert(
        "FROM --platform=$BUILDPLATFORM busybox AS b\nARG TARGETPLATFORM BUILDARCH TARGETARCH\nRUN x\nFROM busybox\nCOPY --from=b /a /\n",
        platform=arm,
        explicit_platform=True,
        show_platform=True,
    )
    names = {vertex.meta.name: vertex for vertex in made.definition.vertices.values()}
    run = next(vertex for name, vertex in names.items() if "RUN" in name)
    assert isinstance(run.op, ops.ExecOp) and {"TARGETPLATFORM=linux/arm64", "BUILDARCH=amd64", "TARGETARCH=arm64"} <= set(run.op.env)
    assert str(run.platform) == "linux/amd64" and made.config["architecture"] == "arm64"
    assert any(name.startswith("[linux/arm64 stage-1 ") for name in names)


def test_targets_and_stages_that_are_not_needed() -> None:
    resolver = Resolver()
    text = "FROM a AS one\nRUN x\nFROM b AS two\nRUN y\nFROM c\nCOPY --from=one /x /\n"
    assert convert(text, resolver, target="TWO").used_stages == ("two",)
    assert resolver.asked == ["[internal] load metadata for docker.io/library/b:latest"]
    assert convert(text, target="0").used_stages == ("one",)
    assert convert(text).used_stages == ("one", "stage-2")


def test_no_cache_of_some_stages() -> None:
    text = "FROM a AS one\nRUN x\nFROM one AS two\nRUN y\n"
    for asked, wanted in ((None, []), ((), ["x", "y"]), (("TWO",), ["y"])):
        made = convert(text, no_cache=asked)
        ignored = [v.op.args[-1] for v in made.definition.vertices.values() if isinstance(v.op, ops.ExecOp) and v.meta.ignore_cache]
        assert ignored == wanted


def test_named_contexts_replace_stages_and_images() -> None:
    def context(name: str) -> Source:
        return Source(Tree(ops.SourceOp(f"local://{name}"), meta=ops.Meta(name)))

    resolver = Resolver(contexts={"one": context("stage"), "busybox": context("image")})
    made = convert("FROM golang AS one\nRUN never\nFROM busybox\nCOPY --from=one /a /b\nRUN x\n", resolver)
    sources = {vertex.op.identifier for vertex in made.definition.vertices.values() if isinstance(vertex.op, ops.SourceOp)}
    assert sources == {"local://stage", "local://image"} and not resolver.asked and "never" not in graph(made)


def test_an_epoch_is_in_times_and_history() -> None:
    made = convert("FROM busybox\nCOPY a /\nWORKDIR /w\n", epoch=10)
    times = [action.action.timestamp for v in made.definition.vertices.values() if isinstance(v.op, ops.FileOp) for action in v.op.actions]
    assert times == [10_000_000_000] * 2 and made.config["history"][-1]["created"] == "1970-01-01T00:00:10Z"


def test_steps_know_their_lines() -> None:
    made = convert("FROM busybox\n\nRUN a \\\n  b\n")
    last = made.definition.locations[made.definition.root.digest]
    assert last == (ops.Location(0, (ops.Range(3, 4),)),) and made.definition.infos[0].filename == "Dockerfile"


REFUSED = [
    ("FROM a\nRUN x\n", {"target": "nope"}, 0, 'target stage "nope" could not be found'),
    ("FROM ${NOPE}\n", {}, 1, "base name (${NOPE}) should not be blank"),
    ("FROM a\nFROM missing/image\n", {}, 2, "missing/image"),
    ("FROM Upper\n", {}, 1, "failed to parse stage name"),
    ("FROM a\nCOPY --from=5 /x /\n", {}, 2, "invalid stage index 5"),
    ("FROM a AS one\nCOPY --from=two /x /\nFROM one AS two\nRUN y\n", {"target": "two"}, 0, "circular dependency detected on stage"),
    ("FROM a AS one\nCOPY --from=two /x /\nFROM b AS two\n", {"target": "one"}, 2, "it needs to be defined before current stage"),
    ("FROM a\nCOPY --from=$X /x /\n", {}, 2, "variable expansion is not supported for --from"),
    ("FROM a\nCOPY --chmod=9 a /b\n", {}, 2, "invalid chmod parameter: '9'"),
    ("FROM a\nCOPY http://x/y /z\n", {}, 2, "source can't be a URL for COPY"),
    ("FROM a\nADD --checksum=sha256:aa local /z\n", {}, 2, "checksum can't be specified for local sources"),
    ("FROM a\nEXPOSE a/b/c\n", {}, 2, ""),
    ("FROM a\nSTOPSIGNAL SIGNOPE\n", {}, 2, "Invalid signal: SIGNOPE"),
    ("FROM a\nRUN --mount=type=cache true\n", {}, 2, "invalid mount target"),
    ("FROM a\nRUN --mount=target=/ true\n", {}, 2, "invalid mount target"),
    ('FROM a\nENV A="${B:?is needed}"\n', {}, 2, "B: is needed"),
    ("FROM --platform=a/b/c/d x\n", {}, 1, "failed to parse platform"),
    ("FROM --platform=$NOPE x\n", {}, 1, "empty platform value from expression $NOPE"),
    ("FROM a\nWORKDIR $NOPE\n", {}, 2, ""),
]


@pytest.mark.parametrize(("text", "options", "line", "reason"), REFUSED)
def test_refused_with_the_line(text: str, options: dict[str, Any], line: int, reason: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        convert(text, **options)
    assert reason in caught.value.message and (caught.value.start == line or not line)


def test_a_thousand_steps_are_no_recursion() -> None:
    made = convert("FROM busybox\n" + "RUN x\n" * 3000)
    assert len(made.definition.vertices) == 3001 and len(json.dumps(made.config)) > 3000


def test_lines_around_an_error() -> None:
    text = "".join(f"line {n}\n" for n in range(1, 20))
    shown = excerpt(text, "Dockerfile", 10, 11)
    assert shown.splitlines()[0] == "Dockerfile:10" and "  10 | >>> line 10" in shown and "   8 |     line 8" in shown
    assert excerpt(text, "Dockerfile", 0, 0) == excerpt(text, "Dockerfile", 99, 99) == ""


if __name__ == "__main__":
    for folder in GRAPHS:
        if not (folder / "graph.txt").exists():
            (folder / "graph.txt").write_text(graph_of(folder))

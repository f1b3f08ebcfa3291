"""The frontend with an engine of files in memory: where the Dockerfile comes from, what is answered, what is refused."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.build import frontend
from scow.build.frontend.attrs import check_syntax, read
from scow.build.llb import ops
from scow.build.llb.ops import Builder, Definition
from scow.build.session.engine import FrontendRequest
from scow.build.solver.types import BuildError
from scow.errors import InvalidArgument, NotFound, ScowError, Unsupported
from tests.unit.build.dockerfile.kit import BASE


class Engine:
    """Every local source is a folder of `root`; what http or git would give lies in `http` and `git`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.progress: list[Any] = []
        self.built: list[ops.SourceOp] = []
        self.asked: list[str] = []
        self.job = SimpleNamespace(build=self.build, progress=SimpleNamespace(tell=self.progress.append))
        self.inputs: dict[str, Definition] = {}
        self.session = "s"

    async def build(self, definition: Definition) -> Any:
        assert definition.root
        op = definition.vertices[definition.root.digest].op
        assert isinstance(op, ops.SourceOp)
        self.built.append(op)
        scheme, _, name = op.identifier.partition("://")
        return self.root / (name if scheme == "local" else scheme)

    @contextlib.asynccontextmanager
    async def view(self, result: Any) -> AsyncIterator[Path]:
        yield result

    def reference(self, definition: Definition) -> Any:
        return SimpleNamespace(definition=definition)

    async def image_config(self, build: Any, name: str, platform: Any, mode: str, shown: str) -> tuple[str, str, bytes]:
        self.asked.append(f"{name} {platform} {mode}")
        if "missing" in name:
            raise NotFound(f"{name}: not found")
        return f"{name}@sha256:{'0' * 64}", f"sha256:{'0' * 64}", json.dumps(BASE).encode()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    for name in ("context", "dockerfile", "http", "git"):
        (tmp_path / name).mkdir()
    return Engine(tmp_path)


def ask(engine: Engine, text: str | None = None, name: str = "Dockerfile", kind: str = "dockerfile.v0", **options: str) -> Any:
    if text is not None:
        (engine.root / "dockerfile" / name).write_text(text)
    found: Mapping[str, str] = {key.replace("__", ":").replace("_", "-"): value for key, value in options.items()}
    request = FrontendRequest(kind, found, {}, (), engine)  # type: ignore[arg-type]
    return asyncio.run(frontend.run(request, engine))  # type: ignore[arg-type]


def test_one_platform(engine: Engine) -> None:
    answer = ask(engine, "FROM busybox\nRUN x\n", platform="linux/arm64")
    assert list(answer.references) == [""] and json.loads(answer.metadata["containerimage.config"])["architecture"] == "arm64"
    assert json.loads(answer.metadata["refs.platforms"])["Platforms"][0]["Platform"] == {"architecture": "arm64", "os": "linux"}
    assert engine.asked == ["docker.io/library/busybox:latest linux/arm64 default"]
    assert json.loads(engine.built[0].attrs["local.followpaths"]) == ["Dockerfile", "Dockerfile.dockerignore", "dockerfile"]


def test_several_platforms(engine: Engine) -> None:
    answer = ask(engine, "FROM busybox\n", platform="linux/amd64,linux/arm/v7")
    assert list(answer.references) == ["linux/amd64", "linux/arm/v7"] and "containerimage.config/linux/arm/v7" in answer.metadata


def local(answer: Any, name: str) -> ops.SourceOp:
    vertices = answer.references[""].definition.vertices.values()
    return next(vertex.op for vertex in vertices if isinstance(vertex.op, ops.SourceOp) and vertex.op.identifier == f"local://{name}")


def test_ignored_files_and_paths_of_the_context(engine: Engine) -> None:
    (engine.root / "context" / ".dockerignore").write_text("# no\n*.md\n!keep.md\n")
    answer = ask(engine, "FROM scratch\nCOPY a d/ /x/\n")
    attrs = local(answer, "context").attrs
    assert json.loads(attrs["local.excludepatterns"]) == ["*.md", "!keep.md"] and json.loads(attrs["local.followpaths"]) == ["a", "d"]
    assert attrs["local.session"] == "s"


def test_the_dockerfiles_own_ignore_file_wins(engine: Engine) -> None:
    (engine.root / "context" / ".dockerignore").write_text("a\n")
    (engine.root / "dockerfile" / "my.dockerignore").write_text("b\n")
    answer = ask(engine, "FROM scratch\nCOPY . /\n", "my", filename="my")
    assert json.loads(local(answer, "context").attrs["local.excludepatterns"]) == ["b"]
    assert "local.followpaths" not in local(answer, "context").attrs


def test_a_dockerfile_in_small_letters(engine: Engine) -> None:
    assert ask(engine, "FROM scratch\nLABEL a=1\n", "dockerfile").references == {"": None}


def test_a_dockerfile_that_is_missing(engine: Engine) -> None:
    with pytest.raises(NotFound, match="failed to read dockerfile: open nope: no such file or directory"):
        ask(engine, filename="nope")


def test_a_context_from_http_that_is_a_dockerfile(engine: Engine) -> None:
    (engine.root / "http" / "context").write_text("FROM scratch\nLABEL a=1\n")
    assert ask(engine, context="http://h/Dockerfile").references == {"": None}


def test_a_context_from_git(engine: Engine) -> None:
    (engine.root / "git" / "Dockerfile").write_text("FROM scratch\nCOPY a /\n")
    answer = ask(engine, context="https://h/r.git#main:sub")
    sources = [v.op for v in answer.references[""].definition.vertices.values() if isinstance(v.op, ops.SourceOp)]
    assert sources == [ops.SourceOp("git://h/r.git#main:sub", {"git.fullurl": "https://h/r.git"})]


def test_named_contexts(engine: Engine) -> None:
    (engine.root / "other").mkdir()
    (engine.root / "other" / ".dockerignore").write_text("skip\n")
    builder = Builder()
    engine.inputs["from"] = builder.definition(ops.Input(builder.add(ops.SourceOp("local://input"))))
    text = "FROM base\nCOPY --from=dir /f /\nCOPY --from=graph /g /\nCOPY --from=img /h /\n"
    contexts = {"context__base": "docker-image://alpine:3", "context__dir": "local:other", "context__graph": "input:from"}
    answer = ask(engine, text, **contexts)
    names = {v.op.identifier for v in answer.references[""].definition.vertices.values() if isinstance(v.op, ops.SourceOp)}
    zeros = "@sha256:" + "0" * 64
    assert names == {
        f"docker-image://docker.io/library/alpine:3{zeros}",
        "local://other",
        "local://input",
        f"docker-image://docker.io/library/img:latest{zeros}",
    }
    assert json.loads(local(answer, "other").attrs["local.excludepatterns"]) == ["skip"]
    with pytest.raises(ScowError, match="unsupported context source nope"):
        ask(engine, text, context__base="nope:x")


def test_errors_carry_the_file_and_the_lines(engine: Engine) -> None:
    for text, line in (("FROM a\n\nNOPE\n", 3), ("FROM missing/x\n", 1), ("FROM a\nCOPY --from=9 a b\n", 2), ("# syntax=x/y\nFROM a\n", 1)):
        with pytest.raises(BuildError) as caught:
            ask(engine, text)
        assert caught.value.locations[0].ranges[0].start == line and caught.value.infos[0].data == text.encode()


def test_warnings_hang_on_the_dockerfile(engine: Engine) -> None:
    ask(engine, "FROM busybox AS Upper\nRUN x\n")
    warning = engine.progress[0]
    assert warning.short == "StageNameCasing: Stage name 'Upper' should be lowercase (line 1)" and warning.vertex.startswith("sha256:")
    with pytest.raises(BuildError, match="lint violation found for rules: StageNameCasing"):
        ask(engine, "# check=error=true\nFROM busybox AS Upper\n")


def test_questions(engine: Engine) -> None:
    text = "# base is first\nFROM busybox AS base\n# V is the version\nARG V=1\nRUN --mount=type=secret,id=s,required x\n"
    text += "FROM base as two\nCMD x\n"
    found = json.loads(ask(engine, text, requestid="frontend.targets").metadata["result.json"])["targets"]
    assert found[0]["name"] == "base" and found[0]["description"] == "is first" and found[1]["default"] is True
    outline = json.loads(ask(engine, text, requestid="frontend.outline", target="base").metadata["result.json"])
    assert outline["args"][0]["value"] == "1" and outline["args"][0]["description"] == "is the version"
    assert outline["secrets"][0]["name"] == "s" and outline["secrets"][0]["required"] is True
    lint = ask(engine, text, requestid="frontend.lint").metadata
    assert lint["result.statuscode"] == b"1" and b"WARNING: FromAsCasing" in lint["result.txt"]
    assert {one["ruleName"] for one in json.loads(lint["result.json"])["warnings"]} == {"FromAsCasing", "JSONArgsRecommended"}
    clean = ask(engine, "FROM busybox\n", requestid="frontend.lint").metadata
    assert clean["result.statuscode"] == b"0" and clean["result.txt"] == b"Check complete, no warnings found.\n"
    broken = ask(engine, "FROM busybox\nCOPY --from=9 a b\n", requestid="frontend.lint").metadata
    assert b"invalid stage index 9" in broken["result.txt"] and "buildError" in json.loads(broken["result.json"])
    assert b"frontend.outline" in ask(engine, requestid="frontend.subrequests.describe").metadata["result.txt"]
    with pytest.raises(Unsupported):
        ask(engine, text, requestid="frontend.nope")


def test_frontends_that_are_not_built_in(engine: Engine) -> None:
    assert ask(engine, "# syntax=docker/dockerfile:1.7-labs\nFROM scratch\n").references == {"": None}
    assert ask(engine, "FROM scratch\n", kind="gateway.v0", source="docker/dockerfile:1").references == {"": None}
    with pytest.raises(Unsupported, match="other/frontend"):
        ask(engine, "FROM scratch\n", kind="gateway.v0", source="other/frontend")
    with pytest.raises(Unsupported, match="unknown frontend"):
        ask(engine, "FROM scratch\n", kind="nope")
    for name in ("docker.io/docker/dockerfile:1", "docker/dockerfile-upstream:master", "docker/dockerfile@sha256:" + "0" * 64):
        check_syntax(name)
    for name in ("docker/dockerfile:2", "docker/dockerfile:nope", ""):
        with pytest.raises(Unsupported):
            check_syntax(name)


def test_options() -> None:
    asked = read(
        {
            "build-arg:A": "1",
            "label:l": "v",
            "no-cache": "one,two",
            "add-hosts": "h=1.2.3.4,i=::1",
            "shm-size": "100",
            "ulimit": "nofile=1:2",
            "force-network-mode": "host",
            "build-arg:SOURCE_DATE_EPOCH": "7",
            "platform": "linux/arm64",
            "image-resolve-mode": "pull",
        }
    )
    assert asked.build_args["A"] == "1" and asked.no_cache == ("one", "two") and asked.epoch == 7 and asked.pull == "pull"
    assert asked.extra_hosts == (ops.HostIP("h", "1.2.3.4"), ops.HostIP("i", "::1")) and asked.ulimits == (ops.Ulimit("nofile", 1, 2),)
    assert asked.network is ops.Network.HOST and asked.shm_size == 100 and not asked.multi


@pytest.mark.parametrize(
    "options",
    [
        {"add-hosts": "h"},
        {"shm-size": "1k"},
        {"ulimit": "nope"},
        {"force-network-mode": "bridge"},
        {"platform": "a/b/c/d"},
        {"image-resolve-mode": "x"},
        {"multi-platform": "perhaps"},
        {"platform": "linux/amd64,linux/arm64", "multi-platform": "false"},
        {"build-arg:SOURCE_DATE_EPOCH": "soon"},
        {"build-arg:BUILDKIT_DOCKERFILE_CHECK": "nope=1"},
    ],
)
def test_options_that_are_none(options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        read(options)

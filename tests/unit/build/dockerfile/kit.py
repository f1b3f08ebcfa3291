"""Conversions without an engine: images have digests of zeros, and the graph is shown as text."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.build.dockerfile import parser, stages
from scow.build.dockerfile.convert import to_llb
from scow.build.dockerfile.linter.document import check_document, check_stages
from scow.build.dockerfile.linter.lint import Lint, LintConfig
from scow.build.dockerfile.options import Converted, Options, Source, follow_paths
from scow.build.dockerfile.tree import Tree
from scow.build.llb import ops
from scow.errors import NotFound, ScowError

BASE: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:1"]},
    "history": [{"created_by": "base"}],
}


@dataclass
class Resolver:
    """`images`: configs by full name (every other name has BASE, names with "missing" none); `contexts` by name."""

    images: Mapping[str, Any] = field(default_factory=dict)
    contexts: Mapping[str, Source] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def image_config(self, ref: str, platform: ops.Platform, what: str) -> tuple[str, Mapping[str, Any]]:
        self.asked.append(what)
        if "missing" in ref:
            raise NotFound(f"{ref}: not found")
        return f"{ref}@sha256:{'0' * 64}", self.images.get(ref, BASE)

    async def named_context(self, name: str, platform: ops.Platform | None) -> Source | None:
        return self.contexts.get(name)

    async def main_context(self) -> Source:
        source = Source(None)

        def late() -> ops.SourceOp:
            return ops.SourceOp("local://context", {"follow": " ".join(follow_paths(source.paths)) or "all"})

        source.tree = Tree(late=late, meta=ops.Meta("[internal] load build context"))
        return source


def convert(text: str, resolver: Resolver | None = None, lint: Lint | None = None, **options: Any) -> Converted:
    """The conversion of a file."""
    document = parser.parse(text)
    return asyncio.run(to_llb(document, stages.read(document), Options(**options), resolver or Resolver(), lint))


def findings(text: str, check: str = "", **options: Any) -> list[tuple[str, int, str]]:
    """(rule, line, message) of a file's checks, every stage converted."""
    lint = Lint(LintConfig.parse(check))
    document = parser.parse(text)
    read = stages.read(document)
    check_document(document, lint)
    check_stages(read, lint)
    with contextlib.suppress(ScowError):
        asyncio.run(to_llb(document, read, Options(all_stages=True, **options), Resolver(), lint))
    return [(one.rule.name, one.start, one.message) for one in lint.findings]


def graph(made: Converted) -> str:
    """The graph as text: a line for each vertex, numbered, with the numbers of its inputs."""
    numbers: dict[str, int] = {}
    lines = []
    for number, vertex in enumerate(made.definition.vertices.values(), 1):
        numbers[vertex.digest] = number
        inputs = " ".join(str(numbers[one.digest]) for one in vertex.inputs)
        lines.append(f"{number} {vertex.meta.name} <- {inputs or '-'}")
        lines += [f"    {line}" for line in _op(vertex.op)]
    root = made.definition.root
    return "\n".join([*lines, f"root {numbers[root.digest]}" if root else "root -"]) + "\n"


def _op(op: ops.Op) -> list[str]:
    match op:
        case ops.SourceOp():
            return [f"source {op.identifier} {' '.join(f'{key}={value}' for key, value in op.attrs.items())}".rstrip()]
        case ops.ExecOp():
            mounts = [_short(mount) for mount in op.mounts[1:]]
            head = f"exec {list(op.args)} cwd={op.cwd} env={' '.join(op.env)}"
            extra = [f"{name}={value}" for name, value in (("user", op.user), ("network", op.network), ("proxy", op.proxy_env)) if value]
            return [head, *extra, *mounts]
        case ops.FileOp():
            return [f"{action.input}+{action.secondary}->{action.output} {_short(action.action)}" for action in op.actions]
        case _:
            return [_short(op)]


def _short(value: Any) -> str:
    """A dataclass without the fields that have their default."""
    import dataclasses

    shown = []
    for one in dataclasses.fields(value):
        found = getattr(value, one.name)
        if one.default is not dataclasses.MISSING and found == one.default:
            continue
        shown.append(f"{one.name}={_short(found) if dataclasses.is_dataclass(found) else str(found)}")
    return f"{type(value).__name__}({', '.join(shown)})"

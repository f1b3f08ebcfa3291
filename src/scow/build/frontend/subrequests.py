"""Questions that clients ask the frontend instead of building (`--call check|outline|targets`): JSON for programs, a text for people."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from scow.build.dockerfile.convert import Conversion
from scow.build.dockerfile.errors import excerpt
from scow.build.dockerfile.instructions import Arg, Run
from scow.build.dockerfile.linter.lint import Lint
from scow.build.dockerfile.options import Options, Resolver
from scow.build.dockerfile.parser import Document
from scow.build.dockerfile.stages import Stages
from scow.build.llb.ops import SourceInfo
from scow.build.session.builds import Answer
from scow.build.solver.types import BuildError
from scow.errors import ScowError

DESCRIBE = "frontend.subrequests.describe"
OUTLINE = "frontend.outline"
TARGETS = "frontend.targets"
LINT = "frontend.lint"

_KNOWN = (
    (OUTLINE, "Outline", "List all parameters current build target supports"),
    (TARGETS, "Targets", "List all targets current build supports"),
    (LINT, "Lint", "Lint source code and show the results"),
    (DESCRIBE, "Describe", "List available subrequest types"),
)


def _answer(value: object, text: str, **more: str) -> Answer:
    metadata = {"result.json": json.dumps(value, indent=2).encode(), "result.txt": text.encode(), "version": b"1.0.0"}
    return Answer({"": None}, metadata | {key.replace("_", "."): value.encode() for key, value in more.items()})


def describe() -> Answer:
    """Which questions there are."""
    rows = [
        {
            "Name": name,
            "Version": "1.0.0",
            "Type": "rpc",
            "Description": description,
            "Opts": [{"Name": "target", "Description": "Target build stage"}] if name == OUTLINE else None,
            "Metadata": [{"Name": "result.json"}, {"Name": "result.txt"}],
        }
        for name, _, description in _KNOWN
    ]
    text = _table(["NAME", "VERSION", "DESCRIPTION"], [[row[0], "1.0.0", row[2]] for row in _KNOWN])
    return _answer(rows, text)


def targets(stages: Stages, info: SourceInfo, target: str) -> Answer:
    """The stages of the file."""
    default = stages.stages[-1].index
    rows = []
    for stage in stages.stages:
        head = stage.head
        row: dict[str, Any] = {"name": stage.name} if stage.name else {}
        if description := _described(head.comments, head.written):
            row["description"] = description
        if stage.index == default:
            row["default"] = True
        row["base"] = head.base
        if head.platform:
            row["platform"] = head.platform
        row["location"] = _location(head.start, head.end)
        rows.append(row)
    table = [
        [(row.get("name") or "(default)") + (" (default)" if row.get("default") and row.get("name") else ""), row.get("description", "")]
        for row in rows
        if row.get("name") or row.get("default")
    ]
    return _answer({"targets": rows, "sources": [_b64(info.data)]}, _table(["TARGET", "DESCRIPTION"], table))


async def outline(document: Document, stages: Stages, options: Options, resolver: Resolver, info: SourceInfo) -> Answer:
    """What a user may set for a target: arguments, secrets, ssh agents, caches."""
    conversion = Conversion(document, stages, options, resolver, Lint())
    await conversion.run()
    target = stages.target(options.target)
    used = {state.stage.index for state in conversion.states if state.stage and state.done}
    args: dict[str, dict[str, Any]] = {}
    needs: dict[str, dict[str, dict[str, Any]]] = {"secrets": {}, "ssh": {}, "cache": {}}
    for arg in stages.args:
        _args(arg, args, conversion.globals)
    for stage in stages.stages:
        if stage.index not in used:
            continue
        for one in stage.commands:
            if isinstance(one, Arg):
                _args(one, args, conversion.globals | dict(options.build_args))
            elif isinstance(one, Run):
                _needs(one, needs)
    value: dict[str, Any] = {"name": target.name} if target.name else {}
    if description := _described(target.head.comments, target.head.written):
        value["description"] = description
    value |= {"args": list(args.values())} if args else {}
    value |= {key: list(rows.values()) for key, rows in needs.items() if rows}
    value["sources"] = [_b64(info.data)]
    text = f"TARGET:      {target.name or '(default)'}\n" + (f"DESCRIPTION: {value['description']}\n" if "description" in value else "")
    if args:
        rows = [[row["name"], row.get("value", ""), row.get("description", "")] for row in args.values()]
        text += "\n" + _table(["BUILD ARG", "VALUE", "DESCRIPTION"], rows)
    for key, title in (("secrets", "SECRET"), ("ssh", "SSH")):
        if needs[key]:
            text += "\n" + _table([title, "REQUIRED"], [[row["name"], "true" * bool(row.get("required"))] for row in needs[key].values()])
    return _answer(value, text)


def _needs(run: Run, found: dict[str, dict[str, dict[str, Any]]]) -> None:
    for mount in run.mounts:
        row: dict[str, Any] = {}
        if mount.type == "cache":
            group, name = "cache", mount.id or mount.target
            row["id"] = name
        elif mount.type in ("secret", "ssh"):
            group = "secrets" if mount.type == "secret" else "ssh"
            name = mount.id or mount.source or mount.target.rsplit("/", 1)[-1] or "default"
            row["name"] = name
        else:
            continue
        if mount.required:
            row["required"] = True
        row["location"] = _location(run.start, run.end)
        found[group].setdefault(name, row)


def _args(arg: Arg, found: dict[str, dict[str, Any]], values: Mapping[str, str]) -> None:
    for key, default in arg.args:
        row: dict[str, Any] = {"name": key}
        if description := _described(arg.comments, key):
            row["description"] = description
        value = values.get(key, default)
        if value is not None:
            row["value"] = value
        row["location"] = _location(arg.start, arg.end)
        if key not in found or default is not None:
            found[key] = row


def lint(lint: Lint, info: SourceInfo, failed: ScowError | None) -> Answer:
    """The findings of the build checks, and the error that stopped them."""
    rows = []
    text = ""
    source = info.data.decode("utf-8", "replace")
    for finding in sorted(lint.findings, key=lambda one: (one.start, one.rule.name)):
        row: dict[str, Any] = {"ruleName": finding.rule.name, "description": finding.rule.description, "url": finding.rule.url}
        row["detail"] = finding.message
        row["location"] = _location(finding.start, finding.end)
        rows.append(row)
        text += f"\nWARNING: {finding.rule.name} - {finding.rule.url}\n{finding.message}\n\n"
        text += excerpt(source, info.filename, finding.start, finding.end) + "\n"
    sources = [{"filename": info.filename, "language": info.language, "data": _b64(info.data)}]
    value: dict[str, Any] = {"warnings": rows, "sources": sources}
    status = "1" if rows or failed else "0"
    if failed:
        place = failed.locations[0].ranges if isinstance(failed, BuildError) and failed.locations else ()
        start, end = (place[0].start, place[0].end) if place else (getattr(failed, "start", 0), getattr(failed, "end", 0))
        value["buildError"] = {"message": failed.message, "location": _location(start, end)}
        text += f"\nERROR: {failed.message}\n" + excerpt(source, info.filename, start, end) + "\n"
    elif not rows:
        text = "Check complete, no warnings found.\n"
    return _answer(value, text, result_statuscode=status)


def _location(start: int, end: int) -> dict[str, Any]:
    if not start:
        return {}
    return {"ranges": [{"start": {"line": start}, "end": {"line": max(start, end)}}]}


def _described(comments: tuple[str, ...], name: str) -> str:
    """The comment above a stage or argument that begins with its name."""
    for comment in reversed(comments):
        word, _, rest = comment.partition(" ")
        if name and word == name and rest:
            return rest.strip()
    return ""


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _table(heads: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
    lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]]
    return "\n".join(lines) + "\n"

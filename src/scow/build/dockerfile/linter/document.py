"""Checks of a file as it stands, without building anything."""

from scow.build.dockerfile.instructions import From
from scow.build.dockerfile.linter import rules
from scow.build.dockerfile.linter.lint import Lint
from scow.build.dockerfile.parser import Document
from scow.build.dockerfile.stages import Stages
from scow.gotemplate.values import go_quote

RESERVED = ("context", "scratch")


def check_document(document: Document, lint: Lint) -> None:
    """Continuations and the case of instructions."""
    for warning in document.warnings:
        lint.warn(rules.NO_EMPTY_CONTINUATION, "Empty continuation line", warning.line, warning.line)
    upper = sum(1 for node in document.nodes if node.written.isupper())
    lower = sum(1 for node in document.nodes if node.written.islower())
    majority = "uppercase" if upper >= lower else "lowercase"
    for node in document.nodes:
        if not (node.written.isupper() if majority == "uppercase" else node.written.islower()):
            lint.warn(
                rules.CONSISTENT_INSTRUCTION_CASING,
                f"Command '{node.written}' should match the case of the command majority ({majority})",
                node.start,
                node.end,
                node.comments,
            )


def check_stages(stages: Stages, lint: Lint) -> None:
    """Names of stages, and the descriptions of what a user may choose."""
    seen: set[str] = set()
    for stage in stages.stages:
        head = stage.head
        place = (head.start, head.end, head.comments)
        if head.written != head.written.lower():
            lint.warn(rules.STAGE_NAME_CASING, f"Stage name '{head.written}' should be lowercase", *place)
        _casing(head, lint)
        if head.stage in seen:
            lint.warn(rules.DUPLICATE_STAGE_NAME, f"Duplicate stage name {go_quote(head.stage)}, stage names should be unique", *place)
        if head.stage in RESERVED:
            lint.warn(
                rules.RESERVED_STAGE_NAME, f"Stage name should not use the same name as reserved stage {go_quote(head.stage)}", *place
            )
        if head.stage:
            seen.add(head.stage)
            _description(head.written, head.comments, head.start, head.end, lint)
    for arg in stages.args:
        if len(arg.args) == 1:
            _description(arg.args[0][0], arg.comments, arg.start, arg.end, lint)


def _casing(head: From, lint: Lint) -> None:
    word = head.text.split()[0]
    keyword = head.keyword
    if keyword and not (keyword.isupper() if word.isupper() else keyword.islower() if word.islower() else True):
        lint.warn(rules.FROM_AS_CASING, f"'{keyword}' and '{word}' keywords' casing do not match", head.start, head.end, head.comments)


def _description(name: str, comments: tuple[str, ...], start: int, end: int, lint: Lint) -> None:
    if comments and comments[-1] and not comments[-1].startswith("check=") and comments[-1].split()[0] != name:
        lint.warn(
            rules.INVALID_DESCRIPTION,
            f"Comment for build stage or argument should follow the format: `# {name} <description>`",
            start,
            end,
            comments,
        )

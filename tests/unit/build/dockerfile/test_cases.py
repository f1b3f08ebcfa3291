"""The parser's cases: `cases/<name>/Dockerfile` reads as `result.jsonl` says, `cases/errors/<name>/Dockerfile` is refused with `error`.

Inputs and results are own writing about facts that the published parser's tests state. `python test_cases.py` writes what is missing.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from scow.build.dockerfile import instructions, lexer, parser, stages
from scow.build.dockerfile.errors import DockerfileError

CASES = Path(__file__).parent / "cases"
GOOD = sorted(path.parent for path in CASES.glob("*/Dockerfile"))
BAD = sorted(path.parent for path in CASES.glob("errors/*/Dockerfile"))
WORDS = ("ENV", "LABEL", "ARG")


def shown(node: parser.Node) -> dict[str, Any]:
    row: dict[str, Any] = {"lines": [node.start, node.end], "name": node.name}
    if node.written != node.name:
        row["written"] = node.written
    if node.flags:
        row["flags"] = list(node.flags)
    words = lexer.json_array(node.rest) if node.name not in WORDS else None
    if words is not None:
        row["json"] = words
    elif node.name in WORDS:
        row["words"] = lexer.words(node.rest, node.escape)
    else:
        row["text"] = node.rest
    if node.heredocs:
        row["heredocs"] = [[one.name, one.data, one.expand, one.fd] for one in node.heredocs]
    if node.comments:
        row["comments"] = list(node.comments)
    return row


def result_of(data: bytes) -> str:
    document = parser.parse(data)
    rows: list[Any] = [{"directive": [one.name, one.value, one.line]} for one in document.directives.values()]
    rows += [shown(node) for node in document.nodes]
    rows += [{"warning": one.message, "line": one.line} for one in document.warnings]
    for node in document.nodes:
        instructions.parse(node)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def error_of(data: bytes) -> str:
    with pytest.raises(DockerfileError) as caught:
        stages.read(parser.parse(data))
    return f"{caught.value.start} {caught.value.instruction or '-'}\n{caught.value.message}\n"


@pytest.mark.parametrize("case", GOOD, ids=lambda path: path.name)
def test_reads(case: Path) -> None:
    assert result_of((case / "Dockerfile").read_bytes()) == (case / "result.jsonl").read_text()


@pytest.mark.parametrize("case", BAD, ids=lambda path: path.name)
def test_refuses(case: Path) -> None:
    assert error_of((case / "Dockerfile").read_bytes()) == (case / "error").read_text()


if __name__ == "__main__":
    for folder in GOOD:
        if not (folder / "result.jsonl").exists():
            (folder / "result.jsonl").write_text(result_of((folder / "Dockerfile").read_bytes()))
    for folder in BAD:
        if not (folder / "error").exists():
            (folder / "error").write_text(error_of((folder / "Dockerfile").read_bytes()))
    sys.exit(0)

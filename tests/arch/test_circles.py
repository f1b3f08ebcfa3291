"""No two files need each other: imports that are run, at once or later, form no circle. Names for type checkers only (`TYPE_CHECKING`) may
point back; those circles are counted, so that they get fewer."""

import ast
from functools import cache
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "scow"
FOR_TYPES = 11  # circles that only type checkers see; make it smaller when one is opened


def _name(path: Path) -> str:
    return ".".join(("scow", *path.relative_to(SRC).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {_name(path): path for path in SRC.rglob("*.py")}


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path, types: bool) -> set[str]:
    found: set[str] = set()
    todo: list[ast.AST] = [_parsed(path)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and not types and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {one.name: f"{node.module}.{one.name}" for one in node.names}
            found |= {full if full in MODULES else str(node.module) for full in inner.values()}
        else:
            todo += [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.stmt | ast.ExceptHandler | ast.match_case)]
    return found & MODULES.keys()


def circles(types: bool) -> list[list[str]]:
    """The files that reach each other by imports, each circle sorted."""
    needs = {name: _imports(path, types) - {name} for name, path in MODULES.items()}
    while free := [name for name, others in needs.items() if not others & needs.keys()]:
        for name in free:  # who needs nobody that is left is in no circle
            del needs[name]
    reached = {name: _reached(needs, name) for name in needs}
    alike = {frozenset(other for other in reached[name] if name in reached[other]) for name in needs if name in reached[name]}
    return sorted(sorted(one.removeprefix("scow.") for one in circle) for circle in alike)


def _reached(needs: dict[str, set[str]], name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        more = (needs[todo.pop()] & needs.keys()) - found
        found |= more
        todo += more
    return found


def test_no_circle_of_imports_that_are_run() -> None:
    assert circles(types=False) == []


def test_circles_of_types_get_fewer() -> None:
    found = circles(types=True)
    assert len(found) <= FOR_TYPES, found

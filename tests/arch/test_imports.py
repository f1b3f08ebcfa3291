"""The rules of the house that a program can check."""

import ast
from pathlib import Path

import pytest

from tests.arch.imports import ALLOWED, CLI_OF_BUILD

SRC = Path(__file__).parents[2] / "src" / "scow"
FILES = sorted(SRC.rglob("*.py"))


def package_of(path: Path) -> str:
    parts = path.relative_to(SRC).parts
    return parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "scow":
                found |= {f"scow.{name.name}" for name in node.names}
            elif node.module:
                found.add(node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_imports_point_one_way(path: Path) -> None:
    package = package_of(path)
    if package == "__init__":
        return
    allowed = ALLOWED[package] | {package}
    for module in imported(path):
        if module.startswith("scow."):
            assert module.split(".")[1] in allowed, f"{package} may not import {module}"
            assert package != "cli" or not module.startswith("scow.build") or module in CLI_OF_BUILD, f"{package} may not import {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SRC)))
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "a module docstring: what, stored where, who calls"


def test_the_keeper_stays_small() -> None:
    """The keeper imports the standard library and kernel/, nothing that would make it big or fail."""
    for path in (SRC / "keeper").glob("*.py"):
        for module in imported(path):
            assert not module.startswith(("orjson", "uvloop", "httptools", "isal", "zstandard", "asyncio")), f"{path.name}: {module}"


def test_no_package_host_is_named() -> None:
    root = SRC.parents[1]
    for path in [*root.glob("*.*"), *(root / "tools").iterdir(), *(root / "docs").rglob("*.md")]:
        if path.is_file():
            assert "pypi.org" not in path.read_text(errors="replace"), path

"""What compose's classes are made of (`records.py`) are no dataclasses, though type checkers take them for some: functions of `dataclasses`
would only fail when they run."""

from pathlib import Path

COMPOSE = Path(__file__).resolve().parents[2] / "src/scow/compose"


def test_compose_uses_no_function_of_dataclasses() -> None:
    found = [
        str(path.relative_to(COMPOSE))
        for path in COMPOSE.rglob("*.py")
        if path.name != "records.py" and ("from dataclasses" in (text := path.read_text()) or "import dataclasses" in text)
    ]
    assert found == []

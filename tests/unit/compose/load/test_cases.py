"""Every case of the corpus gives what the compose plugin gives: the printed model to the letter, and the hashes of services."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.compose.load import corpus

CASES = [(path.stem, case) for path in corpus.groups() for case in corpus.read(path)]


@pytest.mark.parametrize(("group", "case"), CASES, ids=[f"{group}: {case['name']}" for group, case in CASES])
def test_case(group: str, case: dict[str, Any], tmp_path: Path) -> None:
    folder = corpus.lay(case, tmp_path)
    code, out, err = corpus.ours(case, folder)
    assert "Traceback" not in err
    if "code" in case:
        assert (code, out) == (case["code"], ""), err
        assert case["says"].lower() in corpus.message(err).lower()
        return
    assert code == 0, err
    assert out == case["out"]
    if "hash" in case:
        assert corpus.hashes(corpus.ours(case, folder, "config", "--hash", "*")[1]) == case["hash"]

"""The corpus of compose files against the compose plugin itself: what it prints, its exit status and its hashes, in one directory."""

from pathlib import Path

import pytest

from tests.unit.compose.load import corpus

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("group", corpus.groups(), ids=lambda path: path.stem)
def test_same_as_the_plugin(group: Path, tmp_path: Path) -> None:
    if not corpus.PLUGIN.exists():
        pytest.skip("needs docker's compose plugin")
    differing = []
    for number, case in enumerate(corpus.read(group)):
        if "ours" in case:
            continue
        folder = corpus.lay(case, tmp_path / str(number))
        theirs, own = corpus.plugin(case, folder), corpus.ours(case, folder)
        if theirs[:2] != own[:2]:
            differing.append((case["name"], theirs, own))
        elif "verb" not in case and not theirs[0]:
            verb = ("config", "--hash", "*")
            if corpus.hashes(corpus.plugin(case, folder, *verb)[1]) != corpus.hashes(corpus.ours(case, folder, *verb)[1]):
                differing.append((case["name"], ("hashes",), ()))
    assert differing == []

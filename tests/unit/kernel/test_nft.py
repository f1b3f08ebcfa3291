import pytest

from scow.kernel import nft


def test_a_bad_ruleset_is_told() -> None:
    with pytest.raises(nft.NftError):
        nft.run_program("no ruleset at all\n")


def test_without_the_program_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "program", lambda: None)
    with pytest.raises(nft.NftError, match="install the package nftables"):
        nft.run_program("")

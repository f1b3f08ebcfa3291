"""The firewall's way to the kernel, which remembers what it was given."""

from types import ModuleType

import pytest

from scow.kernel.nft import NftError


class FakeNft:
    """In place of `kernel.nft.Nft`. `fail`: the next run does."""

    def __init__(self) -> None:
        self.runs: list[str] = []
        self.fail = False

    @classmethod
    def below(cls, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> "FakeNft":
        """The one that a module gets when it makes an `Nft`."""
        fake = cls()
        monkeypatch.setattr(module, "Nft", lambda: fake)
        monkeypatch.setattr(module, "program", lambda: None)
        return fake

    def run(self, text: str) -> None:
        """See Nft."""
        if self.fail:
            self.fail = False
            raise NftError("no such element")
        self.runs.append(text)

    def close(self) -> None:
        """See Nft."""

import os
import subprocess
import sys

import pytest

from scow.kernel import nft


def test_a_bad_ruleset_is_told() -> None:
    with pytest.raises(nft.NftError):
        nft.run_program("no ruleset at all\n")


def test_without_the_program_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "program", lambda: None)
    with pytest.raises(nft.NftError, match="install the package nftables"):
        nft.run_program("")


@pytest.mark.skipif(os.geteuid() != 0 or nft.program() is None, reason="needs root and nft")
def test_handles_work_in_a_process_with_many_descriptors() -> None:
    script = (
        "import os, resource; from scow.kernel.nft import Nft, reserve; reserve();"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]));"
        "many = [os.open('/dev/null', os.O_RDONLY) for _ in range(2000)];"
        "handles = [Nft() for _ in range(20)];"
        "[handle.run('table inet x { }') for handle in handles]; print([handle.in_process for handle in handles].count(True))"
    )
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3  # the rest goes through nft(8)

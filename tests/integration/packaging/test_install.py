"""The wheel, `make install`, `make uninstall` and `make deb`, built for real. Slow: pip fetches what it needs."""

import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def make(*words: str, **env: str) -> str:
    done = subprocess.run(["make", *words], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(*words: object) -> str:
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, check=True, env=env).stdout


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_has_all_that_the_sources_have(tmp_path: Path) -> None:
    wheel = Path(subprocess.run([ROOT / "tools/wheel", tmp_path], capture_output=True, text=True, check=True).stdout.strip())
    listed = subprocess.run(["git", "ls-files", "src/scow"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    wanted = {name.removeprefix("src/") for name in listed if (ROOT / name).exists()}
    with zipfile.ZipFile(wheel) as archive:
        assert wanted - set(archive.namelist()) == set()
        assert (
            "scowd = scow.daemon.main:run" in archive.read(next(n for n in archive.namelist() if n.endswith("entry_points.txt"))).decode()
        )


def test_install_and_uninstall(tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    assert "start it" in make("install", PREFIX=str(prefix))
    assert run(prefix / "bin/scow", "--version").startswith("scow version ")
    assert run(prefix / "bin/scowd", "--validate", "--config-file=/dev/null") == "configuration OK\n"
    found = {name for name in files(prefix) if not name.startswith("lib/scow/")}
    assert {
        "bin/scow",
        "bin/scow-compose",
        "bin/scowd",
        "lib/systemd/system/scow.service",
        "lib/systemd/system/scow.socket",
        "lib/sysusers.d/scow.conf",
        "share/bash-completion/completions/scow",
        "share/bash-completion/completions/scow-compose",
        "share/zsh/site-functions/_scow",
        "share/fish/vendor_completions.d/scow.fish",
        "share/doc/scow/README.md",
    } <= found
    assert f"ExecStart={prefix}/bin/scowd" in (prefix / "lib/systemd/system/scow.service").read_text()
    assert "watch" in run(prefix / "bin/scow-compose", "__complete", "wa")
    assert "complete -F _scow scow scow-compose" in (prefix / "share/bash-completion/completions/scow").read_text()
    make("uninstall", PREFIX=str(prefix))
    assert files(prefix) == set()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_the_debian_package(tmp_path: Path) -> None:
    deb = subprocess.run([ROOT / "tools/deb", tmp_path], capture_output=True, text=True, check=True).stdout.split()[-1]
    fields = run("dpkg-deb", "--field", deb)
    for wanted in ("Package: scow", "crun | runc", "nftables", "iproute2", "python3 (>= 3."):
        assert wanted in fields
    with (tmp_path / "files.tar").open("wb") as out:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=out, check=True, timeout=120)
    with tarfile.open(tmp_path / "files.tar") as tar:
        members = {member.name.removeprefix("./"): member for member in tar}
        assert {
            "usr/bin/scow",
            "usr/bin/scow-compose",
            "usr/bin/scowd",
            "usr/lib/systemd/system/scow.service",
            "usr/share/zsh/vendor-completions/_scow",
        } <= set(members)
        assert {member.uid for member in members.values()} == {0}
        script = tar.extractfile("./usr/bin/scowd")
        assert script is not None
        text = script.read().decode()
        assert text.startswith("#!/usr/bin/python3 -IS\n")
        assert str(tmp_path) not in text
    run("dpkg-deb", "--control", deb, tmp_path / "control")
    for name in ("postinst", "prerm", "postrm"):
        run("sh", "-n", tmp_path / "control" / name)

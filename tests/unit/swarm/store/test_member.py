"""What is made of a member's data and of its last messages."""

from pathlib import Path

import pytest

from scow.errors import Unavailable
from scow.kernel import spawn
from scow.swarm import ca
from scow.swarm.ca.peers import Trust
from scow.swarm.store.etcd.member import Etcd, Place, program
from tests.support.asynchronous import on_loop

FATAL = '{"level":"fatal","ts":"x","msg":"discovery failed","error":"walpb: crc mismatch","stacktrace":"go"}\n'
PANIC = "panic: freepages: failed to get all reachable pages (page 5: out of bounds: 5)\n\ngoroutine 97 [running]:\n\tdb.go:1054\n"


def member(folder: Path) -> Etcd:
    place = Place("n", "127.0.0.1:2377", "127.0.0.1:2377", folder / "data", folder / "run")
    (folder / "run").mkdir()
    return Etcd(place, Trust(ca.KeyPair("", ""), ""))


def test_half_of_the_data_are_none(tmp_path: Path) -> None:
    etcd = member(tmp_path)
    assert not etcd.known
    (tmp_path / "data/member/wal").mkdir(parents=True)
    (tmp_path / "data/member/wal/0-0.wal").touch()
    assert not etcd.known
    (tmp_path / "data/member/snap").mkdir()
    (tmp_path / "data/member/snap/db").touch()
    assert etcd.known


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ('{"level":"warn","msg":"slow"}\n', "slow"),
        (FATAL, "discovery failed: walpb: crc mismatch"),
        ('{"level":"warn","msg":"before"}\n' + PANIC, "panic: freepages: failed to get all reachable pages (page 5: out of bounds: 5)"),
        ("nothing of JSON", "nothing of JSON"),
        ("[1]\n", "[1]"),
    ],
)
def test_the_last_words_are_the_reason(tmp_path: Path, log: str, words: str) -> None:
    etcd = member(tmp_path)
    (tmp_path / "run/etcd.log").write_text(log)
    assert etcd.last_words() == words


@on_loop
async def test_where_etcd_cannot_be_installed_the_reason_is_said_and_apt_does_not_try_for_minutes(tmp_path: Path) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\necho "E: no way out"\nexit 100\n')
    apt.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spawn, "PATH", str(tmp_path))
        with pytest.raises(Unavailable, match=r"E: no way out\).*apt-get install etcd-server"):
            await program()
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[0] for line in asked] == ["install", "update", "install"]
    assert all("Acquire::Retries=0" in line for line in asked)


@on_loop
async def test_what_a_restart_needs_is_there_before_the_member_ends(tmp_path: Path) -> None:
    etcd = member(tmp_path)
    root = ca.new_root()
    before, after = Trust(root, root.certificate), Trust(root, root.certificate * 2)
    etcd.certify(before)
    (tmp_path / "run/root.pem.new").mkdir()  # nothing can be written there
    with pytest.raises(Unavailable, match="certificate of etcd's member cannot be written"):
        etcd.certify(after)
    assert etcd.trust == before
    assert (tmp_path / "run/root.pem").read_text() == root.certificate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spawn, "PATH", str(tmp_path))
        with pytest.raises(Unavailable, match="no apt-get"):
            await etcd.restart(after)
    assert etcd.trust == before

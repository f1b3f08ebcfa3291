"""A root filesystem in any order and with any times gives one layer."""

import io
import tarfile
from pathlib import Path

import pytest

from scow.bootstrap import layer
from scow.errors import ScowError


def entry(name: str, data: bytes | None = None, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    member.size = len(data or b"")
    for key, value in fields.items():
        setattr(member, key, value)
    return member, data or b""


def pack(path: Path, entries: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data))
    return path


def root(now: int) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [
        entry("./", mode=0o755, mtime=now),
        entry("./usr/bin/tool", b"tool", mtime=900, mode=0o4755, uid=0, uname="root"),
        entry("./usr/bin/alias", type=tarfile.LNKTYPE, linkname="./usr/bin/tool", mtime=900),
        entry("./usr/bin/zlias", type=tarfile.LNKTYPE, linkname="./usr/bin/tool", mtime=900),
        entry("./usr/share/doc/tool/copyright", b"free", mtime=86400 * 3 + 5),
        entry("./etc/made-now", b"x", mtime=now),
        entry("./etc/shadow", f"root:*:{now // 86400}:0:99999:7:::\n".encode(), mtime=now),
        entry("./etc/machine-id", b"one machine", mtime=now),
        entry("./var/log/dpkg.log", str(now).encode(), mtime=now),
        entry("./var/cache/apt/pkgcache.bin", str(now).encode(), mtime=now),
        entry("./dev/null", type=tarfile.CHRTYPE, mtime=now),
        entry("./bin", type=tarfile.SYMTYPE, linkname="usr/bin", mtime=now),
        entry("./cap", b"", mtime=now, pax_headers={"SCHILY.xattr.security.capability": "x", "mtime": "7.5"}),
    ]


def test_the_same_packages_give_the_same_layer(tmp_path, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    extra = {"etc/apt/sources.list": b"deb x y main\n"}
    one = layer.normalise(pack(tmp_path / "1", root(10**9)), tmp_path / "a", extra)
    two = layer.normalise(pack(tmp_path / "2", root(10**9 + 10**6)[::-1]), tmp_path / "b", extra)
    assert one.digest == two.digest
    assert one.epoch == 86400 * 3 + 5
    with tarfile.open(one.path) as tar:
        found = {member.name: member for member in tar}
        assert list(found) == sorted(found)
        assert set(found) == {
            *("bin", "cap", "etc/apt/sources.list", "etc/made-now", "etc/shadow", "usr/bin/alias", "usr/bin/tool", "usr/bin/zlias"),
            "usr/share/doc/tool/copyright",
        }
        assert max(member.mtime for member in found.values()) == one.epoch
        assert found["usr/bin/alias"].isreg()
        assert found["usr/bin/tool"].linkname == found["usr/bin/zlias"].linkname == "usr/bin/alias"
        assert tar.extractfile("usr/bin/zlias").read() == b"tool"
        assert tar.extractfile("etc/shadow").read() == b"root:*:3:0:99999:7:::\n"
        assert found["cap"].pax_headers["SCHILY.xattr.security.capability"] == "x"


def test_source_date_epoch_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "100")
    assert layer.normalise(pack(tmp_path / "1", root(10**9)), tmp_path / "a", {}).epoch == 100
    for wrong in ("soon", "-1", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(ScowError, match="SOURCE_DATE_EPOCH must be seconds"):
            layer.wanted_epoch()


def test_broken_trees_are_sentences(tmp_path):
    (tmp_path / "no").write_bytes(b"no tar at all")
    with pytest.raises(ScowError, match="can't be packed"):
        layer.normalise(tmp_path / "no", tmp_path / "a", {})
    loose = pack(tmp_path / "loose", [entry("a", type=tarfile.LNKTYPE, linkname="b")])
    with pytest.raises(ScowError, match="leads nowhere"):
        layer.normalise(loose, tmp_path / "a", {})

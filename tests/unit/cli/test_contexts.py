"""The context store: docker's layout, archives in and out."""

import hashlib
import io
import tarfile
import zipfile

import pytest

from scow.cli import contexts
from scow.errors import ScowError

META = {"Name": "far", "Metadata": {"Description": "d"}, "Endpoints": {"docker": {"Host": "tcp://far:2376", "SkipTLSVerify": False}}}


def test_the_layout_is_dockers(tmp_path):
    contexts.write(str(tmp_path), META, {"ca.pem": b"C", "key.pem": b"K"})
    digest = hashlib.sha256(b"far").hexdigest()
    assert (tmp_path / "contexts/meta" / digest / "meta.json").is_file()
    key = tmp_path / "contexts/tls" / digest / "docker/key.pem"
    assert key.read_bytes() == b"K" and key.stat().st_mode & 0o777 == 0o600
    assert contexts.names(str(tmp_path)) == ["far"] and contexts.material(str(tmp_path), "far") == {"docker": ["ca.pem", "key.pem"]}
    host, tls = contexts.endpoint_of(str(tmp_path), "far")
    assert host == "tcp://far:2376" and tls == (str(key.with_name("ca.pem")), "", str(key), True)
    contexts.remove(str(tmp_path), "far")
    assert contexts.names(str(tmp_path)) == []
    with pytest.raises(ScowError, match='context "far": context not found'):
        contexts.read(str(tmp_path), "far")


def test_broken_metadata_is_an_error_or_left_out(tmp_path):
    contexts.write(str(tmp_path), META, None)
    (tmp_path / "contexts/meta" / hashlib.sha256(b"far").hexdigest() / "meta.json").write_text("{")
    assert contexts.names(str(tmp_path)) == []
    with pytest.raises(ScowError):
        contexts.endpoint_of(str(tmp_path), "far")


def test_archives_there_and_back():
    assert contexts.unpacked(contexts.packed(META, {"ca.pem": b"C"})) == (META, {"ca.pem": b"C"})


def test_a_zip_is_read_too():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("meta.json", '{"Name":"z"}')
    assert contexts.unpacked(out.getvalue()) == ({"Name": "z"}, {})


def _tar(name, data):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"x" * 600, b"PK\x03\x04nonsense", _tar("other", b""), _tar("meta.json", b"["), _tar("meta.json", b"[]")]
)
def test_bad_archives(data):
    with pytest.raises(ScowError):
        contexts.unpacked(data)


def test_files_of_other_names_are_not_taken():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("meta.json", b"{}"), ("tls/docker/../../../evil.pem", b"x"), ("tls/docker/ca.pem", b"c")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert contexts.unpacked(out.getvalue()) == ({}, {"ca.pem": b"c"})

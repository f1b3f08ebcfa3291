"""Images made to do harm, loaded and imported: they are refused with a sentence or do nothing, and leave nothing behind."""

import gzip
import json
import os
import tarfile

import pytest

from scow.errors import InvalidArgument, ScowError
from scow.filters import Filters
from tests.support.images import imported, load, mounted, needs_root, with_service
from tests.support.tars import config, docker_archive, entry, folder, hardlink, packed, sha256, symlink, tarball

pytestmark = needs_root

LOW = tarball(folder("d"), entry("d/kept", b"low"), entry("d/gone", b"low"), folder("e"), symlink("out", "/etc"), entry("secret", b"low"))


async def refused(images, archive, match=None):
    """Loading it is an error of the archive, and nothing of it stays."""
    with pytest.raises(InvalidArgument, match=match) as error:
        await load(images, archive)
    assert error.value.message
    await nothing(images)


async def taken(images, job):
    """What the job gives; None when the archive was refused, which leaves nothing."""
    message = ""
    try:
        return await job
    except ScowError as error:
        message = error.message
    assert message
    await nothing(images)
    return None


async def nothing(images):
    assert await images.list(True, Filters()) == []
    assert images.snapshots.layers() == []
    assert images.content.digests() == []


def layers(*tars):
    return docker_archive((config(*tars), list(tars), ["evil"]))


def test_layers_that_reach_through_a_lower_layers_link(tmp_path):
    """`out` is a link to /etc in the layer below: what a higher one puts below `out/` stays in the layer."""
    victim = sorted(os.listdir("/etc"))

    async def use(images):
        await load(images, layers(LOW, tarball(entry("out/pwned", b"x"), entry("out/.wh.passwd"), entry("d/new", b"x"))))
        async with mounted(images, "evil", tmp_path / "root") as root:
            assert (root / "d/new").read_text() == "x"
            assert (root / "out").is_symlink() or (root / "out/pwned").read_text() == "x"
        assert sorted(os.listdir("/etc")) == victim

    with_service(tmp_path, use)


WHITEOUTS = {
    "of nothing": [entry(".wh.")],
    "of a dot": [entry("d/.wh..")],
    "of dotdot": [entry("d/.wh...")],
    "of dotdot's child": [entry("d/.wh.../x")],
    "through dotdot": [entry("d/../../.wh.passwd")],
    "of an absolute name": [entry("/.wh.secret")],
    "as a directory": [folder(".wh.d"), entry(".wh.d/x", b"x")],
    "as a link": [symlink(".wh.d", "/etc"), entry(".wh.d/passwd", b"x")],
    "as a hard link": [hardlink(".wh.d", "secret")],
    "opaque and bookkeeping": [entry("d/.wh..wh..opq"), entry(".wh..wh.plnk"), entry(".wh..wh.aufs/../../x", b"x")],
    "by a device": [entry("d", type=tarfile.CHRTYPE, device=(0, 0))],
    "below a file": [entry("f", b"x"), entry("f/.wh.x")],
}


@pytest.mark.parametrize("what", WHITEOUTS)
def test_whiteouts_stay_in_their_layer(tmp_path, what):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("x")

    async def use(images):
        if not await taken(images, load(images, layers(LOW, tarball(*WHITEOUTS[what])))):
            return
        async with mounted(images, "evil", tmp_path / "root") as root:
            os.listdir(root)
            assert (root / "e").is_dir()
            assert not (root / "pwned").exists()

    with_service(tmp_path, use)
    assert os.listdir(outside) == ["passwd"]
    assert set(os.listdir(tmp_path)) <= {"content", "meta.db", "outside", "root", "snapshots"}


def test_a_layer_cannot_speak_to_the_overlay(tmp_path):
    """redirect, metacopy, opaque, origin and whiteout marks in an archive are not the overlay's."""
    marks = {
        f"{space}.overlay.{name}": value
        for space in ("trusted", "user")
        for name, value in (("redirect", "/secret"), ("metacopy", ""), ("opaque", "y"), ("origin", "x"), ("whiteout", "y"), ("impure", "y"))
    }
    high = tarball(
        folder("d", xattrs=marks), entry("e/copied", b"", xattrs=marks), folder("e/other", xattrs={"trusted.overlay.redirect": "/d"})
    )

    async def use(images):
        await load(images, layers(LOW, high))
        async with mounted(images, "evil", tmp_path / "root") as root:
            assert (root / "d/kept").read_text() == "low"
            assert (root / "e/copied").read_bytes() == b""
            assert os.listdir(root / "e/other") == []
        for base, names, files in os.walk(tmp_path / "snapshots"):
            for name in names + files:
                found = os.listxattr(os.path.join(base, name), follow_symlinks=False)
                assert not [one for one in found if one in marks and one.startswith("trusted")], name

    with_service(tmp_path, use)


def test_archives_whose_members_are_links(tmp_path):
    """Links are followed within the archive alone."""
    good = layers(LOW)
    ident = next(name for name in good if name.endswith(".json") and name != "manifest.json")
    layer = next(name for name in good if name.endswith("layer.tar"))

    async def use(images):
        for name, targets in {
            ident: ("/etc/hostname", "../../../../etc/hostname"),
            layer: ("/etc/passwd", "../../proc/self/environ"),
        }.items():
            for target in targets:
                for link in (symlink, hardlink):
                    kept = [entry(one, data) for one, data in good.items() if one != name]
                    await refused(images, tarball(*kept, link(name, target)), "missing")
        for name in (ident, layer, "manifest.json"):
            kept = [entry(one, data) for one, data in good.items() if one != name]
            await refused(images, tarball(*kept, symlink(name, name)))
            await refused(images, tarball(*kept, entry(name, type=tarfile.FIFOTYPE)))
            await refused(images, tarball(*kept, entry(name, type=tarfile.CHRTYPE, device=(1, 5))))
            await refused(images, tarball(*kept, folder(name)))
        os.symlink("/etc/hostname", tmp_path / "content" / "planted")
        kept = [entry(one, data) for one, data in good.items() if one != layer]
        await load(images, tarball(*kept, entry("blob", good[layer]), symlink(layer, "../blob")))
        assert images.get("evil")

    with_service(tmp_path, use)


def oci(manifest, layer_digest=None, config_data=None):
    data = config_data if config_data is not None else config(LOW)
    document = json.dumps(
        {"schemaVersion": 2, "config": {"digest": sha256(data)}, "layers": [{"digest": layer_digest or sha256(LOW)}]}
    ).encode()
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"manifests": [{"digest": sha256(document)}]}).encode(),
    }
    for blob in (document, data, LOW):
        files["blobs/" + sha256(blob).replace(":", "/")] = blob
    return {**files, **manifest}


BAD = {
    "a layer under another's digest": {**oci({}), "blobs/" + sha256(LOW).replace(":", "/"): tarball(entry("x", b"x"))},
    "a config under another's digest": {**oci({}), "blobs/" + sha256(config(LOW)).replace(":", "/"): config(LOW, author="x")},
    "a digest that leads out": oci({}, layer_digest="sha256:../../../../etc/passwd"),
    "a digest of another kind": oci({}, layer_digest="md5:" + "0" * 32),
    "an index of itself": {"index.json": b'{"manifests": [{"digest": "sha256:' + b"0" * 64 + b'", "mediaType": "x.index"}]}'},
    "a deep config": oci({}, config_data=b'{"rootfs":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a large config": oci({}, config_data=config(LOW, author="x" * (9 << 20))),
    "a deep manifest": {"manifest.json": b"[" * 200_000},
    "a manifest of many images": {"manifest.json": json.dumps([{"Config": "x", "Layers": []}] * 5000).encode()},
    "a manifest of a large number": {"manifest.json": b'[{"Config": ' + b"9" * 100_000 + b"}]"},
    "layers that are numbers": {"manifest.json": b'[{"Config": "c", "Layers": [1]}]', "c": config()},
    "a config that is a list": {"manifest.json": b'[{"Config": "c", "Layers": []}]', "c": b"[]"},
    "diff ids that lead out": {
        "manifest.json": b'[{"Config": "c", "Layers": ["l"]}]', "l": LOW, "c": b'{"rootfs": {"diff_ids": ["../../x"]}}',
    },
    "ten thousand layers": {
        "manifest.json": json.dumps([{"Config": "c", "Layers": ["l"] * 10_000}]).encode(), "l": LOW,
        "c": json.dumps({"rootfs": {"diff_ids": [sha256(LOW)] * 10_000}}).encode(),
    },
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_archives_that_are_not_what_they_say(tmp_path, what):
    with_service(tmp_path, lambda images: refused(images, packed(BAD[what])))


def raw(name=b"f", kind=b"0", size=b"00000000000\0", link=b"", **fields):
    """A header block made by hand."""
    head = bytearray(512)
    head[:100] = name.ljust(100, b"\0")
    head[100:124] = b"%07o" % 0o644 + b"\0" + (b"%07o" % 0 + b"\0") * 2
    head[124:136], head[136:148], head[148:156], head[156:157] = size, b"00000000000\0", b"        ", kind
    head[157:257], head[257:265] = link.ljust(100, b"\0"), b"ustar\x0000"
    for at, value in fields.items():
        start = int(at[1:])
        head[start : start + len(value)] = value
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def pax(text, size=None):
    data = text.ljust(-(-len(text) // 512) * 512, b"\0")
    return raw(b"PaxHeaders/x", b"x", b"%011o\0" % (len(text) if size is None else size)) + data


END = bytes(1024)
CRAFTED = {
    "a negative size": raw(size=b"\xff" * 11 + b"\xfb") + END,
    "a size beyond 64 bits": raw(size=b"\x80" + b"\x7f" * 11) + END,
    "a size of text": raw(size=b"huge\0\0\0\0\0\0\0\0") + END,
    "a negative size in PAX": pax(b"11 size=-5\n") + raw() + END,
    "a huge size in PAX": pax(b"29 size=99999999999999999999\n") + raw() + END,
    "a size of a link": pax(b"13 size=512\n") + raw(kind=b"2", link=b"x") + raw(b"../../x") + END,
    "a PAX header of 8 GB": raw(b"PaxHeaders/x", b"x", b"77777777777\0") + END,
    "a long name of 8 GB": raw(b"x", b"L", b"77777777777\0") + END,
    "a PAX record that is longer than it": pax(b"99 path=x\n") + raw() + END,
    "a PAX record of no length": pax(b"0 path=x\n") + raw() + END,
    "a PAX record without end": pax(b"9 path=xy") + raw() + END,
    "a PAX path that leads out": pax(b"19 path=../../../x\n") + raw() + END,
    "a PAX path with NUL": pax(b"12 path=a\0b\n") + raw() + END,
    "a PAX link that leads out": pax(b"26 linkpath=../../etc/hos\n") + raw(kind=b"1", link=b"x") + END,
    "a PAX header and no member": pax(b"12 path=abc\n") + END,
    "a device out of range": raw(kind=b"3", _329=b"\xff" * 8) + END,
    "an unknown kind": raw(kind=b"Z") + END,
    "sparse": raw(kind=b"S") + END,
    "a name of nothing": raw(name=b"") + END,
    "a chain of headers": pax(b"9 uid=-5\n") * 2000 + raw() + END,
    "a deep tree": pax(b"20013 path=" + b"a/" * 10_000 + b"\n\n") + raw() + END,
    "a long component": pax(b"1009 path=" + b"a" * 998 + b"\n") + raw() + END,
    "a bomb that ends": gzip.compress(raw(size=b"77777777777\0") + bytes(20 << 20)),
}


@pytest.mark.parametrize("what", CRAFTED)
def test_crafted_archives_end_with_a_sentence_or_harmlessly(tmp_path, what):
    async def use(images):
        if ident := await taken(images, imported(images, CRAFTED[what])):
            await images.remove(ident, force=True)

    with_service(tmp_path, use)
    assert sorted(os.listdir(tmp_path)) == ["content", "meta.db", "snapshots"]


def test_archives_of_very_many_members_are_bounded(tmp_path):
    async def use(images):
        await refused(images, gzip.compress(raw(kind=b"2", link=b"x") * 30_000 + END, 1), "too many")
        await refused(images, gzip.compress((pax(b"60009 path=" + b"a" * 59_997 + b"\n") + raw()) * 400 + END, 1), "too many")

    with_service(tmp_path, use)


def test_configurations_of_images_are_taken_with_care(engine):
    """What an image's config says is used at create only, and there it is checked like a request."""
    odd = {
        "User": "../../x", "WorkingDir": "relative/../../..", "Entrypoint": ["/bin/true"], "Volumes": {"/../../../etc": {}, "relative": {}},
        "ExposedPorts": {"99999/tcp": {}, "x": {}}, "StopSignal": "SIGNONSENSE", "Healthcheck": {"Test": ["ODD"], "Interval": -5},
    }  # fmt: skip
    wrong = {"Env": "no list", "Cmd": {"a": 1}, "Labels": ["x"], "Volumes": 5, "Healthcheck": [], "ExposedPorts": ["x"], "User": 7}
    for name, given in {**{f"odd-{key}".lower(): {key: value} for key, value in odd.items()}, "wrong": wrong}.items():
        spec = json.loads(config(LOW))
        spec["config"] = given
        archive = packed(docker_archive((json.dumps(spec).encode(), [LOW], [name])))
        reply = engine.api("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
        assert reply.status in (200, 400), reply.body
        assert b"Traceback" not in reply.body
        made = engine.api("POST", "/containers/create", {"Image": name, "Cmd": ["true"]})
        assert made.status in (201, 400, 404), (name, made.body)
        assert engine.api("GET", f"/images/{name}/json").status in (200, 404)
        if made.status == 201:
            started = engine.api("POST", f"/containers/{made.json['Id']}/start")
            assert started.status in (204, 400, 404), (name, started.body)
            engine.api("DELETE", f"/containers/{made.json['Id']}?force=1&v=1")
    assert engine.api("GET", "/images/json").status == 200

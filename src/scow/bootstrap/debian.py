"""The image `debian[:suite]`: a minimal Debian, made by mmdebstrap or debootstrap from the host's own package sources."""

import dataclasses
import os
import re
from pathlib import Path

from scow.bootstrap import apt
from scow.bootstrap.archive import Base
from scow.bootstrap.layer import normalise
from scow.errors import ScowError

_SUITE = re.compile(r"^[a-z][a-z0-9.]{1,39}$")
_ALONE = ("sid", "unstable", "experimental")  # releases without updates and security of their own
_PARTS = ("", "-updates", "-security")
_OS_RELEASE = Path("/etc/os-release")


def make(suite: str, folder: Path, tell: apt.Tell) -> Base:
    """The image of a suite ("" for the host's), its layer in `folder`. ScowError."""
    if suite and not _SUITE.match(suite):
        raise ScowError(f"{suite[:60]!r} is no suite of Debian: it is a word as bookworm or trixie")
    builder = next((name for name in ("mmdebstrap", "debootstrap") if apt.find(name)), "")
    if not builder:
        raise ScowError("neither mmdebstrap nor debootstrap is installed: apt-get install mmdebstrap, then try again")
    if os.geteuid() != 0:
        raise ScowError(f"{builder} needs root to lay down a Debian: run scow as root (sudo scow image bootstrap debian)")
    host = _host()
    chosen = suite or host
    found = choose(apt.sources(), host, chosen)
    tar = folder / "root.tar"
    tell(f"{builder} makes Debian {chosen} from {', '.join(dict.fromkeys(apt.without_password(source.uri) for source in found))}")
    if builder == "mmdebstrap":
        _mmdebstrap(found, chosen, tar, folder, tell)
    else:
        _debootstrap(found, chosen, tar, folder, tell)
    tell("packing")
    listed = "".join(source.line(public=True) + "\n" for source in found)
    layer = normalise(tar, folder / "layer.tar", {"etc/apt/sources.list": listed.encode()})
    tar.unlink()
    architecture, variant = apt.architecture()
    names = (f"debian:{chosen}",) if suite else ("debian:latest", f"debian:{chosen}")
    return Base(layer, names, ("bash",), f"scow image bootstrap debian:{chosen}", f"Debian {chosen}, minimal", architecture, variant)


def _host() -> str:
    """The suite that this host runs. ScowError where it is no Debian."""
    try:
        fields = dict(line.split("=", 1) for line in _OS_RELEASE.read_text().splitlines() if "=" in line)
    except OSError:
        fields = {}
    if fields.get("ID", "").strip('"') != "debian":
        name = fields.get("PRETTY_NAME", "").strip('"') or "no Debian"
        raise ScowError(f"this machine is {name}: its package sources are not Debian's. Run this on a Debian machine")
    return fields.get("VERSION_CODENAME", "sid").strip('"') or "sid"


def choose(sources: list[apt.Source], host: str, suite: str) -> list[apt.Source]:
    """The host's sources of its own release, turned to the wanted suite. ScowError when there are none."""
    aliases = {host, "stable", "oldstable", "testing", *_ALONE}
    found: list[apt.Source] = []
    for source in sources:
        base, dash, part = source.release.partition("-")
        if base not in aliases or dash + part not in _PARTS or (part and suite in _ALONE):
            continue
        turned = dataclasses.replace(source, release=f"{suite}{dash}{part}")
        if turned not in found:
            found.append(turned)
    if not any(source.release == suite for source in found):
        raise ScowError(f"the package sources of this host (/etc/apt) name no Debian {host}: apt-get update must work first")
    return found


def _mmdebstrap(sources: list[apt.Source], suite: str, tar: Path, folder: Path, tell: apt.Tell) -> None:
    listed = folder / "sources.list"
    listed.write_text("".join(source.line() + "\n" for source in sources))
    listed.chmod(0o600)  # an address in it may hold a password
    scratch = folder / "tmp"  # in our folder, which goes also when mmdebstrap was ended before it could clean up
    scratch.mkdir()
    for path in (folder, scratch):
        path.chmod(0o711)  # apt's own user has to come through
    options = [f"--aptopt={line}" for line in apt.settings()]
    argv = ["mmdebstrap", "--variant=minbase", "--format=tar", *options, suite, str(tar), str(listed)]
    apt.run(argv, lambda line: tell(line.removeprefix("I: ")) if line.startswith("I: ") and "temp" not in line else None, scratch=scratch)


def _debootstrap(sources: list[apt.Source], suite: str, tar: Path, folder: Path, tell: apt.Tell) -> None:
    main = next(source for source in sources if source.release == suite)
    key = [f"--keyring={main.signed_by}"] if main.signed_by else []
    root = folder / "root"
    steps = ("Retrieving Packages", "Extracting packages", "Installing core packages", "Configuring the base system")

    def progress(line: str) -> None:
        text = line.removeprefix("I: ").rstrip(". ")
        if text in steps:
            tell(text)

    apt.run(["debootstrap", "--variant=minbase", *key, suite, str(root), main.uri], progress)
    apt.run(["tar", "-C", str(root), "--numeric-owner", "--xattrs", "--xattrs-include=*", "-cf", str(tar), "."])
    apt.run(["rm", "-rf", "--one-file-system", str(root)])

"""The host's package manager: which sources it has, which settings, fetching a package. Programs are run without a shell; what they
say on standard error becomes progress and, where they fail, the end of the sentence.
"""

import contextlib
import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scow.errors import ScowError

Tell = Callable[[str], None]
PATH = os.defpath + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAST_LINES = 6
_LINE_MAX = 2000
# proxies, certificates and retries of the host count for the new image's downloads, too
_SETTINGS = re.compile(r'^(Acquire::(?:https?|ftp|Retries|ForceIPv[46]|Check-[\w-]+|AllowInsecure[\w-]*)[\w:.-]*) "(.*)";$')
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
# dpkg's names of architectures, as images write them
_ARCHITECTURES = {
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v5"),
    "arm64": ("arm64", "v8"),
    "i386": ("386", ""),
    "ppc64el": ("ppc64le", ""),
    "mips64el": ("mips64le", ""),
    "mipsel": ("mipsle", ""),
    "loong64": ("loong64", ""),
}


@dataclass(frozen=True, slots=True)
class Source:
    """One line of the package sources: where, which release, and the key it is signed with ("" for apt's own)."""

    uri: str
    release: str
    component: str
    signed_by: str = ""

    def line(self, public: bool = False) -> str:
        """As sources.list has it; `public`: without a password in the address and without the key's path, as an image gets it."""
        uri = without_password(self.uri) if public else self.uri
        key = f"[signed-by={self.signed_by}] " if self.signed_by and not public else ""
        return f"deb {key}{uri} {self.release} {self.component}"


def without_password(uri: str) -> str:
    """An address as others may see it."""
    return _CREDENTIALS.sub("", uri)


def find(program: str) -> str:
    """The path of a program of the host, "" where it is absent."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{PATH}") or ""


def run(
    argv: Sequence[str], tell: Tell | None = None, cwd: Path | None = None, binary_to: Path | None = None, scratch: Path | None = None
) -> str:
    """A program's standard output; with `tell` its lines go there, with `binary_to` into that file; its temporary files into `scratch`.
    ScowError with its last lines when it fails.
    """
    path = find(argv[0])
    if not path:
        raise ScowError(f"{argv[0]} is not installed here")
    last: deque[str] = deque(maxlen=_LAST_LINES)
    env = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "PATH": f"{os.environ.get('PATH', '')}:{PATH}"}
    if scratch:
        env["TMPDIR"] = str(scratch)
    try:
        target = binary_to.open("wb") if binary_to else None
        with (
            target or contextlib.nullcontext(),
            subprocess.Popen(
                [path, *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=target or subprocess.PIPE,
                stderr=subprocess.STDOUT if tell else subprocess.PIPE,
                env=env,
                cwd=cwd,
                text=True,
                errors="replace",
            ) as child,
        ):
            if tell is None:
                out, err = child.communicate()
                out = out or ""
                last.extend(err.splitlines())
            else:
                out = ""
                assert child.stdout is not None
                while line := child.stdout.readline(_LINE_MAX):
                    last.append(line.rstrip())
                    tell(line.rstrip())
    except OSError as exc:
        raise ScowError(f"{argv[0]} can't be run: {exc.strerror or exc}") from exc
    if child.returncode:
        why = "\n".join(line for line in last if line)
        raise ScowError(f"{os.path.basename(argv[0])} failed with status {child.returncode}{': ' + why if why else ''}")
    return out


def architecture() -> tuple[str, str]:
    """The host's architecture and variant as images name them."""
    name = run(["dpkg", "--print-architecture"]).strip()
    return _ARCHITECTURES.get(name, (name, ""))


def sources() -> list[Source]:
    """The host's package sources that a base image can be made of: component `main` of each release."""
    if not find("apt-get"):
        raise ScowError("there is no apt-get here: bootstrap makes images of Debian's packages, so it needs a Debian host (or scow import)")
    found: list[Source] = []
    for block in run(["apt-get", "indextargets", "Created-By: Packages"]).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if fields.get("Component") == "main" and fields.get("Repo-URI") and fields.get("Release"):
            source = Source(fields["Repo-URI"], fields["Release"], "main", fields.get("Signed-By", ""))
            if source not in found:
                found.append(source)
    return found


def settings() -> list[str]:
    """apt's settings about connections, one `Name "value";` each, and where its passwords are."""
    found = [line for line in run(["apt-config", "dump"]).splitlines() if _SETTINGS.match(line)]
    return [*found, 'Dir::Etc::netrc "/etc/apt/auth.conf";', 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";']


def download(package: str, folder: Path, tell: Tell) -> Path:
    """Fetches a package of the host's sources into the folder, reading the lists of packages first where the host has none."""
    if not find("apt-get"):
        raise ScowError(
            f"{package} is not installed, and there is no apt-get to fetch it with: install it, or make the image with scow import"
        )
    options: list[str] = []
    if not run(["apt-cache", "policy", package]).strip():
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        options = ["-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]
        tell("reading the lists of packages")
        run(["apt-get", *options, "update"], _silent)
    tell(f"fetching {package}")
    run(["apt-get", *options, "-o", "APT::Sandbox::User=root", "download", package], _silent, cwd=folder)
    debs = sorted(folder.glob("*.deb"))
    if not debs:
        raise ScowError(f"apt-get fetched no {package}: is it in the sources of this host (/etc/apt)?")
    return debs[0]


def _silent(_line: str) -> None:
    """apt's own lines are no progress; its last ones are kept for errors."""

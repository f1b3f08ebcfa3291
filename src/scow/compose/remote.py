"""Compose files that are elsewhere: `oci://REGISTRY/NAME:TAG`, and git repositories (`https://…/x.git#REF:FOLDER`). Copies lie in
`$XDG_CACHE_HOME/scow/compose`, named by digest or commit, so what a name leads to is asked each time and what it leads to is fetched once.
Called by the session for `load/`."""

from __future__ import annotations

import os
import shutil
import tempfile

from scow.errors import ScowError

TYPE_CHECKING = False  # see fastjson
if TYPE_CHECKING:
    from collections.abc import Callable

    from scow.compose.session import Session

OCI = "oci://"
_HEX = frozenset("0123456789abcdef")


def local(session: Session, address: str) -> str:
    """The path of a compose file that is a copy of what the address leads to. Raises ScowError."""
    kind = "OCI" if address.startswith(OCI) else "GIT"
    variable = f"COMPOSE_EXPERIMENTAL_{kind}_REMOTE"
    if session.environ.get(variable, "").lower() in ("0", "f", "false"):
        raise ScowError(f"remote files are turned off by {variable}")
    return _artifact(session, address.removeprefix(OCI)) if kind == "OCI" else _repository(session, address)


def _kept(session: Session, key: str, fill: Callable[[str], None]) -> str:
    """The folder of a key, filled once: it appears whole or not at all. Raises ScowError."""
    base = session.environ.get("XDG_CACHE_HOME") or os.path.join(session.environ.get("HOME") or os.path.expanduser("~"), ".cache")
    folder = os.path.join(base, "scow", "compose", key)
    if os.path.isdir(folder):
        return folder
    try:
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        new = tempfile.mkdtemp(prefix=".new-", dir=os.path.dirname(folder))
        try:
            fill(new)
            os.rename(new, folder)
        except OSError:
            if not os.path.isdir(folder):  # else another run was faster
                raise
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as exc:
        raise ScowError(f"no copy can be kept in {os.path.dirname(folder)}: {exc.strerror}") from None
    return folder


def _artifact(session: Session, name: str) -> str:
    from scow.cli import libraries

    libraries.load()
    from scow.cli import registryclient
    from scow.compose import artifact
    from scow.reference import Reference

    reference = Reference.parse(name).tagged()
    insecure = reference.domain in session.given.list("insecure-registry")
    client = registryclient.of(session.cli, reference, insecure)
    digest, layers = artifact.pull(client, reference.digest or reference.tag)
    return os.path.join(_kept(session, digest.partition(":")[2], lambda folder: artifact.write(layers, folder)), "compose.yaml")


# ---------------------------------------------------------------- git


def _repository(session: Session, address: str) -> str:
    from scow.compose.load.files import NAMES

    base, _, fragment = address.partition("#")
    ref, _, below = fragment.partition(":")
    if base.startswith("github.com/"):
        base = f"https://{base}"
    if base.startswith("-") or ref.startswith("-"):
        raise ScowError("it is no address of a git repository")
    commit = _commit(session, base, ref or "HEAD")
    root = os.path.realpath(_kept(session, commit, lambda folder: _checkout(session, base, ref or "HEAD", commit, folder)))
    path = os.path.realpath(os.path.join(root, below.lstrip("/")))
    if path != root and not path.startswith(root + "/"):
        raise ScowError(f"{below} is not inside of the repository")
    if os.path.isdir(path):
        found = next((one for one in NAMES if os.path.isfile(os.path.join(path, one))), "")
        if not found:
            raise ScowError(f"there is no compose file in {below or 'the repository'}")
        return os.path.join(path, found)
    if not os.path.isfile(path):
        raise ScowError(f"there is no {below} in the repository")
    return path


def _git(session: Session, *words: str) -> str:
    import subprocess

    env = {"GIT_TERMINAL_PROMPT": "0", **session.environ, "GIT_PROTOCOL_FROM_USER": "0"}
    if "GIT_SSH" not in env:
        env.setdefault("GIT_SSH_COMMAND", "ssh -o ControlMaster=no -o BatchMode=yes")
    try:
        done = subprocess.run(["git", *words], stdin=subprocess.DEVNULL, capture_output=True, env=env, check=False)
    except OSError:
        raise ScowError("git is needed to read it, and is not installed") from None
    if done.returncode:
        verb = words[2] if words[0] == "-C" else words[0]
        raise ScowError(f"git {verb}: {done.stderr.decode('utf-8', 'replace').strip()[-1000:]}")
    return done.stdout.decode("utf-8", "replace")


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and _HEX.issuperset(text)


def _commit(session: Session, base: str, ref: str) -> str:
    """The commit (or tag) that a name leads to now. Raises ScowError."""
    if _is_commit(ref):
        return ref
    found = _git(session, "ls-remote", "--", base, ref).partition("\t")[0].strip()
    if not _is_commit(found):
        raise ScowError(f"the repository has no {ref}")
    return found


def _checkout(session: Session, base: str, ref: str, commit: str, folder: str) -> None:
    """Its files, without a history where the server can do that."""
    _git(session, "init", "-q", folder)
    _git(session, "-C", folder, "remote", "add", "origin", base)
    try:
        _git(session, "-C", folder, "fetch", "-q", "--depth=1", "origin", "--", commit)
    except ScowError:
        _git(session, "-C", folder, "fetch", "-q", "origin", "--", "+refs/heads/*:refs/remotes/origin/*" if _is_commit(ref) else ref)
    _git(session, "-C", folder, "checkout", "-q", "--detach", commit)

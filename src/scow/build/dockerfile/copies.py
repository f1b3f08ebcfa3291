"""COPY and ADD: sources, destination and flags as actions on a tree."""

import posixpath
import re
from dataclasses import replace
from urllib.parse import urlsplit

from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.gitrefs import is_http, parse_git
from scow.build.dockerfile.instructions import Add, Copy
from scow.build.dockerfile.state import StageState, location
from scow.build.dockerfile.tree import Inputs, Tree
from scow.build.llb import ops
from scow.build.llb.ops import EMPTY, FileAction, FileOp, MergeOp, Meta, Mkfile, Owner, SourceOp

_SYMBOLIC = re.compile(r"^[ugoa]*(?:[-+=][rwxXst]*|[-+=][ugo])+(?:,[ugoa]*(?:[-+=][rwxXst]*|[-+=][ugo])+)*$")
_DIGEST = re.compile(r"^[a-z0-9+._-]+:[0-9a-f]{32,128}$")


def owner_of(text: str, lookup: int = EMPTY) -> Owner | None:
    """`user[:group]`, numbers or names; names are looked up in the tree `lookup`."""
    if not text:
        return None
    user, _, group = text.partition(":")
    found: list[int | str | None] = []
    for part in (user, group):
        number = part.isascii() and part.isdigit()
        if number and (len(part) > 10 or int(part) > 0xFFFFFFFF):
            raise DockerfileError(f"invalid owner {text}: a number is at most 4294967295")
        found.append(None if not part else int(part) if number else part)
    return Owner(found[0], found[1], lookup, lookup)


def convert_copy(state: StageState, one: Copy | Add, source: Tree | None, escape: str, epoch: int | None) -> list[str]:
    """Add one COPY or ADD to a stage; `one` is expanded, `source` the tree that plain paths are read from. Answers the paths read from it.
    Raises DockerfileError."""
    dest = _destination(state, one)
    title = state.title(one.text, escape)
    number = state.number
    name = state.step(title)
    inputs = Inputs()
    link = one.link
    base = EMPTY if link else inputs.add(state.tree)
    names = inputs.add(state.tree) if link and re.search(r"[^0-9:]", one.chown) else EMPTY
    mode, mode_str = _mode(one.chmod)
    timestamp = EMPTY if epoch is None else epoch * 1_000_000_000
    plain = ops.Copy("", dest, owner_of(one.chown, names), mode, mode_str, create_dest_path=True, timestamp=timestamp)
    copies: list[tuple[int, ops.Copy]] = []
    read: list[str] = []
    for text in one.sources:
        tree, copy = _copy(state, one, text, plain, source, name, read)
        copies.append((inputs.add(tree), copy))
    for inline in one.inline:
        path = "/" + inline.path.lstrip("/")
        made = FileOp((FileAction(Mkfile(path, inline.data.encode(), 0o644), output=0),))
        tree = Tree(made, platform=state.platform, meta=Meta(name="[internal] preparing inline document"), location=location(one))
        copies.append((inputs.add(tree), replace(plain, src=path)))
    count = len(inputs.trees)
    actions = tuple(
        FileAction(copy, base if index == 0 else count + index - 1, secondary, 0 if index == len(copies) - 1 else EMPTY)
        for index, (secondary, copy) in enumerate(copies)
    )
    file = Tree(FileOp(actions), tuple(inputs.trees), platform=state.platform, meta=state.meta(name, one.text), location=location(one))
    if link and state.tree is not None:
        state.number = number
        merged = Meta(state.step("LINK " + title), state.ignore_cache)
        file = Tree(MergeOp((0, 1)), (state.tree, file), platform=state.platform, meta=merged, location=location(one))
    state.tree = file
    _history(state, one)
    return read


def _history(state: StageState, one: Copy | Add) -> None:
    words = [one.name]
    if isinstance(one, Copy) and one.parents:
        words.append("--parents")
    if one.chown:
        words.append(f"--chown={one.chown}")
    if one.chmod:
        words.append(f"--chmod={one.chmod}")
    words += [*one.sources, *[f"<<{inline.path}" for inline in one.inline], one.dest]
    state.image.commit(" ".join(words), layer=True, mark=True)


def _destination(state: StageState, one: Copy | Add) -> str:
    dest = one.dest
    folder = dest.endswith(("/", "/.", "/..")) or dest in (".", "..", "")
    path = posixpath.normpath(posixpath.join("/", state.cwd, dest)).replace("//", "/")
    return path.rstrip("/") + "/" if folder else path


def _mode(text: str) -> tuple[int, str]:
    if not text:
        return EMPTY, ""
    if text.isascii() and text.isdigit():
        if text.strip("01234567") or len(text) > 6 or int(text, 8) > 0o7777:
            raise DockerfileError(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777")
        return int(text, 8), ""
    if not _SYMBOLIC.match(text):
        raise DockerfileError(f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777, or as u=rw")
    return EMPTY, text


def _copy(
    state: StageState, one: Copy | Add, text: str, plain: ops.Copy, source: Tree | None, name: str, read: list[str]
) -> tuple[Tree | None, ops.Copy]:
    git = parse_git(text) if ("git" in text or "ssh://" in text) else None
    if git and not _looks_local(text):
        if not isinstance(one, Add):
            raise DockerfileError("source can't be a git ref for COPY")
        tree = Tree(git.source(bool(one.keep_git_dir), one.checksum), platform=None, meta=Meta(name=name), location=location(one))
        return tree, replace(plain, src="/", dir_copy_contents=True, exclude_patterns=one.exclude)
    if is_http(text):
        if not isinstance(one, Add):
            raise DockerfileError("source can't be a URL for COPY")
        filename = posixpath.basename(urlsplit(text).path.rstrip()) or "__unnamed__"
        attrs = {"http.filename": filename}
        if one.checksum:
            attrs["http.checksum"] = _checksum(one.checksum)
        tree = Tree(SourceOp(text, attrs), meta=Meta(name=name), location=location(one))
        return tree, replace(plain, src="/" + filename, attempt_unpack=bool(one.unpack))
    if isinstance(one, Add) and one.checksum:
        raise DockerfileError("checksum can't be specified for local sources: ADD --checksum needs a URL or a git repository")
    path, patterns = _pattern(text) if isinstance(one, Copy) and one.parents else ("/" + text, ())
    path = posixpath.normpath(path).replace("//", "/")
    read.append("/" if "**" in text else posixpath.normpath("/" + text).replace("//", "/"))
    if text.endswith("/") and path != "/" and not patterns:
        path += "/"
    return source, replace(
        plain,
        src=path,
        follow_symlink=True,
        dir_copy_contents=True,
        attempt_unpack=isinstance(one, Add) and one.unpack is not False,
        allow_wildcard=True,
        allow_empty_wildcard=True,
        include_patterns=patterns,
        exclude_patterns=one.exclude,
    )


def _looks_local(text: str) -> bool:
    """A path that happens to end like a repository: `dir/x.git` has no scheme and no user."""
    return "://" not in text and "@" not in text


def _checksum(text: str) -> str:
    if not _DIGEST.match(text):
        raise DockerfileError(f"invalid checksum digest format: {text}")
    return text


def _pattern(text: str) -> tuple[str, tuple[str, ...]]:
    """Root and include pattern of a source of `COPY --parents`; `/./` parts them."""
    parent, pivot, pattern = ("/" + text.lstrip("/")).partition("/./")
    if not pivot:
        parent, pattern = "/", text
    clean = posixpath.normpath("/" + pattern).lstrip("/")
    return parent or "/", (clean,) if clean else ()

"""The build graph to and from BuildKit's `pb.Definition`. Pure; used by the session doors only (it needs protobuf).

A definition is a list of encoded `pb.Op`; a vertex's digest is the sha256 of its bytes, the last op is a pointer at the result.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from scow.build.llb import ops
from scow.build.session.messages import PB
from scow.errors import InvalidArgument, Unsupported

_MAX_OPS = 50_000
_MAX_ITEMS = 10_000
_KINDS = (ops.MountKind.BIND, ops.MountKind.SECRET, ops.MountKind.SSH, ops.MountKind.CACHE, ops.MountKind.TMPFS)
_SHARING = (ops.Sharing.SHARED, ops.Sharing.PRIVATE, ops.Sharing.LOCKED)
_NETWORKS = (ops.Network.DEFAULT, ops.Network.HOST, ops.Network.NONE)
_NAME = "llb.customname"


def decode(message: Any) -> ops.Definition:
    """A definition from the wire. Raises InvalidArgument for one that is broken, Unsupported for ops nobody here knows."""
    if len(getattr(message, "def")) > _MAX_OPS:
        raise InvalidArgument(f"a build graph of more than {_MAX_OPS} operations")
    parsed: dict[str, Any] = {}
    last = ""
    for data in getattr(message, "def"):
        last = "sha256:" + hashlib.sha256(data).hexdigest()
        try:
            parsed[last] = PB.Op.FromString(data)
        except Exception as error:
            raise InvalidArgument("an operation of the build graph cannot be read") from error
    if not parsed:
        return ops.Definition()
    pointer = parsed[last]
    if pointer.WhichOneof("op") is not None:
        root = ops.Input(last, 0)
    else:
        del parsed[last]
        if not pointer.inputs:
            return ops.Definition()
        root = _input(pointer.inputs[0])
    vertices: dict[str, ops.Vertex] = {}
    for digest in _sorted(parsed, root.digest):
        vertices[digest] = _vertex(digest, parsed[digest], message.metadata)
    infos = tuple(ops.SourceInfo(one.filename, one.data, one.language or "Dockerfile") for one in message.Source.infos)
    places: dict[str, tuple[ops.Location, ...]] = {}
    for digest, found in message.Source.locations.items():
        if digest in vertices:
            places[digest] = tuple(location(one) for one in found.locations if 0 <= one.sourceIndex < len(infos))
    return ops.Definition(vertices, root, infos, places)


def _sorted(parsed: dict[str, Any], root: str) -> list[str]:
    """The vertices that the root needs, each behind its inputs; a digest cannot be part of a cycle, but it may be missing."""
    order: list[str] = []
    done: set[str] = set()
    stack = [(root, False)]
    while stack:
        digest, ready = stack.pop()
        if ready:
            order.append(digest)
            continue
        if digest in done:
            continue
        if digest not in parsed:
            raise InvalidArgument(f"the build graph lacks an operation: {digest[:80]}")
        done.add(digest)
        stack.append((digest, True))
        stack += [(one.digest, False) for one in reversed(parsed[digest].inputs)]
    return order


def _input(message: Any) -> ops.Input:
    return ops.Input(message.digest, message.index)


def _vertex(digest: str, op: Any, metadata: Any) -> ops.Vertex:
    kind = op.WhichOneof("op")
    inputs = tuple(_input(one) for one in op.inputs)
    count = len(inputs)
    made: ops.Op
    if kind == "source":
        made = ops.SourceOp(op.source.identifier, dict(op.source.attrs))
    elif kind == "exec":
        made = _exec(op.exec, count)
    elif kind == "file":
        made = ops.FileOp(tuple(_action(one, count + at) for at, one in enumerate(op.file.actions)))
    elif kind == "merge":
        made = ops.MergeOp(tuple(_index(one.input, count) for one in op.merge.inputs))
    elif kind == "diff":
        made = ops.DiffOp(_index(op.diff.lower.input, count), _index(op.diff.upper.input, count))
    elif kind == "build":
        made = ops.BuildOp(op.build.builder, dict(op.build.attrs), getattr(op.build, "def").SerializeToString())
    else:
        raise Unsupported("the build graph has an operation that this engine does not know: the client is newer than it")
    platform = _platform(op.platform) if op.HasField("platform") else None
    meta = _meta(metadata[digest]) if digest in metadata else ops.Meta()
    return ops.Vertex(digest, made, inputs, platform, meta, tuple(op.constraints.filter))


def _index(value: int, limit: int) -> int:
    if not -1 <= value < limit:
        raise InvalidArgument(f"an operation of the build graph names input {value} of {limit}")
    return value


def _platform(message: Any) -> ops.Platform:
    return ops.Platform(message.OS, message.Architecture, message.Variant, message.OSVersion, tuple(message.OSFeatures))


def _meta(message: Any) -> ops.Meta:
    description = dict(message.description)
    group = message.progress_group
    return ops.Meta(
        name=description.get(_NAME, ""),
        ignore_cache=message.ignore_cache,
        progress_group=ops.ProgressGroup(group.id, group.name, group.weak) if message.HasField("progress_group") else None,
        description=description,
        export_cache=message.export_cache.Value if message.HasField("export_cache") else None,
    )


def _exec(message: Any, count: int) -> ops.ExecOp:
    meta = message.meta
    if len(message.mounts) > _MAX_ITEMS:
        raise InvalidArgument("a step with too many mounts")
    proxy = meta.proxy_env
    return ops.ExecOp(
        args=tuple(meta.args),
        mounts=tuple(_mount(one, count) for one in message.mounts),
        env=tuple(meta.env),
        cwd=meta.cwd,
        user=meta.user,
        hostname=meta.hostname,
        extra_hosts=tuple(ops.HostIP(one.Host, one.IP) for one in meta.extraHosts),
        network=_choice(_NETWORKS, message.network, "network mode"),
        security=ops.Security.INSECURE if message.security else ops.Security.SANDBOX,
        proxy_env=ops.ProxyEnv(proxy.http_proxy, proxy.https_proxy, proxy.ftp_proxy, proxy.no_proxy, proxy.all_proxy)
        if meta.HasField("proxy_env")
        else None,
        ulimits=tuple(ops.Ulimit(one.Name, one.Soft, one.Hard) for one in meta.ulimit),
        cgroup_parent=meta.cgroupParent,
        secret_env=tuple(ops.SecretEnv(one.ID, one.name, one.optional) for one in message.secretenv),
        devices=tuple(ops.Device(one.name, one.optional) for one in message.cdiDevices),
        valid_exit_codes=tuple(meta.validExitCodes),
    )


def _choice(values: Sequence[Any], number: int, what: str) -> Any:
    if not 0 <= number < len(values):
        raise Unsupported(f"a {what} that this engine does not know ({number})")
    return values[number]


def _mount(message: Any, count: int) -> ops.ExecMount:
    kind = _choice(_KINDS, message.mountType, "kind of mount")
    common = {
        "dest": message.dest,
        "input": _index(message.input, count),
        "selector": message.selector,
        "output": message.output,
        "readonly": message.readonly,
        "kind": kind,
    }
    if kind is ops.MountKind.CACHE:
        return ops.ExecMount(**common, cache_id=message.cacheOpt.ID, sharing=_choice(_SHARING, message.cacheOpt.sharing, "way of sharing"))
    if kind is ops.MountKind.TMPFS:
        return ops.ExecMount(**common, size=message.TmpfsOpt.size)
    if kind in (ops.MountKind.SECRET, ops.MountKind.SSH):
        option = message.secretOpt if kind is ops.MountKind.SECRET else message.SSHOpt
        return ops.ExecMount(**common, id=option.ID, uid=option.uid, gid=option.gid, mode=option.mode & 0o7777, optional=option.optional)
    return ops.ExecMount(**common)


def _owner(message: Any) -> tuple[int | str | None, int]:
    kind = message.WhichOneof("user")
    if kind == "byID":
        return message.byID, ops.EMPTY
    if kind == "byName":
        return message.byName.name, message.byName.input
    return None, ops.EMPTY


def _chown(message: Any) -> ops.Owner | None:
    if not message.HasField("owner"):
        return None
    user, user_lookup = _owner(message.owner.user)
    group, group_lookup = _owner(message.owner.group)
    return ops.Owner(user, group, user_lookup, group_lookup)


def _action(message: Any, limit: int) -> ops.FileAction:
    kind = message.WhichOneof("action")
    action: ops.Action
    if kind == "copy":
        one = message.copy
        action = ops.Copy(
            src=one.src,
            dest=one.dest,
            owner=_chown(one),
            mode=one.mode,
            mode_str=one.modeStr,
            follow_symlink=one.followSymlink,
            dir_copy_contents=one.dirCopyContents,
            attempt_unpack=one.attemptUnpackDockerCompatibility,
            create_dest_path=one.createDestPath,
            allow_wildcard=one.allowWildcard,
            allow_empty_wildcard=one.allowEmptyWildcard,
            timestamp=one.timestamp,
            include_patterns=tuple(one.include_patterns),
            exclude_patterns=tuple(one.exclude_patterns),
            always_replace=one.alwaysReplaceExistingDestPaths,
            required_paths=tuple(one.required_paths),
        )
    elif kind == "mkfile":
        action = ops.Mkfile(message.mkfile.path, message.mkfile.data, message.mkfile.mode, _chown(message.mkfile), message.mkfile.timestamp)
    elif kind == "mkdir":
        one = message.mkdir
        action = ops.Mkdir(one.path, one.mode, one.makeParents, _chown(one), one.timestamp)
    elif kind == "rm":
        action = ops.Rm(message.rm.path, message.rm.allowNotFound, message.rm.allowWildcard)
    elif kind == "symlink":
        one = message.symlink
        action = ops.Symlink(one.oldpath, one.newpath, _chown(one), one.timestamp)
    else:
        raise Unsupported("the build graph has a file operation that this engine does not know: the client is newer than it")
    return ops.FileAction(action, _index(message.input, limit), _index(message.secondaryInput, limit), message.output)


def location(message: Any) -> ops.Location:
    """A place in a source."""
    ranges = tuple(ops.Range(one.start.line, one.end.line, one.start.character, one.end.character) for one in message.ranges[:_MAX_ITEMS])
    return ops.Location(message.sourceIndex, ranges)


# ---- to the wire ---------------------------------------------------------------------------------------------------------------


def ranges(place: ops.Location) -> list[Any]:
    """The pb.Range of a location."""
    return [
        PB.Range(
            start=PB.Position(line=one.start, character=one.start_character), end=PB.Position(line=one.end, character=one.end_character)
        )
        for one in place.ranges
    ]


def info(source: ops.SourceInfo) -> Any:
    """The pb.SourceInfo of a source."""
    return PB.SourceInfo(filename=source.filename, data=source.data, language=source.language)


def encode(definition: ops.Definition) -> Any:
    """A definition for the wire. Digests are those of the bytes: vertices made here get another one than they have in the engine."""
    made = PB.Definition()
    if definition.root is None:
        return made
    known: dict[str, str] = {}
    for vertex in definition.upward():
        op = _encode_op(vertex, known)
        data = op.SerializeToString(deterministic=True)
        known[vertex.digest] = digest = "sha256:" + hashlib.sha256(data).hexdigest()
        getattr(made, "def").append(data)
        meta = made.metadata[digest]
        for key, value in vertex.meta.description.items():
            meta.description[key] = value
        if vertex.meta.name:
            meta.description[_NAME] = vertex.meta.name
        meta.ignore_cache = vertex.meta.ignore_cache
        if vertex.meta.progress_group is not None:
            group = vertex.meta.progress_group
            meta.progress_group.CopyFrom(PB.ProgressGroup(id=group.id, name=group.name, weak=group.weak))
        for place in definition.locations.get(vertex.digest, ()):
            made.Source.locations[digest].locations.add(sourceIndex=place.source, ranges=ranges(place))
    root = PB.Op(inputs=[PB.Input(digest=known[definition.root.digest], index=definition.root.index)])
    data = root.SerializeToString()
    getattr(made, "def").append(data)
    made.metadata["sha256:" + hashlib.sha256(data).hexdigest()].SetInParent()
    made.Source.infos.extend(info(one) for one in definition.infos)
    return made


def _encode_op(vertex: ops.Vertex, known: dict[str, str]) -> Any:
    made = PB.Op(inputs=[PB.Input(digest=known[one.digest], index=one.index) for one in vertex.inputs])
    if vertex.platform is not None:
        one = vertex.platform
        made.platform.CopyFrom(
            PB.Platform(OS=one.os, Architecture=one.architecture, Variant=one.variant, OSVersion=one.os_version, OSFeatures=one.os_features)
        )
    if vertex.constraints:
        made.constraints.filter.extend(vertex.constraints)
    op = vertex.op
    if isinstance(op, ops.SourceOp):
        made.source.CopyFrom(PB.SourceOp(identifier=op.identifier, attrs=dict(op.attrs)))
    elif isinstance(op, ops.ExecOp):
        made.exec.CopyFrom(_encode_exec(op))
    elif isinstance(op, ops.FileOp):
        made.file.SetInParent()
        made.file.actions.extend(_encode_action(one) for one in op.actions)
    elif isinstance(op, ops.MergeOp):
        made.merge.CopyFrom(PB.MergeOp(inputs=[PB.MergeInput(input=one) for one in op.inputs]))
    elif isinstance(op, ops.DiffOp):
        made.diff.CopyFrom(PB.DiffOp(lower=PB.LowerDiffInput(input=op.lower), upper=PB.UpperDiffInput(input=op.upper)))
    else:
        made.build.CopyFrom(PB.BuildOp(builder=op.builder, attrs=dict(op.attrs)))
    return made


def _encode_exec(op: ops.ExecOp) -> Any:
    meta = PB.Meta(args=op.args, env=op.env, cwd=op.cwd, user=op.user, hostname=op.hostname, cgroupParent=op.cgroup_parent)
    meta.extraHosts.extend(PB.HostIP(Host=one.host, IP=one.ip) for one in op.extra_hosts)
    meta.ulimit.extend(PB.Ulimit(Name=one.name, Soft=one.soft, Hard=one.hard) for one in op.ulimits)
    meta.validExitCodes.extend(op.valid_exit_codes)
    if op.proxy_env is not None:
        one = op.proxy_env
        meta.proxy_env.CopyFrom(
            PB.ProxyEnv(
                http_proxy=one.http_proxy,
                https_proxy=one.https_proxy,
                ftp_proxy=one.ftp_proxy,
                no_proxy=one.no_proxy,
                all_proxy=one.all_proxy,
            )
        )
    made = PB.ExecOp(meta=meta, network=_NETWORKS.index(op.network), security=int(op.security is ops.Security.INSECURE))
    made.secretenv.extend(PB.SecretEnv(ID=secret.id, name=secret.name, optional=secret.optional) for secret in op.secret_env)
    made.cdiDevices.extend(PB.CDIDevice(name=one.name, optional=one.optional) for one in op.devices)
    for mount in op.mounts:
        out = made.mounts.add(
            input=mount.input,
            selector=mount.selector,
            dest=mount.dest,
            output=mount.output,
            readonly=mount.readonly,
            mountType=_KINDS.index(mount.kind),
        )
        if mount.kind is ops.MountKind.CACHE:
            out.cacheOpt.CopyFrom(PB.CacheOpt(ID=mount.cache_id, sharing=_SHARING.index(mount.sharing)))
        elif mount.kind is ops.MountKind.TMPFS:
            out.TmpfsOpt.CopyFrom(PB.TmpfsOpt(size=mount.size))
        elif mount.kind is ops.MountKind.SECRET:
            out.secretOpt.CopyFrom(PB.SecretOpt(ID=mount.id, uid=mount.uid, gid=mount.gid, mode=mount.mode, optional=mount.optional))
        elif mount.kind is ops.MountKind.SSH:
            out.SSHOpt.CopyFrom(PB.SSHOpt(ID=mount.id, uid=mount.uid, gid=mount.gid, mode=mount.mode, optional=mount.optional))
    return made


def _encode_user(value: int | str | None, lookup: int) -> Any:
    if value is None:
        return None
    if isinstance(value, int):
        return PB.UserOpt(byID=value)
    return PB.UserOpt(byName=PB.NamedUserOpt(name=value, input=lookup))


def _encode_owner(owner: ops.Owner | None) -> Any:
    if owner is None:
        return None
    return PB.ChownOpt(user=_encode_user(owner.user, owner.user_lookup), group=_encode_user(owner.group, owner.group_lookup))


def _encode_action(one: ops.FileAction) -> Any:
    made = PB.FileAction(input=one.input, secondaryInput=one.secondary, output=one.output)
    action = one.action
    if isinstance(action, ops.Copy):
        made.copy.CopyFrom(
            PB.FileActionCopy(
                src=action.src,
                dest=action.dest,
                owner=_encode_owner(action.owner),
                mode=action.mode,
                modeStr=action.mode_str,
                followSymlink=action.follow_symlink,
                dirCopyContents=action.dir_copy_contents,
                attemptUnpackDockerCompatibility=action.attempt_unpack,
                createDestPath=action.create_dest_path,
                allowWildcard=action.allow_wildcard,
                allowEmptyWildcard=action.allow_empty_wildcard,
                timestamp=action.timestamp,
                include_patterns=action.include_patterns,
                exclude_patterns=action.exclude_patterns,
                alwaysReplaceExistingDestPaths=action.always_replace,
                required_paths=action.required_paths,
            )
        )
        return made
    if isinstance(action, ops.Rm):
        made.rm.CopyFrom(PB.FileActionRm(path=action.path, allowNotFound=action.allow_not_found, allowWildcard=action.allow_wildcard))
        return made
    owner, at = _encode_owner(action.owner), action.timestamp
    if isinstance(action, ops.Mkfile):
        made.mkfile.CopyFrom(PB.FileActionMkFile(path=action.path, data=action.data, mode=action.mode, owner=owner, timestamp=at))
    elif isinstance(action, ops.Mkdir):
        made.mkdir.CopyFrom(
            PB.FileActionMkDir(path=action.path, mode=action.mode, makeParents=action.make_parents, owner=owner, timestamp=at)
        )
    else:
        made.symlink.CopyFrom(PB.FileActionSymlink(oldpath=action.old_path, newpath=action.new_path, owner=owner, timestamp=at))
    return made

"""RUN: its command line, its mounts, and the step that they become."""

import posixpath

from scow.build.dockerfile import lexer
from scow.build.dockerfile.errors import DockerfileError
from scow.build.dockerfile.instructions import Run
from scow.build.dockerfile.instructions.mount import Mount
from scow.build.dockerfile.instructions.run import NETWORKS, SECURITY
from scow.build.dockerfile.options import Options, Source
from scow.build.dockerfile.scope import build_env
from scow.build.dockerfile.state import StageState, location
from scow.build.dockerfile.tree import Inputs, Tree
from scow.build.llb.ops import (
    EMPTY,
    Device,
    ExecMount,
    ExecOp,
    FileAction,
    FileOp,
    Meta,
    Mkdir,
    Mkfile,
    MountKind,
    Network,
    Owner,
    ProxyEnv,
    SecretEnv,
    Security,
    Sharing,
)

PIPES = "/dev/pipes/"


def convert_run(
    state: StageState, run: Run, sources: tuple[StageState | None, ...], context: Source, options: Options, escape: str
) -> None:
    """Add one step to a stage. `run` is expanded. Raises DockerfileError."""
    state.paths.add("/")
    inputs = Inputs()
    root = ExecMount("/", input=inputs.add(state.tree), output=0)
    args, script, summary = _command(state, run)
    if not args or not args[-1]:
        raise DockerfileError("RUN requires at least one argument")
    mounts = [root]
    if script is not None:
        mounts.append(ExecMount(PIPES, input=inputs.add(script), readonly=True))
    secret_env: list[SecretEnv] = []
    ssh = 0
    for mount, source in zip(run.mounts, sources, strict=True):
        if mount.type == "secret":
            _secret(mount, mounts, secret_env)
        elif mount.type == "ssh":
            mounts.append(_ssh(mount, ssh))
            ssh += 1
        else:
            mounts.append(_mount(state, mount, source, context, inputs, options))
    if run.network not in NETWORKS or run.security not in SECURITY:
        raise DockerfileError(f'network "{run.network}" or security "{run.security}" is not valid')
    env = [f"{key}={value}" for key, value in state.env.items()]
    title = state.title(run.text + summary, escape, raw_quotes=True)
    op = ExecOp(
        args=tuple(args),
        mounts=tuple(mounts),
        env=tuple(env),
        cwd=state.cwd,
        user=str(state.image.config.get("User") or ""),
        hostname=options.hostname,
        extra_hosts=options.extra_hosts,
        network=options.network if run.network == "default" else Network(run.network),
        security=Security(run.security),
        proxy_env=proxy_env(options),
        ulimits=options.ulimits,
        cgroup_parent=options.cgroup_parent,
        secret_env=tuple(secret_env),
        devices=tuple(_device(text) for text in run.devices),
        shm_size=options.shm_size,
    )
    state.tree = Tree(
        op, tuple(inputs.trees), platform=state.platform, meta=state.meta(state.step(title), run.text), location=location(run)
    )
    given = build_env(state.args, state.env)
    shown = [*([f"|{len(given)}", *given] if given else []), *args]
    state.image.commit("RUN " + " ".join(shown), layer=True, mark=True)


def _device(text: str) -> Device:
    """`name[,required]`, or `name=…,required=true`. Raises DockerfileError."""
    name, required = "", False
    for number, part in enumerate(text.split(",")):
        key, has, value = part.partition("=")
        if key == "required":
            if value.lower() not in ("", "1", "t", "true", "0", "f", "false"):
                raise DockerfileError(f"invalid value for required: {value[:50]}")
            required = value.lower() in ("", "1", "t", "true")
        elif key == "name" and has:
            name = value
        elif number == 0:
            name = part
        else:
            raise DockerfileError(f"unexpected key '{key[:50]}' in '{part[:100]}'")
    if not name:
        raise DockerfileError("invalid device: a name is needed (--device=vendor.com/class=name)")
    return Device(name, optional=not required)


def _command(state: StageState, run: Run) -> tuple[list[str], Tree | None, str]:
    """The words to run; the tree that holds a script with a `#!` line; what is added to the step's name."""
    documents = run.command.heredocs
    args = run.command.args
    if not documents or not args:
        return (state.image.in_shell(args) if run.command.shell else list(args)), None, ""
    first = documents[0]
    if lexer.heredoc(args[0]) is None:
        text = args[0] + "".join(f"\n{one.content}{one.name}" for one in documents)
        return state.image.in_shell((text,)), None, ""
    lines = first.data.strip().replace("\r\n", "\n").split("\n")
    summary = f" ({lines[0]}{'...' if len(lines) > 1 else ''})"
    if not first.data.startswith("#!"):
        return state.image.in_shell((first.data,)), None, summary
    name = "/" + first.name.lstrip("/")
    file = FileOp((FileAction(Mkfile(name, first.data.encode(), 0o755), output=0),))
    script = Tree(file, platform=state.platform, meta=Meta(name="[internal] preparing inline document"), location=location(run))
    return [posixpath.join(PIPES, first.name)], script, summary


def _target(state: StageState, mount: Mount) -> str:
    target = mount.target if mount.target.startswith("/") else posixpath.join(state.cwd, mount.target)
    target = posixpath.normpath(target)
    if target in ("/", "//") or not mount.target:
        raise DockerfileError(f'invalid mount target "{mount.target}"')
    return target


def _inside(path: str) -> str:
    """A path of a source as one from its root; `..` cannot leave it."""
    return posixpath.normpath("/" + path).replace("//", "/")


def _mount(state: StageState, mount: Mount, source: StageState | None, context: Source, inputs: Inputs, options: Options) -> ExecMount:
    target = _target(state, mount)
    if mount.type == "tmpfs":
        return ExecMount(target, kind=MountKind.TMPFS, size=mount.size)
    selector = _inside(mount.source)
    tree: Tree | None
    if source is not None:
        if not source.done:
            reason = f'cannot mount from stage "{mount.from_}" to "{mount.target}", stage needs to be defined before current command'
            raise DockerfileError(reason)
        tree = source.tree
        source.paths.add(selector)
    elif mount.type == "cache" or mount.from_ == "scratch":
        tree = None
    else:
        tree = context.tree
        context.paths.add(selector)
    if mount.type == "cache":
        return _cache(state, mount, target, selector, tree, inputs, options)
    return ExecMount(target, input=inputs.add(tree), selector="" if selector == "/" else selector, readonly=mount.readonly)


def _cache(state: StageState, mount: Mount, target: str, selector: str, tree: Tree | None, inputs: Inputs, options: Options) -> ExecMount:
    if selector == "/" and (mount.uid, mount.gid, mount.mode) != (None, None, None):
        owner = Owner(mount.uid or 0, mount.gid or 0)
        made = Mkdir("/cache", 0o755 if mount.mode is None else mount.mode, owner=owner)
        tree = Tree(
            FileOp((FileAction(made, input=EMPTY if tree is None else 0, output=0),)),
            () if tree is None else (tree,),
            platform=state.platform,
            meta=Meta(name="[internal] settings cache mount permissions"),
        )
        selector = "/cache"
    name = mount.id or posixpath.normpath(mount.target)
    return ExecMount(
        target,
        input=inputs.add(tree),
        selector="" if selector == "/" else selector,
        readonly=mount.readonly,
        kind=MountKind.CACHE,
        cache_id=f"{options.cache_namespace}/{name}",
        sharing=Sharing(mount.sharing or "shared"),
    )


def _secret(mount: Mount, mounts: list[ExecMount], env: list[SecretEnv]) -> None:
    name = mount.source or mount.id or posixpath.basename(mount.target)
    if mount.env:
        env.append(SecretEnv(name, mount.env, not mount.required))
        if not mount.target:
            return
    target = mount.target or "/run/secrets/" + posixpath.basename(name)
    mounts.append(
        ExecMount(
            target if target.startswith("/") else "/run/secrets/" + target,
            kind=MountKind.SECRET,
            id=name,
            uid=mount.uid or 0,
            gid=mount.gid or 0,
            mode=0o400 if mount.mode is None else mount.mode,
            optional=not mount.required,
        )
    )


def _ssh(mount: Mount, number: int) -> ExecMount:
    return ExecMount(
        mount.target or f"/run/buildkit/ssh_agent.{number}",
        kind=MountKind.SSH,
        id=mount.id or mount.source or "default",
        uid=mount.uid or 0,
        gid=mount.gid or 0,
        mode=0o600 if mount.mode is None else mount.mode,
        optional=not mount.required,
    )


def proxy_env(options: Options) -> ProxyEnv | None:
    """The proxy variables among the build arguments, by any case of their names."""
    found: dict[str, str] = {}
    for key in sorted(options.build_args):
        name = key.lower()
        if name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"):
            found[name] = options.build_args[key]
    if not found:
        return None
    return ProxyEnv(
        found.get("http_proxy", ""),
        found.get("https_proxy", ""),
        found.get("ftp_proxy", ""),
        found.get("no_proxy", ""),
        found.get("all_proxy", ""),
    )

from typing import Any

import pytest

from scow.build.llb import ops, wire
from scow.build.session.messages import PB
from scow.errors import InvalidArgument, Unsupported


def sample() -> ops.Definition:
    build = ops.Builder()
    amd64 = ops.Platform()
    image = build.add(ops.SourceOp("docker-image://docker.io/library/busybox:latest", {"image.recordtype": "x"}), platform=amd64)
    local = build.add(ops.SourceOp("local://context", {"local.followpaths": '["a"]'}))
    mounts = (
        ops.ExecMount("/", 0, output=0),
        ops.ExecMount("/c", kind=ops.MountKind.CACHE, cache_id="x", sharing=ops.Sharing.LOCKED),
        ops.ExecMount("/t", kind=ops.MountKind.TMPFS, size=77),
        ops.ExecMount("/run/secrets/s", kind=ops.MountKind.SECRET, id="s", uid=1, gid=2, mode=0o440, optional=True),
        ops.ExecMount("/run/a", kind=ops.MountKind.SSH, id="default", mode=0o600),
        ops.ExecMount("/b", 1, "/sub", readonly=True),
    )
    step = ops.ExecOp(
        args=("sh", "-c", "x"),
        mounts=mounts,
        env=("A=1",),
        cwd="/w",
        user="u",
        hostname="h",
        extra_hosts=(ops.HostIP("a", "1.2.3.4"),),
        network=ops.Network.NONE,
        security=ops.Security.INSECURE,
        proxy_env=ops.ProxyEnv(http_proxy="p"),
        ulimits=(ops.Ulimit("nofile", 1, 2),),
        cgroup_parent="cg",
        secret_env=(ops.SecretEnv("s", "S"),),
        valid_exit_codes=(0, 3),
    )
    meta = ops.Meta("[1/2] RUN x", True, ops.ProgressGroup("g", "group", True), {"k": "v", "llb.customname": "[1/2] RUN x"})
    ran = build.add(step, (ops.Input(image), ops.Input(local)), amd64, meta, ops.Location(0, (ops.Range(2, 3, 0, 4),)))
    owner = ops.Owner("user", 7, 0, ops.EMPTY)
    files = ops.FileOp(
        (
            ops.FileAction(
                ops.Copy("/a", "/b/", owner, 0o755, "u=rwX", True, True, True, True, True, True, 5, ("i",), ("e",), True, ("r",)), 0, 1
            ),
            ops.FileAction(ops.Mkdir("/d", 0o700, True, owner, 6), 2),
            ops.FileAction(ops.Mkfile("/f", b"data", 0o600, None, 7), 3),
            ops.FileAction(ops.Rm("/r", True, True), 4),
            ops.FileAction(ops.Symlink("/o", "/n", owner, 8), 5, output=0),
        )
    )
    copied = build.add(files, (ops.Input(ran), ops.Input(local)))
    merged = build.add(ops.MergeOp((0, 1)), (ops.Input(copied), ops.Input(ran)))
    diff = build.add(ops.DiffOp(ops.EMPTY, 0), (ops.Input(merged),))
    return build.definition(ops.Input(diff), (ops.SourceInfo("Dockerfile", b"FROM busybox\n"),))


def test_there_and_back_again() -> None:
    first = sample()
    wired = wire.decode(PB.Definition.FromString(wire.encode(first).SerializeToString()))
    assert [vertex.op for vertex in wired.vertices.values()] == [vertex.op for vertex in first.upward()]
    assert [vertex.meta.name for vertex in wired.vertices.values()] == [vertex.meta.name for vertex in first.upward()]
    step = next(vertex for vertex in wired.vertices.values() if isinstance(vertex.op, ops.ExecOp))
    assert (
        step.meta.ignore_cache and step.meta.progress_group == ops.ProgressGroup("g", "group", True) and step.meta.description["k"] == "v"
    )
    assert wired.locations[step.digest] == (ops.Location(0, (ops.Range(2, 3, 0, 4),)),) and wired.infos == first.infos
    again = wire.decode(wire.encode(wired))
    assert again == wired


def broken(change: Any) -> Any:
    made = wire.encode(sample())
    change(made)
    return made


def lost(made: Any) -> None:
    del getattr(made, "def")[0]


def garbage(made: Any) -> None:
    getattr(made, "def")[0] = b"\xff\xff"


@pytest.mark.parametrize("change", [lost, garbage])
def test_broken_graphs_are_refused(change: Any) -> None:
    with pytest.raises(InvalidArgument):
        wire.decode(broken(change))


@pytest.mark.parametrize(
    "op", [PB.Op(exec=PB.ExecOp(mounts=[PB.Mount(input=3)])), PB.Op(merge=PB.MergeOp(inputs=[PB.MergeInput(input=1)]))]
)
def test_inputs_that_are_not_there_are_refused(op: Any) -> None:
    with pytest.raises(InvalidArgument, match="input"):
        wire.decode(PB.Definition(**{"def": [op.SerializeToString()]}))


def test_what_is_newer_than_this_engine_says_so() -> None:
    with pytest.raises(Unsupported, match="mount"):
        wire.decode(PB.Definition(**{"def": [PB.Op(exec=PB.ExecOp(mounts=[PB.Mount(input=-1, mountType=99)])).SerializeToString()]}))


def test_nothing_at_all_is_an_empty_tree() -> None:
    assert wire.decode(PB.Definition()) == ops.Definition() == wire.decode(PB.Definition(**{"def": [PB.Op().SerializeToString()]}))
    assert wire.encode(ops.Definition()) == PB.Definition()

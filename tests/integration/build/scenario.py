"""The scenario behind test_ops.py: graphs that run on a real kernel. Prints a JSON object of what it saw; runs as root in namespaces
of its own."""

import asyncio
import contextlib
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from scow.archive.workers import Workers
from scow.build import recovery
from scow.build.cachemounts import CacheMounts
from scow.build.executor import Defaults, Executor
from scow.build.exporters import chain
from scow.build.llb.ops import (
    Builder,
    Copy,
    Definition,
    DiffOp,
    ExecMount,
    ExecOp,
    FileAction,
    FileOp,
    HostIP,
    Input,
    MergeOp,
    Meta,
    Mkdir,
    Mkfile,
    MountKind,
    Network,
    Security,
    Sharing,
    SourceOp,
    Symlink,
)
from scow.build.ops.kit import Kit
from scow.build.ops.resolve import resolve
from scow.build.refs import Refs
from scow.build.solver.cachestore import CacheStore
from scow.build.solver.scheduler import Solver
from scow.build.solver.types import BuildError, Options, VertexLog
from scow.build.usage import Prune, Usage
from scow.errors import NotFound
from scow.events import EventBus
from scow.images.service import ImageService
from scow.metadata import Database, References
from scow.network.options import NetworkOptions
from scow.network.service import NetworkService
from scow.runtime.task import Runtime, TaskManager
from tests.support.engine import busybox_tar

BASE = Path(sys.argv[1])
SEEN: dict[str, Any] = {}


class Client:
    """A client whose context is a directory here."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.syncs = 0

    async def shared_key(self, session: str) -> str:
        return "node:" + str(self.tree)

    async def sync(self, session, request, tree, progress) -> bool:
        self.syncs += 1
        before = {path.name: path.read_bytes() for path in tree.iterdir()}
        now = {path.name: path.read_bytes() for path in self.tree.iterdir()}
        for name, data in now.items():
            if before.get(name) != data:
                (tree / name).unlink(missing_ok=True)
                (tree / name).write_bytes(data)
        for name in set(before) - set(now):
            (tree / name).unlink()
        return before != now

    async def secret(self, session, id) -> bytes:
        if id != "token":
            raise NotFound(f"secret {id}: not found")
        return b"hush"

    @contextlib.asynccontextmanager
    async def ssh(self, session, id):
        raise NotFound("no agent")
        yield

    async def credentials(self, session, registry) -> str:
        return ""


class World:
    def __init__(self) -> None:
        data, run = BASE / "data", BASE / "run"
        for place in (data, run / "bundles", run / "netns", data / "build" / "scratch"):
            place.mkdir(parents=True, exist_ok=True)
        self.db = Database(data / "meta.db")
        self.bus = EventBus()
        self.images = ImageService(data, self.db, References(self.db), self.bus, Workers())
        self.network = NetworkService(self.db, self.bus, run / "netns", NetworkOptions(bridge="scow0"))
        self.tasks = TaskManager(run, {"crun": Runtime("/usr/bin/crun")}, "crun")
        self.refs = Refs(data / "build", run / "build", self.db, self.images)
        self.client = Client(BASE / "context")
        self.client.tree.mkdir(exist_ok=True)
        self.run = run

    async def open(self) -> None:
        await self.tasks.open()
        self.refs.pin()
        await self.images.recover(set())
        await recovery.recover(self.refs)
        await self.tasks.recover()
        await self.network.recover({})
        self.executor = Executor(self.run, self.tasks, self.network, Defaults())
        self.kit = Kit(self.refs, self.images, self.executor, CacheMounts(self.refs), self.db, BASE / "data/build/scratch", self.client)
        self.cache = CacheStore(self.db, self.refs.find)
        self.refs.on_remove = self.cache.removed
        self.solver = Solver(self.cache, partial(resolve, self.kit), self.kit.content, self.refs.hold, self.refs.release)

    async def close(self) -> None:
        await self.solver.close()
        await self.executor.close()
        await self.refs.close()
        await self.tasks.close(end_keeper=True)
        await self.network.close()
        await self.images.close()
        self.db.close()

    async def build(self, definition: Definition, look: str = "", **options: Any) -> dict[str, Any]:
        job = self.solver.job(os.urandom(8).hex(), Options(session="s", **options))
        try:
            tree = await job.build(definition)
            job.settle()
            found: dict[str, Any] = {"tree": tree}
            if look:
                async with self.refs.view(tree) as path:
                    place = path / look
                    found["text"] = place.read_text() if place.is_file() else None
                    found["names"] = sorted(os.listdir(path))
                    found["root"] = [
                        str(one.relative_to(path)) for one in path.rglob("*") if one.parts[len(path.parts)] not in ("bin", "usr")
                    ]
        except BuildError as error:
            found = {"error": str(error), "code": error.exit_code, "output": error.output.decode(), "name": error.name}
        finally:
            await job.close()
        found["log"] = b"".join(event.data for event in job.progress.events() if isinstance(event, VertexLog)).decode()
        found["cached"] = sorted(one.name for one in job.progress.vertices.values() if one.cached)
        found["ran"] = sorted(one.name for one in job.progress.vertices.values() if not one.cached)
        return found


class Graph:
    """Short words for graphs."""

    def __init__(self) -> None:
        self.builder = Builder()

    def image(self, name: str = "busybox") -> Input:
        return Input(self.builder.add(SourceOp(f"docker-image://{name}"), meta=Meta("image")))

    def local(self, name: str = "context") -> Input:
        return Input(self.builder.add(SourceOp(f"local://{name}", {"local.session": os.urandom(4).hex()}), meta=Meta("local")))

    def run(self, base: Input, command: str, *mounts: ExecMount, inputs: tuple[Input, ...] = (), name: str = "", **more: Any) -> Input:
        root = ExecMount("/", 0, output=0)
        env = ("PATH=/bin:/usr/bin",)
        op = ExecOp(("/bin/sh", "-c", command), (root, *mounts), env, **more)
        return Input(self.builder.add(op, (base, *inputs), meta=Meta(name or command)))

    def copy(self, base: Input | None, source: Input, src: str, dest: str, **more: Any) -> Input:
        style = {"follow_symlink": True, "dir_copy_contents": True, "create_dest_path": True, "allow_wildcard": True}
        inputs = (base, source) if base else (source,)
        action = FileAction(Copy(src, dest, **{**style, **more}), 0 if base else -1, len(inputs) - 1, 0)
        return Input(self.builder.add(FileOp((action,)), inputs, meta=Meta(f"copy {src}")))

    def files(self, base: Input | None, *actions: Any) -> Input:
        count = 1 if base else 0
        rows = [
            FileAction(action, (0 if base else -1) if not number else count + number - 1, -1, 0 if number == len(actions) - 1 else -1)
            for number, action in enumerate(actions)
        ]
        return Input(self.builder.add(FileOp(tuple(rows)), (base,) if base else (), meta=Meta("files")))

    def op(self, op: Any, *inputs: Input) -> Input:
        return Input(self.builder.add(op, inputs, meta=Meta(type(op).__name__)))

    def end(self, root: Input) -> Definition:
        return self.builder.definition(root)


async def chunks(data: bytes):
    yield data


async def main() -> None:
    world = World()
    await world.open()
    try:
        async for _ in world.images.import_(chunks(busybox_tar()), "busybox"):
            pass
        for name, case in CASES.items():
            SEEN[name] = await case(world)
        SEEN["leftovers"] = await leftovers(world)
    finally:
        await world.close()
    SEEN["left mounts"] = [
        line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(BASE) in line.split()[4]
    ]


async def steps(world: World) -> Any:
    """Copies from the context and runs, then the same again, then with another file."""
    (world.client.tree / "f").write_text("one")
    (world.client.tree / "ignored").write_text("x")

    def graph() -> Definition:
        g = Graph()
        made = g.copy(g.image(), g.local(), "f", "/f")
        made = g.run(made, "cat /f >/out; id -u >>/out; echo told; echo wrong >&2")
        return g.end(made)

    found = [await world.build(graph(), "out") for _ in range(2)]
    (world.client.tree / "ignored").write_text("other")
    found.append(await world.build(graph(), "out"))
    (world.client.tree / "f").write_text("two")
    found.append(await world.build(graph(), "out"))
    return [{key: one.get(key) for key in ("text", "log", "cached", "ran", "error")} for one in found]


async def failing(world: World) -> Any:
    g = Graph()
    one = await world.build(g.end(g.run(g.image(), "echo before; exit 7")))
    g = Graph()
    base = g.image()
    op = ExecOp(("/nothing",), (ExecMount("/", 0, output=0),))
    two = await world.build(g.end(Input(g.builder.add(op, (base,), meta=Meta("nothing")))))
    return [one, two]


async def layer(world: World) -> Any:
    """What a step leaves: nothing of mounts and of the engine's own files."""
    g = Graph()
    mounts = (
        ExecMount("/mnt/deep/cache", kind=MountKind.CACHE, cache_id="c"),
        ExecMount("/run/secrets/token", kind=MountKind.SECRET, id="token"),
        ExecMount("/scratch", kind=MountKind.TMPFS),
        ExecMount("/ctx", input=1, readonly=True),
    )
    command = "cat /run/secrets/token >/seen; cat /etc/hosts /etc/resolv.conf >/dev/null; ls /ctx >>/seen; echo kept >>/mnt/deep/cache/k"
    made = await world.build(g.end(g.run(g.image(), command, *mounts, inputs=(g.local(),))), "seen")
    tree = made["tree"]
    layers, beside = await asyncio.gather(*(chain.layers(world.refs, tree) for _ in range(2)))  # two builds export it at once
    own = world.refs.snapshots.path(layers[-1].name)
    top = sorted(str(path.relative_to(own)) for path in own.rglob("*"))
    again = await chain.layers(world.refs, tree)
    g = Graph()
    second = await world.build(g.end(g.run(g.image(), "cat /c/k", ExecMount("/c", kind=MountKind.CACHE, cache_id="c"), name="second")))
    return {
        "text": made.get("text"),
        "error": made.get("error"),
        "layer": top,
        "same": layers == again == beside,
        "count": len(layers),
        "second": second["log"],
    }


async def mounts(world: World) -> Any:
    """Binds that are written to keep nothing, unless they are an output; a place that the step replaces by a link harms nobody."""
    g = Graph()
    data = g.files(None, Mkdir("/d", 0o755), Mkfile("/d/f", b"data"))
    thrown = ExecMount("/b", input=1)
    command = "echo changed >/b/d/f; cat /b/d/f; mkdir -p /stub; true"
    one = await world.build(g.end(g.run(g.image(), command, thrown, inputs=(data,))), "b")
    g = Graph()
    data = g.files(None, Mkdir("/d", 0o755), Mkfile("/d/f", b"data"))
    two = await world.build(g.end(g.run(g.image(), "cat /b/d/f", ExecMount("/b", input=1, readonly=True), inputs=(data,))))
    g = Graph()
    data = g.files(None, Mkfile("/f", b"data"))
    kept = ExecOp(("/bin/sh", "-c", "echo more >>/b/f"), (ExecMount("/", 0), ExecMount("/b", 1, output=0)), ("PATH=/bin",))
    three = await world.build(g.end(Input(g.builder.add(kept, (g.image(), data), meta=Meta("kept")))), "f")
    g = Graph()
    secret = ExecMount("/escape/secret", kind=MountKind.SECRET, id="token")
    four = await world.build(g.end(g.run(g.image(), "ls /escape; echo ok", secret)), "escape")
    return [{"text": x.get("text"), "log": x["log"], "error": x.get("error"), "names": x.get("names")} for x in (one, two, three, four)]


async def networks(world: World) -> Any:
    g = Graph()
    hosts = (HostIP("elsewhere", "10.9.8.7"),)
    one = await world.build(
        g.end(g.run(g.image(), "ip -o link | wc -l; grep elsewhere /etc/hosts; hostname", extra_hosts=hosts, hostname="me"))
    )
    g = Graph()
    two = await world.build(g.end(g.run(g.image(), "ip -o link | wc -l", network=Network.NONE)))
    g = Graph()
    host = g.end(g.run(g.image(), "hostname", network=Network.HOST))
    three = await world.build(host)
    four = await world.build(host, entitlements=frozenset({"network.host"}))
    g = Graph()
    five = await world.build(g.end(g.run(g.image(), "true", security=Security.INSECURE)), entitlements=frozenset({"security.insecure"}))
    return [one["log"], two["log"], three.get("error"), four.get("error"), five.get("error")]


async def sharing(world: World) -> Any:
    """Ten steps at once on one cache: locked ones never meet."""
    g = Graph()
    base = g.image()
    command = "mkdir /c/lock && sleep 0.05 && rmdir /c/lock && echo x >>/c/count && wc -l </c/count"
    runs = [g.run(base, f"{command} # {n}", ExecMount("/c", kind=MountKind.CACHE, cache_id="l", sharing=Sharing.LOCKED)) for n in range(6)]
    made = await world.build(g.end(g.op(MergeOp(tuple(range(6))), *runs)))
    return [made.get("error"), sorted(made["log"].split())]


async def merging(world: World) -> Any:
    g = Graph()
    a = g.files(None, Mkdir("/x", 0o755), Mkfile("/x/a", b"a"), Symlink("a", "/x/l"))
    b = g.files(None, Mkdir("/x", 0o711), Mkfile("/x/b", b"b"))
    one = await world.build(g.end(g.op(MergeOp((0, 1)), a, b)), "x/b")
    g = Graph()
    base = g.image()
    made = g.run(base, "mkdir /new && echo n >/new/f && rm /etc/group")
    diff = g.op(DiffOp(0, 1), base, made)
    two = await world.build(g.end(g.copy(None, diff, "/new", "/got")), "got/f")
    g = Graph()
    base = g.image()
    made = g.run(base, "mkdir /new && echo n >/new/f && rm /etc/group")
    three = await world.build(g.end(g.op(MergeOp((0, 1)), base, g.op(DiffOp(0, 1), base, made))), "new/f")
    return [one.get("root"), one.get("text"), two.get("text"), three.get("text"), "etc/group" in three.get("root", ["etc/group"])]


async def cancelling(world: World) -> Any:
    g = Graph()
    job = world.solver.job("cancelled", Options())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(job.build(g.end(g.run(g.image(), "echo up; sleep 1000"))))
        while not any(isinstance(event, VertexLog) for event in job.progress.events()):
            await asyncio.sleep(0.02)
        task.cancel()
        await job.close()
    return sorted(world.solver.jobs)


async def pruning(world: World) -> Any:
    usage = Usage(world.refs)
    rows = await usage.rows()
    kinds = sorted({row.type for row in rows})
    gone = await usage.prune(Prune(all=True))
    left = await usage.rows()
    found = await steps(world)
    return {"kinds": kinds, "gone": len(gone) == len(rows), "left": len(left), "error": found[0]["error"], "ran": found[0]["ran"]}


async def leftovers(world: World) -> Any:
    """What is still there a moment after everything has ended."""
    for _ in range(500):
        found = {
            "bundles": os.listdir(world.run / "bundles"),
            "build": [name for name in os.listdir(world.run / "build") if name != "empty"],
            "crun": os.listdir(world.run / "crun"),
            "netns": os.listdir(world.run / "netns"),
            "active": [key for key, row in world.db.table("snapshots").all().items() if row["kind"] in ("active", "unpack")],
            "held": [id for id in world.refs.table if world.refs.held(id)],
        }
        if not any(found.values()):
            break
        await asyncio.sleep(0.02)
    return found


CASES = {
    "steps": steps,
    "failing": failing,
    "layer": layer,
    "mounts": mounts,
    "networks": networks,
    "sharing": sharing,
    "merging": merging,
    "cancelling": cancelling,
    "pruning": pruning,
}

if __name__ == "__main__":
    if len(sys.argv) > 2:
        CASES = {name: CASES[name] for name in sys.argv[2].split(",")}
    asyncio.run(main())
    print(json.dumps(SEEN, default=str))

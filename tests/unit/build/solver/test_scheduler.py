"""The solver with ops that only count: keys, sharing, parallelism, failures, cancellation."""

import asyncio
from dataclasses import dataclass

import pytest

from scow.build.llb.ops import Builder, Input, Meta, SourceOp
from scow.build.solver.cachestore import CacheStore
from scow.build.solver.scheduler import Solver
from scow.build.solver.types import BuildError, CacheMap, Dependency, Options
from scow.metadata import Database


@dataclass(frozen=True)
class Tree:
    id: str


class World:
    """Ops by name: `runs` counts, `content` is what a source holds now, `gate` stops ops."""

    def __init__(self, path):
        self.db = Database(path / "meta.db")
        self.runs = []
        self.content = {}
        self.failing = set()
        self.gates = {}
        self.trees = {}
        self.active = 0
        self.most = 0
        self.cancelled = []
        self.held = []
        self.gone = set()

    def solver(self):
        async def content(tree, dependency):
            return self.trees[tree.id]

        cache = CacheStore(self.db, lambda id: None if id in self.gone else Tree(id))
        return Solver(cache, lambda vertex: FakeOp(self, vertex), content, self.held.append, self.held.remove)


class FakeOp:
    """`local:x` is a source whose key never repeats; `copy:x` depends on content of its inputs but the first; `run:x` on keys."""

    weight = 1

    def __init__(self, world, vertex):
        self.world = world
        self.name = vertex.op.identifier
        self.inputs = len(vertex.inputs)

    async def cache_map(self, job):
        if self.name.startswith("local:"):
            return CacheMap(f"unique {len(self.world.runs)} {id(self)}", no_cache=True)
        if self.name.startswith("image:"):
            return CacheMap(self.name, no_cache=True)
        content = self.name.startswith("copy:")
        deps = tuple(Dependency(content=content and (number > 0 or self.inputs == 1)) for number in range(self.inputs))
        return CacheMap(self.name, deps)

    async def exec(self, job, inputs):
        world = self.world
        world.runs.append(self.name)
        world.active += 1
        world.most = max(world.most, world.active)
        try:
            if gate := world.gates.get(self.name):
                await gate.wait()
            if self.name in world.failing:
                raise BuildError("it broke", exit_code=3)
        except asyncio.CancelledError:
            world.cancelled.append(self.name)
            raise
        finally:
            world.active -= 1
        tree = Tree(f"{self.name}#{len(world.trees)}")
        world.trees[tree.id] = world.content.get(self.name, self.name)
        job.log(b"output of " + self.name.encode())
        return [tree]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.db.close()


def graph(*rows, root=None, session="s", fresh=()):
    """rows: (name, *inputs); a definition whose root is the last row."""
    builder = Builder()
    digests = {}
    for name, *inputs in rows:
        attrs = {"local.session": session} if name.startswith("local:") else {}
        op = SourceOp(name, attrs)
        digests[name] = builder.add(op, tuple(Input(digests[one]) for one in inputs), meta=Meta(name, ignore_cache=name in fresh))
    return builder.definition(Input(digests[root or rows[-1][0]]))


async def build(solver, definition, id="job", **options):
    job = solver.job(id, Options(**options))
    try:
        result = await job.build(definition)
        job.settle()
        return result, {one.name: one for one in job.progress.vertices.values()}
    finally:
        await job.close()


APP = (("image:base",), ("local:ctx",), ("copy:a", "image:base", "local:ctx"), ("run:make", "copy:a"), ("run:test", "run:make"))


def test_second_build_runs_nothing_but_the_source(world):
    async def use():
        solver = world.solver()
        first, _ = await build(solver, graph(*APP))
        assert sorted(world.runs) == ["copy:a", "image:base", "local:ctx", "run:make", "run:test"]
        world.runs.clear()
        second, told = await build(world.solver(), graph(*APP, session="other"))
        assert second == first
        assert world.runs == ["local:ctx"]
        assert [name for name, one in told.items() if one.cached] and all(told[name].cached for name in ("copy:a", "run:make", "run:test"))
        assert not world.held

    asyncio.run(use())


def test_changed_content_runs_what_depends_on_it(world):
    async def use():
        solver = world.solver()
        await build(solver, graph(*APP))
        world.runs.clear()
        world.content["local:ctx"] = "new"
        _, told = await build(solver, graph(*APP, session="2"))
        assert sorted(world.runs) == ["copy:a", "image:base", "local:ctx", "run:make", "run:test"]
        assert "changed" in told["copy:a"].reason
        assert "built anew" in told["run:make"].reason or "nothing like it" in told["run:make"].reason
        world.content["local:ctx"] = "local:ctx"
        world.runs.clear()
        await build(solver, graph(*APP, session="3"))
        assert world.runs == ["local:ctx"]

    asyncio.run(use())


def test_same_content_by_another_way_is_the_same(world):
    """A stage that is built anew with the same files does not run what copies from it."""

    async def use():
        solver = world.solver()
        rows = (("image:b",), ("run:old", "image:b"), ("copy:x", "image:b", "run:old"), ("run:end", "copy:x"))
        await build(solver, graph(*rows))
        world.runs.clear()
        world.content |= {"run:new": "run:old"}
        rows = (("image:b",), ("run:new", "image:b"), ("copy:x", "image:b", "run:new"), ("run:end", "copy:x"))
        await build(solver, graph(*rows))
        assert "copy:x" not in world.runs
        assert "run:end" not in world.runs

    asyncio.run(use())


def test_no_cache_and_ignored_vertices(world):
    async def use():
        solver = world.solver()
        rows = (("image:b",), ("run:1", "image:b"), ("run:2", "run:1"))
        await build(solver, graph(*rows))
        world.runs.clear()
        await build(solver, graph(*rows), no_cache=True)
        assert sorted(world.runs) == ["image:b", "run:1", "run:2"]
        world.runs.clear()
        await build(solver, graph(*rows))
        assert world.runs == []
        await build(solver, graph(*rows, fresh=("run:1",)))
        assert sorted(world.runs) == ["image:b", "run:1", "run:2"]
        world.runs.clear()
        await build(solver, graph(*rows))
        assert world.runs == []

    asyncio.run(use())


def test_a_pruned_tree_is_made_again(world):
    async def use():
        solver = world.solver()
        rows = (("image:b",), ("run:1", "image:b"), ("run:2", "run:1"))
        made, _ = await build(solver, graph(*rows))
        world.gone.add(made.id)
        world.runs.clear()
        await build(solver, graph(*rows))
        assert world.runs == ["run:2"]

    asyncio.run(use())


def test_same_work_in_two_builds_runs_once(world):
    async def use():
        solver = world.solver()
        world.gates["run:make"] = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(build(solver, graph(*APP, session=str(n)), f"job{n}")) for n in range(3)]
            while "run:make" not in world.runs:
                await asyncio.sleep(0)
            world.gates["run:make"].set()
        assert world.runs.count("run:make") == 1
        assert world.runs.count("copy:a") == 1
        assert len({task.result()[0] for task in tasks}) == 1

    asyncio.run(use())


def test_one_leaves_the_other_goes_on(world):
    async def use():
        solver = world.solver()
        gate = world.gates["run:1"] = asyncio.Event()
        rows = (("image:b",), ("run:1", "image:b"))
        jobs = [solver.job(f"{n}", Options()) for n in range(2)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job.build(graph(*rows))) for job in jobs[1:]]
            first = group.create_task(jobs[0].build(graph(*rows)))
            while "run:1" not in world.runs:
                await asyncio.sleep(0)
            first.cancel()
            await jobs[0].close()
            assert not world.cancelled
            gate.set()
        assert tasks[0].result() is not None
        await jobs[1].close()
        assert not world.held

    asyncio.run(use())


def test_cancel_stops_what_runs(world):
    async def use():
        solver = world.solver()
        world.gates["run:1"] = asyncio.Event()
        job = solver.job("1", Options())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(job.build(graph(("image:b",), ("run:1", "image:b"))))
            while "run:1" not in world.runs:
                await asyncio.sleep(0)
            task.cancel()
            await job.close()
        assert world.cancelled == ["run:1"]
        assert not world.held
        world.gates.clear()
        await build(solver, graph(("image:b",), ("run:1", "image:b")))

    asyncio.run(use())


def test_a_failure_names_its_step_and_a_later_build_tries_again(world):
    async def use():
        solver = world.solver()
        world.failing.add("run:make")
        with pytest.raises(BuildError) as caught:
            await build(solver, graph(*APP))
        assert (caught.value.name, caught.value.exit_code, str(caught.value)) == ("run:make", 3, "it broke")
        assert "run:test" not in world.runs
        world.failing.clear()
        world.runs.clear()
        await build(solver, graph(*APP, session="2"))
        assert sorted(world.runs) == ["local:ctx", "run:make", "run:test"]

    asyncio.run(use())


def test_independent_stages_run_together_and_unused_ones_do_not(world):
    async def use():
        solver = world.solver()
        rows = [("image:b",), *((f"run:{n}", "image:b") for n in range(4)), ("run:unused", "image:b")]
        rows += [("copy:0", "image:b", "run:0"), *((f"copy:{n}", f"copy:{n - 1}", f"run:{n}") for n in range(1, 4))]
        gate = asyncio.Event()
        world.gates |= {f"run:{n}": gate for n in range(4)}
        async with asyncio.TaskGroup() as group:
            task = group.create_task(build(solver, graph(*rows)))
            while world.active < 4:
                await asyncio.sleep(0)
            gate.set()
        assert task.result()[0] is not None
        assert "run:unused" not in world.runs

    asyncio.run(use())


def test_progress_is_replayed(world):
    async def use():
        solver = world.solver()
        job = solver.job("1", Options())
        await job.build(graph(("image:b",), ("run:1", "image:b")))
        await job.close()
        events = [event async for batch in job.progress.subscribe() for event in batch]
        assert b"output of run:1" in [getattr(event, "data", b"") for event in events]

    asyncio.run(use())


def test_the_index_survives_and_drops_what_has_gone(world):
    async def use():
        made, _ = await build(world.solver(), graph(("image:b",), ("run:1", "image:b")))
        world.gone.add(made.id)
        assert world.solver().cache.recover() >= 1
        assert world.solver().cache.recover() == 0

    asyncio.run(use())

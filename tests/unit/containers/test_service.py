"""The verbs together, on fakes: what is answered, stored and told, and in which order."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from scow.containers.lifecycle import Status
from scow.containers.service import ContainerService
from scow.errors import Conflict, Internal, InvalidArgument, NotFound, NotModified
from scow.filters import Filters
from scow.model.codec import decode
from scow.model.container import CreateRequest, UpdateRequest
from scow.runtime.types import Exit, StartFailed, Task
from tests.fakes.engine import FakeImages, FakeNetwork, FakeTasks, make_parts


class Engine:
    """A service on fakes."""

    def __init__(self, root: Path, **defaults: Any) -> None:
        self.root = root
        self.parts = make_parts(root, **defaults)
        self.service = ContainerService(self.parts)

    @property
    def tasks(self) -> FakeTasks:
        return cast(FakeTasks, self.parts.tasks)

    @property
    def images(self) -> FakeImages:
        return cast(FakeImages, self.parts.images)

    async def create(self, name: str = "", **body: Any) -> str:
        request = decode(CreateRequest, {"Image": "box", "HostConfig": {"NetworkMode": "none"}, **body})
        return (await self.service.create(request, name))[0]

    async def running(self, name: str = "", **body: Any) -> str:
        container_id = await self.create(name, **body)
        await self.service.start(container_id)
        return container_id

    def events(self, container_id: str) -> list[str]:
        return [event.action for event in self.parts.bus.past() if event.actor_id == container_id]

    def status(self, container_id: str) -> Status:
        return self.service.get(container_id).state.status

    async def settle(self) -> None:
        await self.parts.supervisor.drain(10)
        await self.parts.cleanups.drain(10)


def scenario(test: Callable[[Engine], Awaitable[None]]) -> Callable[[Path], None]:
    """A test that gets an engine on an event loop of its own."""

    def run(tmp_path: Path) -> None:
        async def main() -> None:
            engine = Engine(tmp_path)
            try:
                await test(engine)
            finally:
                await engine.parts.supervisor.close()
                await engine.parts.cleanups.close()
                engine.parts.db.close()

        asyncio.run(main())

    run.__name__, run.__doc__ = getattr(test, "__name__", "test"), test.__doc__
    return run


def host(**fields: Any) -> dict[str, Any]:
    return {"HostConfig": {"NetworkMode": "none", **fields}}


@scenario
async def test_create_merges_the_image_and_stores_a_row(engine: Engine) -> None:
    container_id = await engine.create("web", Labels={"own": "1"}, Cmd=["top"])
    container = engine.service.get("web")
    assert (container.id, container.path, container.args) == (container_id, "top", ())
    assert container.config.labels == {"l": "image", "own": "1"}
    assert container.config.hostname == container_id[:12]
    assert (container.host.restart_policy.name, container.host.shm_size, container.host.runtime) == ("no", 64 << 20, "crun")
    assert engine.parts.db.table("containers").get(container_id) is not None
    assert engine.events(container_id) == ["create"]


@scenario
async def test_a_failed_create_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(NotFound, match="No such image: nope"):
        await engine.service.create(decode(CreateRequest, {"Image": "nope"}))
    with pytest.raises(InvalidArgument):
        await engine.create("web", **host(Binds=["relative/../x:/a", "/x:/a"]))
    assert engine.service.store.all() == []
    assert not engine.images.prepared
    assert not engine.parts.db.table("containers").all()
    assert not engine.parts.refs.used("image")
    assert list((engine.root / "containers").iterdir()) == []
    await engine.create("web")


@scenario
async def test_an_address_that_its_network_cannot_give_is_told_at_create(engine: Engine) -> None:
    asked = {"EndpointsConfig": {"bridge": {"IPAMConfig": {"IPv4Address": "1.2.3.4"}}}}
    with pytest.raises(InvalidArgument, match="invalid config for network bridge: invalid endpoint settings:\nuser specified"):
        await engine.create("web", NetworkingConfig=asked)


@scenario
async def test_name_conflict(engine: Engine) -> None:
    first = await engine.create("web")
    with pytest.raises(Conflict, match=f'The container name "/web" is already in use by container "{first}"'):
        await engine.create("web")


@scenario
async def test_a_start_that_is_cancelled_leaves_nothing_mounted_or_attached(engine: Engine) -> None:
    begun, may = asyncio.Event(), asyncio.Event()

    class SlowImages(FakeImages):
        async def mount_rootfs(self, container_id: str, target: Path) -> None:
            begun.set()
            await may.wait()
            self.mounted.add(container_id)

    container_id = await engine.create()
    network = cast(FakeNetwork, engine.parts.network)
    slow = SlowImages(engine.images.images)
    object.__setattr__(engine.parts, "images", slow)
    work = engine.parts.supervisor.start(engine.service.start(container_id), "start")
    await begun.wait()
    assert network.attached
    work.cancel()
    await asyncio.sleep(0)
    may.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (slow.mounted, network.attached) == (set(), set())
    assert engine.status(container_id) is Status.CREATED
    await engine.service.start(container_id)
    assert engine.status(container_id) is Status.RUNNING


@scenario
async def test_exit_wakes_waiters_before_die(engine: Engine) -> None:
    container_id = await engine.running()
    container = engine.service.get(container_id)
    waiting = container.waiter("next-exit")
    engine.tasks.exit(container_id, 7)
    assert (await waiting).code == 7
    assert (container.state.exit_code, container.state.pid, container.state.finished_ns > 0) == (7, 0, True)
    assert engine.events(container_id) == ["create", "start", "die"]
    die = engine.parts.bus.past()[-1]
    assert (die.attributes["exitCode"], die.attributes["image"], die.attributes["l"]) == ("7", "box", "image")
    await engine.settle()
    assert not engine.images.mounted


@scenario
async def test_wait_conditions_on_a_created_container(engine: Engine) -> None:
    container = engine.service.get(await engine.create())
    assert (await container.wait("not-running")).code == 0
    assert not container.waiter("next-exit").done()
    with pytest.raises(InvalidArgument):
        container.waiter("whenever")


@scenario
async def test_auto_remove_frees_the_name_before_it_tells(engine: Engine) -> None:
    container_id = await engine.running("web", **host(AutoRemove=True), Volumes={"/data": {}})
    gone = engine.service.get("web").waiter("removed")
    engine.tasks.exit(container_id, 3)
    assert (await gone).code == 3
    again = await engine.create("web")
    await engine.settle()
    assert engine.events(container_id) == ["create", "start", "die", "destroy"]
    assert engine.parts.volumes.all() == []
    assert engine.images.prepared == {again}


@scenario
async def test_failed_start(engine: Engine) -> None:
    container_id = await engine.create()
    engine.tasks.failure = StartFailed("exec: no such file", 127)
    with pytest.raises(StartFailed):
        await engine.service.start(container_id)
    state = engine.service.get(container_id).state
    assert (state.status, state.exit_code, state.error) == (Status.CREATED, 127, "exec: no such file")
    assert not engine.images.mounted
    assert engine.events(container_id) == ["create"]


@scenario
async def test_failed_start_with_auto_remove(engine: Engine) -> None:
    container_id = await engine.create("web", **host(AutoRemove=True))
    gone = engine.service.get("web").waiter("removed")
    engine.tasks.failure = StartFailed("exec: no such file", 127)
    with pytest.raises(StartFailed):
        await engine.service.start("web")
    assert (await gone).code == 127
    assert engine.events(container_id) == ["create", "destroy"]


@scenario
async def test_start_and_stop_twice_are_not_modified(engine: Engine) -> None:
    container_id = await engine.running()
    with pytest.raises(NotModified):
        await engine.service.start(container_id)
    await engine.service.stop(container_id)
    with pytest.raises(NotModified):
        await engine.service.stop(container_id)
    assert engine.events(container_id) == ["create", "start", "kill", "die", "stop"]


@scenario
async def test_stop_kills_what_ignores_the_signal(engine: Engine) -> None:
    container_id = await engine.running()
    engine.tasks.deaf = True
    await engine.service.stop(container_id, timeout=0)
    assert [signum for _, signum in engine.tasks.signals] == [15, 9]
    assert engine.service.get(container_id).state.exit_code == 137


@scenario
async def test_concurrent_starts_run_it_once(engine: Engine) -> None:
    container_id = await engine.create()
    answers = await asyncio.gather(*(engine.service.start(container_id) for _ in range(5)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType"] + ["NotModified"] * 4
    assert engine.tasks.runs == 1


@scenario
async def test_restart_tells_in_order_and_keeps_an_auto_remove_container(engine: Engine) -> None:
    container_id = await engine.running(**host(AutoRemove=True))
    await engine.service.restart(container_id, timeout=1)
    assert engine.status(container_id) is Status.RUNNING
    assert engine.events(container_id) == ["create", "start", "kill", "die", "stop", "start", "restart"]


@scenario
async def test_policy_restarts_until_its_tries_are_used(engine: Engine) -> None:
    container_id = await engine.running(**host(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 1}))
    container = engine.service.get(container_id)
    engine.tasks.exit(container_id, 1)
    assert (container.state.status, container.state.running, container.state.restart_count) == (Status.RESTARTING, True, 1)
    async with asyncio.timeout(30):
        while not container.state.alive:
            await asyncio.sleep(0.01)
    engine.tasks.exit(container_id, 1)
    assert (container.state.status, container.state.restart_count) == (Status.EXITED, 1)
    assert engine.events(container_id) == ["create", "start", "die", "start", "die"]


@scenario
async def test_stop_while_waiting_for_a_restart(engine: Engine) -> None:
    container_id = await engine.running(**host(RestartPolicy={"Name": "always"}))
    engine.tasks.exit(container_id, 1)
    await engine.service.stop(container_id)
    assert engine.status(container_id) is Status.EXITED
    assert engine.service.get(container_id).state.manually_stopped
    await engine.settle()
    assert engine.tasks.runs == 1


@scenario
async def test_a_stop_by_the_user_is_no_reason_for_a_restart(engine: Engine) -> None:
    container_id = await engine.running(**host(RestartPolicy={"Name": "always"}))
    await engine.service.kill(container_id)
    assert engine.status(container_id) is Status.EXITED


@scenario
async def test_kill_pause_and_resize_need_a_process(engine: Engine) -> None:
    container_id = await engine.create()
    for verb in (engine.service.kill, engine.service.pause):
        with pytest.raises(Conflict, match="is not running"):
            await verb(container_id)
    with pytest.raises(Conflict, match="is not running"):
        await engine.service.resize(container_id, 1, 1)
    with pytest.raises(Conflict, match="is not paused"):
        await engine.service.unpause(container_id)


@scenario
async def test_pause_is_a_state(engine: Engine) -> None:
    container_id = await engine.running()
    await engine.service.pause(container_id)
    assert engine.status(container_id) is Status.PAUSED
    with pytest.raises(Conflict, match="already paused"):
        await engine.service.pause(container_id)
    with pytest.raises(Conflict, match="paused and must be unpaused"):
        await engine.service.remove(container_id)
    await engine.service.unpause(container_id)
    assert engine.events(container_id)[-2:] == ["pause", "unpause"]


@scenario
async def test_remove(engine: Engine) -> None:
    container_id = await engine.running("web")
    with pytest.raises(Conflict, match="stop the container before removing or force remove"):
        await engine.service.remove("web")
    await engine.service.remove("web", force=True)
    with pytest.raises(NotFound, match="No such container: web"):
        engine.service.get("web")
    with pytest.raises(NotFound, match="cannot kill container: web: No such container: web"):
        await engine.service.kill("web")
    assert engine.events(container_id) == ["create", "start", "kill", "die", "destroy"]
    assert not engine.parts.refs.used("image")
    await engine.settle()
    assert not engine.images.prepared


@scenario
async def test_prune(engine: Engine) -> None:
    kept = await engine.running()
    gone = await engine.create()
    answer = await engine.service.prune(Filters.parse("", {"until", "label", "label!"}))
    assert answer == {"ContainersDeleted": [gone], "SpaceReclaimed": 10}
    assert [container.id for container in engine.service.store.all()] == [kept]


@scenario
async def test_rename(engine: Engine) -> None:
    container_id = await engine.create("old")
    await engine.create("taken")
    with pytest.raises(Conflict):
        await engine.service.rename("old", "taken")
    for bad in ("", "a b", "old"):
        with pytest.raises(InvalidArgument):
            await engine.service.rename("old", bad)
    await engine.service.rename("old", "/new")
    assert engine.service.get("new").id == container_id
    await engine.create("old")
    assert engine.parts.bus.past()[-2].attributes["oldName"] == "/old"


@scenario
async def test_update_changes_kernel_and_row(engine: Engine) -> None:
    container_id = await engine.running()
    await engine.service.update(container_id, decode(UpdateRequest, {"Memory": 64 << 20, "RestartPolicy": {"Name": "always"}}))
    container = engine.service.get(container_id)
    assert (container.host.memory, container.host.restart_policy.name) == (64 << 20, "always")
    assert engine.tasks.updates[0]["memory"]["limit"] == 64 << 20


@scenario
async def test_oom_is_told_before_the_exit(engine: Engine) -> None:
    container_id = await engine.running()
    engine.tasks.exit(container_id, 137, oom=True)
    assert engine.events(container_id)[-2:] == ["oom", "die"]
    assert engine.service.get(container_id).state.oom_killed


@scenario
async def test_boot_adopts_ends_and_starts(engine: Engine) -> None:
    alive, dead, always = [await engine.running(name, **host(RestartPolicy={"Name": policy})) for name, policy in
                           (("alive", "no"), ("dead", "no"), ("always", "always"))]  # fmt: skip
    engine.parts.db.close()
    second = Engine(engine.root)
    second.tasks.live[alive] = 77
    second.tasks.known = {alive: Task(alive, 77, 5), dead: Exit(9, 10**18)}
    await second.service.recover()
    await second.settle()
    assert (second.status(alive), second.service.get(alive).state.pid) == (Status.RUNNING, 77)
    state = second.service.get(dead).state
    assert (state.status, state.exit_code, state.finished_ns) == (Status.EXITED, 9, 10**18)
    assert second.status(always) is Status.RUNNING
    assert second.tasks.runs == 1
    await second.service.shutdown(live_restore=False, timeout=1)
    assert second.status(always) is Status.EXITED
    assert not second.service.get(always).state.manually_stopped
    second.parts.db.close()


@scenario
async def test_an_end_before_its_adoption_comes_after_it(engine: Engine) -> None:
    """The row of a start that was not acknowledged says `created`; the process lives, and ends while the engine boots."""
    container_id = await engine.create("met")
    engine.parts.db.close()
    second = Engine(engine.root)
    second.tasks.live[container_id] = 77
    second.tasks.known = {container_id: Task(container_id, 77, 5)}

    class Meanwhile(FakeNetwork):
        async def recover(self, live: dict[str, int], joined: Any = None) -> None:
            assert live == {container_id: 77}
            second.tasks.exit(container_id, 4)

    second.parts.network = cast(Any, Meanwhile())
    await second.service.recover()
    await second.settle()
    state = second.service.get(container_id).state
    assert (state.status, state.exit_code, state.pid) == (Status.EXITED, 4, 0)
    second.parts.db.close()


@scenario
async def test_no_error_loses_an_exit(engine: Engine) -> None:
    container_id = await engine.running()
    errors = [RuntimeError("broken")]
    publish = engine.parts.bus.publish

    def once(*args: Any, **kwargs: Any) -> None:
        if errors:
            raise errors.pop()
        publish(*args, **kwargs)

    cast(Any, engine.parts.bus).publish = once
    waiting = asyncio.ensure_future(engine.service.wait(container_id))  # noqa: TID251
    await asyncio.sleep(0)
    engine.tasks.exit(container_id, 4)
    assert (await asyncio.wait_for(waiting, 60)).code == 4
    assert engine.status(container_id) is Status.EXITED


@scenario
async def test_who_waits_for_an_exit_is_told_also_on_a_full_disk(engine: Engine) -> None:
    container_id = await engine.running()
    container = engine.service.get(container_id)
    save, full = container.ledger.save, [True]

    def refusing(one: Any) -> None:
        if full:
            raise Internal("no space left on device: cannot write meta.db")
        save(one)

    cast(Any, container.ledger).save = refusing
    before = asyncio.ensure_future(engine.service.wait(container_id))  # noqa: TID251
    await asyncio.sleep(0)
    engine.tasks.exit(container_id, 4)
    assert (await asyncio.wait_for(before, 60)).code == 4
    assert (await asyncio.wait_for(engine.service.wait(container_id), 60)).code == 4
    assert "die" not in engine.events(container_id)
    full.clear()
    while engine.status(container_id) is not Status.EXITED:
        await asyncio.sleep(0.01)
    assert engine.events(container_id).count("die") == 1
    assert engine.service.get(container_id).ended is None

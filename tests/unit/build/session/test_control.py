"""Control and the bridge as buildx uses them, with a scripted engine behind them."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from scow.build.llb import ops
from scow.build.session import messages, rpc, worker
from scow.build.session.builds import Answer
from scow.build.session.doors import Doors
from scow.build.session.engine import ExportRequest, FrontendRequest
from scow.build.session.history import History, Record
from scow.build.session.registry import Sessions
from scow.build.solver.progress import Progress
from scow.build.solver.types import BuildError, VertexLog, VertexProgress
from scow.build.usage import Row
from scow.metadata import Database

V1, GATEWAY = messages.V1, messages.GATEWAY
CONTROL, BRIDGE = "/moby.buildkit.v1.Control/", "/moby.buildkit.v1.frontend.LLBBridge/"
HEAD = {"buildkit-controlapi-buildid": "b1"}
SOURCE = ops.SourceInfo("Dockerfile", b"FROM busybox\nRUN false\n")


class Job:
    def __init__(self, engine: "Engine") -> None:
        self.engine, self.progress = engine, Progress()

    async def build(self, definition: ops.Definition) -> Any:
        self.progress.tell(VertexProgress("sha256:aa", "[1/2] RUN x", started_ns=time.time_ns()))
        self.progress.tell(VertexLog("sha256:aa", 1, b"output\n", time.time_ns()))
        if self.engine.hang is not None:
            try:
                await self.engine.hang.wait()
            finally:
                self.engine.cancelled = True
        if self.engine.fails:
            place = ops.Location(0, (ops.Range(2, 2),))
            raise BuildError("did not complete: exit code: 9", vertex="sha256:aa", infos=(SOURCE,), locations=(place,))
        return None


class Engine:
    """Builds nothing; remembers what it was asked."""

    def __init__(self, root: Path) -> None:
        self.root, self.fails, self.cancelled = root, False, False
        self.hang: asyncio.Event | None = None
        self.exported: list[ExportRequest] = []
        self.asked: list[FrontendRequest] = []

    @contextlib.asynccontextmanager
    async def job(self, id: str, session: str, entitlements: frozenset[str]) -> AsyncIterator[Any]:
        job = Job(self)
        try:
            yield job
        finally:
            job.progress.close()

    async def frontend(self, request: FrontendRequest) -> Answer:
        self.asked.append(request)
        builder = ops.Builder()
        step = builder.add(ops.SourceOp("docker-image://docker.io/library/busybox:latest"))
        made = request.build.reference(builder.definition(ops.Input(step)))
        return Answer({"": made}, {"containerimage.config": b"{}"})

    async def image_config(self, build: Any, name: str, platform: Any, mode: str, shown: str) -> tuple[str, str, bytes]:
        return name + "@sha256:1", "sha256:1", b'{"config":{}}'

    @contextlib.asynccontextmanager
    async def view(self, result: Any) -> AsyncIterator[Path]:
        yield self.root

    async def export(self, build: Any, answer: Answer, request: ExportRequest) -> dict[str, str]:
        self.exported.append(request)
        return {"containerimage.digest": "sha256:2"}

    def workers(self) -> list[Any]:
        return [worker.record("w", "172.17.0.1")]

    def version(self) -> Any:
        return worker.version()


class Usage:
    async def rows(self) -> list[Row]:
        return [Row("id1", (), "regular", "RUN x", False, False, False, 7, 1, 2, 3)]

    async def prune(self, what: Any) -> list[Row]:
        return await self.rows()

    def gc_later(self) -> None:
        pass


class Client:
    def __init__(self, tmp_path: Path) -> None:
        self.engine = Engine(tmp_path)
        self.doors = Doors(Sessions(tmp_path / "agents"), self.engine, Usage(), Database(tmp_path / "meta.db"))  # type: ignore[arg-type]

    async def __aenter__(self) -> "Client":
        ours, theirs = socket.socketpair()
        self.task = asyncio.get_running_loop().create_task(self.doors.grpc(theirs, b""))
        self.channel = rpc.Channel.on(ours)
        await self.channel.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.channel.close()
        await self.task
        await self.doors.close()

    async def control(self, method: str, reply: str, **fields: Any) -> Any:
        request = getattr(V1, method + "Request")(**fields)
        return await self.channel.unary(CONTROL + method, request, getattr(V1, reply))

    async def bridge(self, method: str, **fields: Any) -> Any:
        call = self.channel.begin(BRIDGE + method, HEAD)
        await call.send(getattr(GATEWAY, method + "Request")(**fields))
        await call.finish()
        data = await call.read()
        await call.read()
        call.check()
        name = {"Ping": "PongResponse"}.get(method, method + "Response")
        return getattr(GATEWAY, name).FromString(data)


def run(coro: Coroutine[Any, Any, Any]) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(60):
            return await coro

    return asyncio.run(bounded())


async def follow(client: Client) -> list[Any]:
    call = client.channel.begin(CONTROL + "Status")
    await call.send(V1.StatusRequest(Ref="b1"))
    await call.finish()
    found = []
    while (data := await call.read()) is not None:
        found.append(V1.StatusResponse.FromString(data))
    call.check()
    return found


def test_a_build_as_buildx_does_it(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os").write_text("scow")
    (tmp_path / "etc/out").symlink_to("/../../etc/passwd")

    async def main() -> None:
        async with Client(tmp_path) as client:
            loop = asyncio.get_running_loop()
            ping = loop.create_task(client.bridge("Ping"))  # before its build
            status = loop.create_task(follow(client))
            exporters = [V1.Exporter(Type="moby", Attrs={"name": "x"})]
            solving = loop.create_task(
                client.control("Solve", "SolveResponse", Ref="b1", Exporters=exporters, FrontendAttrs={"attest:sbom": "x"})
            )
            assert any(cap.ID == "return" for cap in (await ping).FrontendAPICaps)
            made = await client.bridge(
                "Solve", Frontend="dockerfile.v0", FrontendOpt={"target": "t"}, allowResultReturn=True, allowResultArrayRef=True
            )
            assert client.engine.asked[0].options == {"target": "t"} and made.result.metadata["containerimage.config"] == b"{}"
            ref = made.result.ref.id
            assert len(getattr(made.result.ref, "def").__getattribute__("def")) == 2
            assert (await client.bridge("ReadFile", Ref=ref, FilePath="/etc/os")).Data == b"scow"
            part = GATEWAY.FileRange(Offset=1, Length=2)
            assert (await client.bridge("ReadFile", Ref=ref, FilePath="etc/os", Range=part)).Data == b"co"
            assert [one.path for one in (await client.bridge("ReadDir", Ref=ref, DirPath="/etc", IncludePattern="o*")).entries] == [
                "os",
                "out",
            ]
            assert (await client.bridge("StatFile", Ref=ref, Path="etc/out")).stat.mode & 1 << 27
            for path in ("nope", "etc/out"):
                with pytest.raises(rpc.RpcError, match="no such file"):
                    await client.bridge("ReadFile", Ref=ref, FilePath=path)
            with pytest.raises(rpc.RpcError, match="no such ref"):
                await client.bridge("Evaluate", Ref="forged")
            assert (await client.bridge("ResolveImageConfig", Ref="busybox")).Digest == "sha256:1"
            await client.bridge("Warn", digest="sha256:aa", level=1, short=b"careful")
            with pytest.raises(rpc.RpcError, match=r"gateway\.exec"):
                await client.bridge("NewContainer")
            await client.bridge("Return", result=made.result)
            assert (await solving).ExporterResponse == {"containerimage.digest": "sha256:2"}
            assert client.engine.exported[0].exports == (("moby", {"name": "x"}),) and client.engine.exported[0].attests == {"sbom": "x"}
            responses = await status
            assert [log.msg for one in responses for log in one.logs] and [w.short for one in responses for w in one.warnings] == [
                b"careful"
            ]

    run(main())


@pytest.mark.parametrize("internal", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_the_status_ends_whenever_it_comes(tmp_path: Path, internal: bool, fails: bool) -> None:
    async def main() -> None:
        async with Client(tmp_path) as client:
            client.engine.fails = fails
            early = asyncio.get_running_loop().create_task(follow(client))
            await asyncio.sleep(0)
            with contextlib.suppress(rpc.RpcError):
                await client.control("Solve", "SolveResponse", Ref="b1", Frontend="dockerfile.v0", Internal=internal)
            late = await follow(client)
            for responses in (await early, late):
                assert [entry.msg for one in responses for entry in one.logs] == [b"output\n"]

    run(main())


def test_the_status_of_a_build_that_is_refused_at_once_or_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scow.build.session.builds.ARRIVAL_SECONDS", 0.2)

    async def main() -> None:
        async with Client(tmp_path) as client:
            with pytest.raises(rpc.RpcError, match="no such job") as failed:
                await follow(client)
            assert failed.value.code == rpc.NOT_FOUND

    run(main())


def test_a_failed_step_carries_its_place(tmp_path: Path) -> None:
    async def main() -> None:
        async with Client(tmp_path) as client:
            client.engine.fails = True
            with pytest.raises(rpc.RpcError, match="exit code: 9") as failed:
                await client.control("Solve", "SolveResponse", Ref="b1", Frontend="dockerfile.v0")
            found = {name.rpartition("/")[2]: json.loads(value) for name, value in failed.value.details}
            assert found["errdefs.Vertex+json"] == {"digest": "sha256:aa"}
            assert (
                found["errdefs.Source+json"]["info"]["filename"] == "Dockerfile"
                and found["errdefs.Source+json"]["ranges"][0]["start"]["line"] == 2
            )

    run(main())


def test_an_error_of_the_gateway_is_the_build_s_error(tmp_path: Path) -> None:
    async def main() -> None:
        async with Client(tmp_path) as client:
            solving = asyncio.get_running_loop().create_task(client.control("Solve", "SolveResponse", Ref="b1"))
            error = messages.RPC.Status(code=5, message="not here")
            error.details.add(type_url="x", value=b"y")
            await client.bridge("Return", error=error)
            with pytest.raises(rpc.RpcError, match="not here") as failed:
                await solving
            assert failed.value.code == rpc.NOT_FOUND and failed.value.details == (("x", b"y"),)

    run(main())


def test_a_client_that_leaves_cancels_its_build(tmp_path: Path) -> None:
    async def main() -> None:
        client = Client(tmp_path)
        async with client:
            client.engine.hang = asyncio.Event()
            solving = asyncio.get_running_loop().create_task(client.control("Solve", "SolveResponse", Ref="b1", Frontend="dockerfile.v0"))
            while not client.engine.asked:
                await asyncio.sleep(0.01)
        with pytest.raises(Exception, match="clos"):
            await solving
        assert client.engine.cancelled

    run(main())


def test_the_cache_the_worker_and_the_history(tmp_path: Path) -> None:
    async def main() -> None:
        async with Client(tmp_path) as client:
            rows = (await client.control("DiskUsage", "DiskUsageResponse")).record
            assert [(row.ID, row.Size, row.RecordType) for row in rows] == [("id1", 7, "regular")]
            assert not (await client.control("DiskUsage", "DiskUsageResponse", filter=["type==source.local"])).record
            with pytest.raises(rpc.RpcError, match="invalid filter"):
                await client.control("DiskUsage", "DiskUsageResponse", filter=["nope==x"])
            workers = (await client.control("ListWorkers", "ListWorkersResponse")).record
            assert workers[0].platforms[0].OS == "linux"
            await client.control("Solve", "SolveResponse", Ref="b1", Frontend="dockerfile.v0")
            with pytest.raises(rpc.RpcError, match="entitlement"):
                await client.control("Solve", "SolveResponse", Ref="b2", Entitlements=["device.all"])
            call = client.channel.begin(CONTROL + "ListenBuildHistory")
            await call.send(V1.BuildHistoryRequest(EarlyExit=True))
            await call.finish()
            events = [V1.BuildHistoryEvent.FromString(data) for data in [await call.read()] if data]
            assert events[0].record.Ref == "b1" and events[0].record.ExporterResponse["containerimage.digest"] == "sha256:2"
            assert any(one.logs for one in await follow(client)), "the story of a build that is over"
            await client.channel.unary(
                CONTROL + "UpdateBuildHistory", V1.UpdateBuildHistoryRequest(Ref="b1", Delete=True), V1.UpdateBuildHistoryResponse
            )

    run(main())


def test_platforms_of_machines_and_emulators() -> None:
    flags = "flags\t: cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3\n"
    found = worker.platforms(flags, {"qemu-aarch64", "qemu-arm", "status"})
    assert ("arm64", "") in found and (found[0] != ("amd64", "") or ("amd64", "v2") in found)


def test_the_history_outlives_a_restart(tmp_path: Path) -> None:
    db = Database(tmp_path / "db")
    for number in range(105):
        record = Record(f"b{number}", "dockerfile.v0", {"build-arg:A": "1"}, (("moby", {"name": "x"}),), number, number + 1)
        db.table("build_history").put(record.ref, record.document())
    history = History(db)
    found = history._records["b7"].message()
    assert found.Ref == "b7" and found.FrontendAttrs["build-arg:A"] == "1" and found.Exporters[0].Attrs["name"] == "x"
    history.update(V1.UpdateBuildHistoryRequest(Ref="b1", Pinned=True))
    history._trim()
    again = History(db)
    assert len(again._records) == 100 and again._records["b1"].pinned and "b2" not in again._records
    long = Record("long", "", {"build-arg:A": "x" * (1 << 20)}, (), 1)
    assert long.document()["options"] == {}

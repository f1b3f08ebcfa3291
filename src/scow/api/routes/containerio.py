"""/containers: what goes in and out of them: attach, logs, stats, top, files; and /commit."""

import base64
from collections.abc import AsyncIterator
from typing import Any

from scow.api import streams
from scow.api.call import Call
from scow.api.params import decode
from scow.api.router import Router
from scow.api.wire import dumps
from scow.containers.archive import ArchiveService, PutOptions
from scow.containers.attach import AttachQuery, AttachService
from scow.containers.commit import CommitService
from scow.containers.logs import LogsQuery, LogsService
from scow.containers.service import ContainerService
from scow.containers.stats import StatsService
from scow.containers.top import TopService
from scow.errors import InvalidArgument
from scow.http.messages import Response
from scow.model.container import ContainerConfig


class Routes:
    """Handlers; made once by `register`."""

    def __init__(
        self,
        service: ContainerService,
        attach: AttachService,
        archive: ArchiveService,
        stats: StatsService,
        top: TopService,
        logs: LogsService,
        commit: CommitService,
    ) -> None:
        self._service = service
        self._attach = attach
        self._archive = archive
        self._stats = stats
        self._top = top
        self._logs = logs
        self._commit = commit

    # --- attach and logs

    def _attach_query(self, call: Call, mux: bool) -> AttachQuery:
        query = call.query
        return AttachQuery(
            stream=query.boolean("stream"),
            stdin=query.boolean("stdin", not mux and call.version < 42),
            stdout=query.boolean("stdout", not mux and call.version < 42),
            stderr=query.boolean("stderr", not mux and call.version < 42),
            logs=query.boolean("logs"),
            detach_keys=query.text("detachKeys"),
            mux=mux,
        )

    async def attach(self, call: Call) -> None:
        """POST /containers/{id}/attach."""
        query = self._attach_query(call, mux=True)
        container = self._service.get(call.path["id"])
        self._attach.check(container, query)
        sock, early = await streams.hijack(call, streams.stream_type(call, container.config.tty))
        await self._attach.attach(container, query, sock, early)

    async def attach_websocket(self, call: Call) -> None:
        """GET /containers/{id}/attach/ws."""
        query = self._attach_query(call, mux=False)
        container = self._service.get(call.path["id"])
        self._attach.check(container, query)
        if call.request.head.upgrade != "websocket":
            raise InvalidArgument("not a WebSocket request")
        sock = await call.request.websocket()
        await self._attach.attach(container, query, sock, b"")

    async def logs(self, call: Call) -> None:
        """GET /containers/{id}/logs."""
        query = call.query
        container = self._service.get(call.path["id"])
        wanted = LogsQuery(
            stdout=query.boolean("stdout"),
            stderr=query.boolean("stderr"),
            follow=query.boolean("follow"),
            since=query.text("since"),
            until=query.text("until") if call.version >= 35 else "",
            timestamps=query.boolean("timestamps"),
            details=query.boolean("details"),
            tail=query.text("tail", "all"),
        )
        await streams.send(call, self._logs.read(container, wanted), streams.stream_type(call, container.config.tty))

    # --- figures

    async def stats(self, call: Call) -> Response | None:
        """GET /containers/{id}/stats."""
        container = self._service.get(call.path["id"])
        if not call.query.boolean("stream", True):
            one_shot = call.query.boolean("one-shot") if call.version >= 41 else False
            return call.json(await self._stats.once(container, one_shot))

        async def documents() -> AsyncIterator[bytes]:
            async for document in self._stats.stream(container):
                yield dumps(document)

        await streams.send(call, documents(), "application/json")
        return None

    async def top(self, call: Call) -> Response:
        """GET /containers/{id}/top."""
        container = self._service.get(call.path["id"])
        reply = await self._top.top(container, call.query.text("ps_args"))
        return call.json(reply)

    # --- files

    @staticmethod
    def _path(call: Call) -> str:
        path = call.query.text("path")
        if not path:
            raise InvalidArgument("bad parameter: path cannot be empty")
        return path

    async def stat_path(self, call: Call) -> Response:
        """HEAD /containers/{id}/archive."""
        container = self._service.get(call.path["id"])
        found = await self._archive.stat(container, self._path(call))
        return Response(200, b"", [_stat_header(found)])

    async def get_path(self, call: Call) -> None:
        """GET /containers/{id}/archive."""
        container = self._service.get(call.path["id"])
        found, pieces = await self._archive.get(container, self._path(call))
        await streams.send(call, pieces, streams.TAR, [_stat_header(found)])

    async def put_path(self, call: Call) -> Response:
        """PUT /containers/{id}/archive."""
        query = call.query
        container = self._service.get(call.path["id"])
        options = PutOptions(no_overwrite=query.boolean("noOverwriteDirNonDir"), copy_owner=query.boolean("copyUIDGID"))
        await self._archive.put(container, self._path(call), call.request.body, options)
        return Response(200)

    async def export(self, call: Call) -> None:
        """GET /containers/{id}/export."""
        container = self._service.get(call.path["id"])
        await streams.send(call, await self._archive.export(container), "application/octet-stream")

    async def changes(self, call: Call) -> Response:
        """GET /containers/{id}/changes."""
        found = await self._archive.changes(self._service.get(call.path["id"]))
        return call.json(found or None)

    async def commit(self, call: Call) -> Response:
        """POST /commit."""
        query = call.query
        if not query.text("container"):
            raise InvalidArgument("missing parameter: container")
        container = self._service.get(query.text("container"))
        body = await call.body()
        config = decode(ContainerConfig, body) if body else None
        image = await self._commit.commit(
            container,
            repo=query.text("repo"),
            tag=query.text("tag"),
            comment=query.text("comment"),
            author=query.text("author"),
            changes=query.all("changes"),
            config=config,
            pause=query.boolean("pause", True),
        )
        return call.json({"Id": image}, 201)


def _stat_header(found: dict[str, Any]) -> tuple[str, str]:
    return "X-Docker-Container-Path-Stat", base64.b64encode(dumps(found).rstrip(b"\n")).decode()


def register(
    router: Router,
    service: ContainerService,
    attach: AttachService,
    archive: ArchiveService,
    stats: StatsService,
    top: TopService,
    logs: LogsService,
    commit: CommitService,
) -> None:
    """Add the routes."""
    on = Routes(service, attach, archive, stats, top, logs, commit)
    router.add("POST", "/containers/{id}/attach", on.attach)
    router.add("GET", "/containers/{id}/attach/ws", on.attach_websocket)
    router.add("GET", "/containers/{id}/logs", on.logs, follow=True)
    router.add("GET", "/containers/{id}/stats", on.stats, follow=True)
    router.add("GET", "/containers/{id}/top", on.top)
    router.add("HEAD", "/containers/{id}/archive", on.stat_path)
    router.add("GET", "/containers/{id}/archive", on.get_path, cancel=True)
    router.add("PUT", "/containers/{id}/archive", on.put_path, cancel=True)
    router.add("GET", "/containers/{id}/export", on.export, cancel=True)
    router.add("GET", "/containers/{id}/changes", on.changes)
    router.add("POST", "/commit", on.commit)

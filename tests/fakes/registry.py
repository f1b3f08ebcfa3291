"""A registry in memory, on a loopback port of the test's loop: blobs, manifests, uploads, both ways to log in, and faults on demand.

async with FakeRegistry() as registry:
    digest = registry.put_image("lib/a", "v1", config, [blob, …])
    registry.asked    # ["GET /v2/lib/a/manifests/v1", …]
    registry.cut[digest] = 1000    # the next GET of that blob ends after 1000 bytes
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def manifest(config: bytes, layers: list[bytes], layer_type: str = LAYER) -> bytes:
    """A schema 2 manifest."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER,
            "config": {"mediaType": CONFIG, "size": len(config), "digest": sha256(config)},
            "layers": [{"mediaType": layer_type, "size": len(layer), "digest": sha256(layer)} for layer in layers],
        }
    ).encode()


class FakeRegistry:
    """See the module docstring. `users` (name → password) turn authentication on, `tokens` makes it the token flow."""

    def __init__(self, users: dict[str, str] | None = None, tokens: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.users, self.tokens, self.tls = users, tokens, tls
        self.blobs: dict[str, bytes] = {}
        self.repos: dict[str, set[str]] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.asked: list[str] = []
        self.authorizations: list[str] = []
        self.scopes: list[str] = []
        self.cut: dict[str, int] = {}
        self.hold: dict[str, asyncio.Event] = {}
        self.held = asyncio.Event()
        self.ranges = True
        self.realm = ""
        self.hook: Callable[[web.Request], web.StreamResponse | None] = lambda request: None
        self.address = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "FakeRegistry":
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        self.address = f"127.0.0.1:{port}"
        self.realm = self.realm or f"http{'s' if self.tls else ''}://{self.address}/token"
        return self

    async def __aexit__(self, *_: object) -> None:
        for event in self.hold.values():
            event.set()
        assert self._runner is not None
        await self._runner.cleanup()

    def put_image(self, repo: str, tag: str, config: bytes, layers: list[bytes], layer_type: str = LAYER) -> str:
        """Store an image; the digest of its manifest."""
        for blob in (config, *layers):
            self.put_blob(repo, blob)
        return self.put_manifest(repo, tag, DOCKER, manifest(config, layers, layer_type))

    def put_blob(self, repo: str, blob: bytes) -> str:
        digest = sha256(blob)
        self.blobs[digest] = blob
        self.repos.setdefault(repo, set()).add(digest)
        return digest

    def put_manifest(self, repo: str, tag: str, kind: str, data: bytes) -> str:
        for ref in (tag, sha256(data)):
            self.manifests[repo, ref] = (kind, data)
        return sha256(data)

    def count(self, text: str) -> int:
        """How many requests had this in them."""
        return sum(text in one for one in self.asked)

    # --- inside

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        self.authorizations.append(request.headers.get("Authorization", ""))
        answer = self.hook(request)
        if answer is not None:
            return answer
        if request.path == "/token":
            return await self._token(request)
        if self.users is not None and not self._allowed(request):
            return self._challenge(request)
        path = request.path.removeprefix("/v2/")
        if not path:
            return web.json_response({})
        for word, do in (("/manifests/", self._manifest), ("/blobs/uploads/", self._upload), ("/blobs/", self._blob)):
            if word in path:
                repo, _, ref = path.partition(word)
                return await do(request, repo, ref)
        if path.endswith("/tags/list"):
            repo = path.removesuffix("/tags/list")
            return web.json_response({"name": repo, "tags": sorted(ref for name, ref in self.manifests if name == repo and ":" not in ref)})
        return self._error(404, "NAME_UNKNOWN", "repository name not known to registry")

    @staticmethod
    def _error(status: int, code: str, message: str) -> web.Response:
        return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)

    def _allowed(self, request: web.Request) -> bool:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if self.tokens:
            return kind == "Bearer" and value.startswith("token-")
        return kind == "Basic" and self._user(value) != ""

    def _user(self, value: str) -> str:
        name, _, password = base64.b64decode(value).decode().partition(":")
        return name if self.users and self.users.get(name) == password else ""

    def _challenge(self, request: web.Request) -> web.Response:
        answer = self._error(401, "UNAUTHORIZED", "authentication required")
        answer.headers["WWW-Authenticate"] = f'Bearer realm="{self.realm}",service="fake"' if self.tokens else 'Basic realm="fake"'
        return answer

    async def _token(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            form = {key: value[0] for key, value in parse_qs((await request.read()).decode()).items()}
            self.scopes.append(form.get("scope", ""))
            if form.get("refresh_token") != "identity":
                return web.json_response({"details": "bad grant"}, status=401)
            return web.json_response({"access_token": "token-refreshed", "expires_in": 300})
        self.scopes += request.query.getall("scope", [])
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic" and not self._user(value):
            return web.json_response({"details": "incorrect username or password"}, status=401)
        answer = {"token": "token-1" if kind else "anonymous", "expires_in": 300}
        if request.query.get("offline_token") == "true":
            answer["refresh_token"] = "identity"
        return web.json_response(answer)

    async def _manifest(self, request: web.Request, repo: str, ref: str) -> web.Response:
        if request.method == "PUT":
            data = await request.read()
            digest = self.put_manifest(repo, ref, request.headers["Content-Type"], data)
            return web.Response(status=201, headers={"Docker-Content-Digest": digest})
        found = self.manifests.get((repo, ref))
        if found is None:
            return self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        headers = {"Content-Type": found[0], "Docker-Content-Digest": sha256(found[1])}
        return web.Response(body=found[1], headers=headers)

    async def _blob(self, request: web.Request, repo: str, digest: str) -> web.StreamResponse:
        if digest not in self.repos.get(repo, ()):
            return self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        data = self.blobs[digest]
        start = 0
        text = request.headers.get("Range", "")
        if self.ranges and text:
            start = int(text.removeprefix("bytes=").rstrip("-"))
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(data) - start
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        end = self.cut.pop(digest, len(data))
        if digest in self.hold:
            await response.write(data[start : start + 10_000])
            self.held.set()
            await self.hold[digest].wait()
            start += 10_000
        with contextlib.suppress(ConnectionError):  # the client may have left
            await response.write(data[start:end])
        if end < len(data):
            assert request.transport is not None
            request.transport.close()
        return response

    async def _upload(self, request: web.Request, repo: str, ident: str) -> web.Response:
        if request.method == "POST":
            mount, source = request.query.get("mount", ""), request.query.get("from", "")
            if mount and mount in self.repos.get(source, ()):
                self.repos.setdefault(repo, set()).add(mount)
                return web.Response(status=201)
            ident = f"u{len(self.uploads)}"
            self.uploads[ident] = bytearray()
            return web.Response(status=202, headers={"Location": f"/v2/{repo}/blobs/uploads/{ident}?state=x"})
        have = self.uploads.get(ident)
        if have is None:
            return self._error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        where = {"Location": f"/v2/{repo}/blobs/uploads/{ident}?state=y", "Range": f"0-{len(have) - 1}"}
        if request.method == "GET":
            return web.Response(status=204, headers=where)
        limit = self.cut.pop("upload", 0)
        async for piece in request.content.iter_any():
            have += piece
            if limit and len(have) >= limit:
                assert request.transport is not None
                request.transport.close()
                return web.Response(status=500)
        if request.method == "PATCH":
            return web.Response(status=202, headers=where)
        digest = request.query["digest"]
        if sha256(bytes(have)) != digest:
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.put_blob(repo, bytes(have))
        del self.uploads[ident]
        return web.Response(status=201, headers={"Docker-Content-Digest": digest})


def index(rows: list[tuple[bytes, dict[str, Any]]]) -> bytes:
    """A manifest list of (manifest, platform)."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": LIST,
            "manifests": [{"mediaType": DOCKER, "size": len(data), "digest": sha256(data), "platform": where} for data, where in rows],
        }
    ).encode()
